"""Memory by part, calculated by hand, and properties that hold for every estimate."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from engine.cost.estimate import estimate
from engine.cost.footprint import (
    DEVICE_SLACK,
    HOST_SLACK,
    LOGITS_AT_ONCE,
    LOGITS_AT_ONCE_ON_GPU,
    TASK_LIBRARIES,
    USED,
    Footprint,
    dtype_of,
    exceeds,
    fits,
    footprint,
    placement,
    text_of,
)
from engine.evaluation import perplexity
from engine.hardware.memory import Capacity
from engine.hardware.memory_plan import TOKENS_AT_ONCE
from engine.models.shape import LinearKind
from engine.recipe import Recipe
from tests.cost.shapes import billions, shape


@pytest.fixture
def ids(tmp_path):
    """Token ids: 6 windows of 16."""
    path = tmp_path / "ids.npy"
    np.save(path, np.zeros((6, 16), dtype=np.int64))
    return str(path)


def recipe(**fields):
    return Recipe.build({"model": "org/model", "evaluation": None, "samples": 8, "length": 16, **fields})


def test_the_parts_of_a_small_model():
    parts = footprint(recipe(), shape(), "cpu", "resident").parts
    assert parts["weights"] == 4 * 4280
    assert parts["text"] == 8 * 16 * (10 * 4 + 8)
    assert parts["block"] == 24 * 400 + 1024 * (6 * 10 + 3 * 40) * 4 + 800
    assert parts["loading"] == 2 * 4280, "the file is bfloat16, the run float32"
    assert (parts["logits"], parts["search"]) == (0, 0)


def test_the_sum_is_the_weights_the_text_and_the_larger_of_block_and_logits(ids):
    found = footprint(recipe(evaluation=ids), shape(vocabulary=1_000_000), "cpu", "resident")
    parts = found.parts
    assert parts["logits"] == 12 * LOGITS_AT_ONCE, "sixteen tokens, a window's worth"
    assert parts["logits"] > parts["block"]
    assert (
        found.host == HOST_SLACK + parts["weights"] + parts["text"] + parts["logits"] and found.device is None
    )


def test_evaluation_text_counts_twice_and_its_tokens_come_from_the_file(ids):
    assert text_of(recipe(evaluation=ids), shape()).evaluation == (6 * 16 * 8 + 128) // 8
    assert text_of(recipe(calibration=ids), shape()).calibration == (6 * 16 * 8 + 128) // 8
    with_one = footprint(recipe(evaluation=ids), shape(), "cpu", "resident").parts["text"]
    without = footprint(recipe(), shape(), "cpu", "resident").parts["text"]
    assert with_one - without == 112 * (2 * 10 * 4 + 8)


def test_several_texts_add_up(ids, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("four" * 100)
    assert text_of(recipe(evaluation=(ids, str(text))), shape()).evaluation == 112 + 100
    assert text_of(recipe(evaluation=("c4",), length=64), shape()).evaluation == 256 * 64


def test_hessians_are_counted_if_a_method_needs_them():
    plain = footprint(recipe(), shape(), "cpu", "resident").parts["block"]
    obs = footprint(recipe(pruner="sparsegpt"), shape(), "cpu", "resident").parts["block"]
    assert obs - plain == 4 * (2 * 1700 + 4 * 40**2) + 3 * 800, (
        "Gram matrices and factors; new weights instead of masks on the way to the disk"
    )


def test_every_expert_has_its_own_hessian():
    experts = (LinearKind(path="blocks.0.experts.0.up", rows=40, columns=10, count=4 * 8, share=0.25),)
    mixture = shape(linears=experts, sizes=(3200,) * 4, largest_grams=8 * 100)
    obs, plain = (
        footprint(recipe(pruner=name), mixture, "cpu", "resident").parts["block"]
        for name in ("sparsegpt", "wanda")
    )
    assert obs - plain == 4 * (2 * 800 + 4 * 100) + 3 * 3200


def test_a_streamed_model_holds_its_embeddings_and_one_block():
    assert footprint(recipe(), shape(), "cpu", "streamed").parts["weights"] == 4 * (1000 + 820)


def test_offloading_moves_the_hidden_states_to_the_host():
    there = footprint(recipe(), shape(), "cuda", "resident")
    here = footprint(recipe(), shape(), "cuda", "resident", offload=True)
    text = 8 * 16 * (10 * 2 + 8)
    assert there.device is not None and here.device is not None
    assert there.device - here.device == here.host - there.host == text
    assert there.device == DEVICE_SLACK + 2 * 4280 + text + there.parts["block"]


def test_a_gpu_with_little_memory_takes_smaller_batches_first():
    roomy = placement(
        recipe(device="cuda"), billions(), Capacity(host_free=10**12, device_free=10**12, device="cuda")
    )
    assert (roomy.residence, roomy.offload, roomy.batch) == ("resident", False, TOKENS_AT_ONCE["cuda"])
    less = Capacity(host_free=10**12, device_free=int(roomy.footprint.device), device="cuda")
    tight = placement(recipe(device="cuda"), billions(), less)
    assert (tight.residence, tight.offload) == ("resident", False) and tight.batch < roomy.batch


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_libraries_of_tasks_take_memory_of_the_host(device):
    with_tasks = footprint(recipe(tasks=("boolq", "piqa")), shape(), device, "resident")
    without = footprint(recipe(), shape(), device, "resident")
    assert with_tasks.host - without.host == TASK_LIBRARIES and with_tasks.device == without.device


def test_mps_shares_the_memory_of_the_host():
    assert footprint(recipe(), shape(), "mps", "resident").device is None


@pytest.mark.parametrize(
    ("asked", "device", "dtype"),
    [
        ("auto", "cpu", "float32"),
        ("auto", "cuda", "bfloat16"),
        ("bfloat16", "cpu", "bfloat16"),
        ("float32", "cuda", "float32"),
    ],
)
def test_the_dtype_of_the_run(asked, device, dtype):
    assert dtype_of(recipe(dtype=asked), shape(), device) == dtype


GROWING = {
    "samples": (1, 8, 64, 512),
    "length": (16, 64, 512, 2048),
    "dtype": ("bfloat16", "float32"),
    "pruner": ("wanda", "sparsegpt"),
    "allocation": ("uniform", "neuroal"),
    "evaluation": (None, "stories", ("stories", "wikitext2"), ("stories", "wikitext2", "c4")),
}


@pytest.mark.parametrize("name", GROWING)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("residence", ["resident", "streamed"])
def test_more_never_needs_less(name, device, residence):
    found = [footprint(recipe(**{name: value}), billions(), device, residence) for value in GROWING[name]]
    for less, more in pairwise(found):
        assert more.host >= less.host and (more.device or 0) >= (less.device or 0)


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
@pytest.mark.parametrize("pruner", ["magnitude", "sparsegpt", "apt-mm"])
def test_streamed_never_needs_more_than_resident(device, pruner):
    streamed, resident = (
        footprint(recipe(pruner=pruner, evaluation="stories"), billions(), device, how)
        for how in ("streamed", "resident")
    )
    assert streamed.host <= resident.host and (streamed.device or 0) <= (resident.device or 0)
    assert (streamed.device or streamed.host) < (resident.device or resident.host)


def test_swaps_are_counted_for_a_refinement():
    plain, refined = (
        footprint(recipe(pruner=name), shape(), "cpu", "resident").parts["block"]
        for name in ("wanda", "wanda-dsnot")
    )
    assert refined - plain == 11 * 400


def test_what_judged_candidates_share_is_counted():
    """Per sample of the windows: the places that candidates share, and the dense model's predictions; and the
    logits that are judged at a time.
    """
    plain, judged = (
        footprint(recipe(allocation=name), shape(vocabulary=1000), "mps", "resident").parts["search"]
        for name in ("neuroal", "evopress")
    )
    assert judged - plain == 3 * 2**27 + 4 * 1000 * (32 + 64 + 128) + 12 * LOGITS_AT_ONCE
    large = footprint(recipe(allocation="evopress"), shape(vocabulary=10**6), "mps", "resident")
    assert large.parts["search"] - plain == 3 * 2**27 + 12 * LOGITS_AT_ONCE, "too many predictions to keep"


def test_logits_of_at_least_one_token_are_counted(ids):
    parts = footprint(recipe(evaluation=ids), shape(vocabulary=2 * LOGITS_AT_ONCE), "cpu", "resident").parts
    assert parts["logits"] == 12 * 2 * LOGITS_AT_ONCE


def test_the_limit_of_logits_matches_the_evaluation():
    assert LOGITS_AT_ONCE == perplexity.LOGITS_AT_ONCE
    assert LOGITS_AT_ONCE_ON_GPU == perplexity.LOGITS_AT_ONCE_ON_GPU


GIGA = 10**9


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("free", [GIGA // 2, 2 * GIGA, 4 * GIGA, 6 * GIGA, 100 * GIGA])
def test_the_estimate_shows_the_placement_of_the_run(device, free):
    recipe = Recipe.build(model="org/model", evaluation=None, samples=128, length=2048)
    summary = billions(device=device, speeds={"cpu": 1e11, "cuda": 1e13})
    capacity = Capacity(host_free=free, device_free=free if device == "cuda" else None, device=device)
    placed, cost = placement(recipe, summary, capacity), estimate(recipe, summary, capacity)
    assert (placed.device, placed.residence, placed.offload) == (cost.device, cost.residence, cost.offload)
    assert (placed.footprint.host, placed.footprint.device) == (cost.host_bytes, cost.device_bytes)
    assert fits(placed.footprint, capacity) == ("does not fit" not in cost.problem)


def test_an_unknown_capacity_gives_the_fastest_placement():
    placed = placement(Recipe.build(model="org/model"), billions(), None)
    assert (placed.residence, placed.offload) == ("resident", False)


def test_exactly_the_usable_share_still_fits():
    assert not exceeds(int(USED * 1000), 1000) and exceeds(int(USED * 1000) + 1, 1000)
    assert not exceeds(None, 1000) and not exceeds(1000, None)
    assert not fits(Footprint(host=1, device=10, parts={}), Capacity(host_free=100, device_free=10))
