"""Whether a run fits, where the model is kept, and the advice if it does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cost.advice import scaled
from engine.cost.estimate import DISK_SPARE, estimate, estimate_without_advice
from engine.cost.footprint import SMALLER, USED, footprint, placement
from engine.hardware.memory import Capacity
from engine.hardware.memory_plan import TOKENS_AT_ONCE
from engine.hub.catalogue import catalogue
from engine.models.shape import LinearKind, Storage
from engine.recipe import Recipe
from tests.cost.shapes import billions, shape

GIGA = 10**9


def recipe(**fields):
    return Recipe.build({"model": "org/model", "evaluation": None, "samples": 128, "length": 2048, **fields})


def need(asked=None, residence="resident", device="cpu", summary=None, **more):
    return footprint(asked or recipe(), summary or billions(), device, residence, **more)


def room(host, **more):
    """A machine on which a run may take exactly `host` bytes."""
    return Capacity(host_free=-int(-host // USED) + 1, **more)


def test_a_model_that_fits_is_resident():
    cost = estimate(recipe(), billions(), room(need().host))
    assert (cost.residence, cost.fits, cost.problem, cost.advice) == ("resident", True, "", "")
    assert cost.host_bytes == need().host


def test_with_slightly_less_memory_the_model_is_streamed():
    cost = estimate(recipe(), billions(), room(need().host - 100))
    assert (cost.residence, cost.fits) == ("streamed", True)
    assert cost.host_bytes == need(residence="streamed").host < need().host


def test_with_even_less_memory_it_does_not_fit():
    smallest = need(residence="streamed").host
    assert estimate(recipe(), billions(), room(smallest)).fits
    cost = estimate(recipe(), billions(), room(smallest - 100))
    assert not cost.fits and "It does not fit in memory" in cost.problem and cost.problem in cost.sentence
    assert cost.advice


def test_with_unknown_capacity_everything_fits():
    cost = estimate(recipe(), billions())
    assert cost.fits and cost.residence == "resident" and cost.host_free is None


def test_the_requested_residence_is_used_even_if_it_does_not_fit():
    tight = room(need().host - 100)
    cost = estimate(recipe(residence="resident"), billions(), tight)
    assert (
        cost.residence == "resident"
        and not cost.fits
        and "would fit if the model is read block by block" in cost.advice
    )
    assert estimate(recipe(residence="streamed"), billions(), room(10**12)).residence == "streamed"


def test_batches_shrink_before_hidden_states_are_offloaded_and_blocks_are_streamed():
    gpu = billions(device="cuda", speeds={"cpu": 1e11, "cuda": 1e13})
    largest = TOKENS_AT_ONCE["cuda"]
    smallest = largest // SMALLER[-1]
    ways = [
        ("resident", False, largest),
        ("resident", False, smallest),
        ("resident", True, smallest),
        ("streamed", True, smallest),
    ]
    sizes = [need(residence=how, device="cuda", offload=off, batch=batch).device for how, off, batch in ways]
    assert sizes == sorted(sizes, reverse=True)
    for size, way in zip(sizes, ways, strict=True):
        free = Capacity(host_free=100 * GIGA, device_free=-int(-size // USED) + 1, device="cuda")
        placed = placement(recipe(), gpu, free)
        assert (placed.residence, placed.offload, placed.batch, placed.footprint.device) == (*way, size)
        assert estimate(recipe(), gpu, free).device_bytes == size


def test_the_cpu_is_proposed_if_the_gpu_is_too_small():
    gpu = billions(device="cuda", speeds={"cpu": 1e11, "cuda": 1e13}, context_length=None)
    cost = estimate(
        recipe(dtype="bfloat16", samples=4, length=64),
        gpu,
        Capacity(host_free=100 * GIGA, device_free=GIGA // 10, device="cuda"),
    )
    assert (
        not cost.fits
        and cost.problem.startswith("It does not fit on the GPU")
        and "would fit on the CPU" in cost.advice
    )


def test_the_advice_fits():
    asked = recipe(residence="streamed", samples=512)
    tight = room(need(asked, "streamed").host // 2)
    cost = estimate(asked, billions(), tight)
    assert not cost.fits
    assert estimate(asked.model_copy(update={"dtype": "bfloat16"}), billions(), tight).fits == (
        "in bfloat16" in cost.advice
    )
    windows = int(cost.advice.split("fit with ")[1].split(" calibration")[0])
    fewer, more = (
        estimate_without_advice(asked.model_copy(update={"samples": count}), billions(), tight)
        for count in (windows, windows + 1)
    )
    assert fewer.fits and not more.fits, "the most that fit are named"


def test_a_smaller_model_is_proposed_if_nothing_else_helps():
    cost = estimate(recipe(samples=8, length=128), billions(), Capacity(host_free=10**9))
    assert not cost.fits and "A smaller model would fit, for instance " in cost.advice
    assert any(
        entry.title in cost.advice and not entry.gated and entry.parameters < billions().parameters
        for entry in catalogue()
    )


def test_a_scaled_model_keeps_its_proportions():
    half = scaled(billions(), billions().parameters // 2, 10)
    assert half.parameters == billions().parameters // 2 and half.storage.missing == 10
    assert (
        footprint(recipe(), half, "cpu", "streamed").host
        < footprint(recipe(), billions(), "cpu", "streamed").host
    )


def test_a_download_that_does_not_fit_on_the_disk():
    missing = billions().storage.missing
    free = {"host_free": 100 * GIGA, "store_free": 100 * GIGA}
    assert estimate(recipe(), billions(), Capacity(**free, disk_free=missing + DISK_SPARE)).fits
    cost = estimate(recipe(), billions(), Capacity(**free, disk_free=missing + DISK_SPARE - 1))
    assert not cost.fits and "the hub's cache needs 2.2 GB" in cost.problem and "HF_HOME" in cost.problem
    there = billions(storage=Storage(place="cache", total=2_200_000_000))
    assert estimate(recipe(), there, Capacity(**free, disk_free=0)).fits, "what is there needs no room"


def test_a_result_that_does_not_fit_on_the_disk():
    summary = billions(storage=Storage(place="cache", total=1))
    masks = estimate(recipe(), summary).store_bytes
    assert masks == summary.prunable // 8
    assert estimate(recipe(pruner="sparsegpt"), summary).store_bytes == masks + 2 * summary.prunable
    free = Capacity(host_free=100 * GIGA, store_free=masks + DISK_SPARE - 1)
    assert "PRUNESCOPE_HOME" in estimate(recipe(), summary, free).problem


def test_the_download_is_stated_with_its_assumed_speed():
    cost = estimate(recipe(), billions())
    assert (cost.download_bytes, cost.download_seconds) == (2_200_000_000, 110)
    assert "2.2 GB to download (about 2 min at 20 MB/s)" in cost.sentence
    assert "nothing to download" in estimate(recipe(), shape()).sentence
    unknown = billions(storage=Storage(place="hub", missing=None, note="Offline."))
    assert (
        "unknown" in estimate(recipe(), unknown).sentence
        and estimate(recipe(), unknown).download_bytes is None
    )


def test_the_time_counts_only_the_experts_that_see_a_token():
    mixture = (LinearKind(path="experts.0", rows=1000, columns=1000, count=64),)
    dense, sparse = (
        billions(linears=tuple(kind.model_copy(update={"share": share}) for kind in mixture))
        for share in (1.0, 0.125)
    )
    assert sparse.active == dense.active / 8 == 8e6
    assert estimate(recipe(), sparse).seconds < estimate(recipe(), dense).seconds


def test_the_time_of_a_run_by_hand():
    summary = shape(
        storage=Storage(place="directory", total=1_000_000_000), speeds={"cpu": 2e6}, bandwidths={"cpu": 4e6}
    )
    cost = estimate(recipe(samples=10, length=64), summary)
    tokens = 2 * 640  # once for the statistics, once pruned
    weights = 4 * (40 * 10 + 10 * 40)
    operations = tokens * operations_per_token(weights) + 2 * 3 * 128 * weights
    numbers = tokens * 150 * 4 * 10 + 80 * weights  # norms and activations; masks
    steps = 8 * 16  # per linear
    assert cost.seconds == pytest.approx(0.8 + 2 + operations / 2e6 + 4 * numbers / 4e6 + steps * 25e-6)
    searched = estimate(recipe(samples=10, length=64, allocation="neuroal"), summary)
    # 30 candidates on 8 windows: most of a dense and a pruned pass, and the masks and errors of all linears
    per_token, tried = operations_per_token(weights), 30
    operations = tried * (1.8 * 512 * per_token + 2 * 3 * 128 * weights)
    numbers = tried * (1.8 * 512 * 150 * 4 * 10 + 80 * weights)
    added = operations / 2e6 + 4 * numbers / 4e6 + tried * steps * 25e-6
    assert searched.seconds == pytest.approx(cost.seconds + added)
    streamed = estimate(recipe(samples=10, length=64, residence="streamed", allocation="neuroal"), summary)
    assert streamed.seconds > searched.seconds + 1, "a search reads the blocks from the disk again"


@pytest.mark.parametrize("allocation", ["neuroal", "evopress"])
def test_a_search_prunes_its_candidates_by_the_same_methods(allocation):
    def added(pruner):
        return quiet(pruner=pruner, allocation=allocation) - quiet(pruner=pruner)

    assert added("wanda-sparseswaps") > 20 * (quiet(pruner="wanda-sparseswaps") - quiet(pruner="wanda"))


def operations_per_token(weights):
    return 2 * weights + 4 * 4 * 64 * 10  # attention: 4 blocks, 64 tokens, 10 features


def quiet(**fields):
    """Seconds of a run of SmolLM2-135M's shape with 8 windows of 512 tokens, at the rates that were measured
    on the machine of the measurements below.
    """
    kinds = [("q", 576, 576), ("k", 192, 576), ("v", 192, 576), ("o", 576, 576)]
    kinds += [("gate", 1536, 576), ("up", 1536, 576), ("down", 576, 1536)]
    summary = shape(
        linears=tuple(LinearKind(path=path, rows=out, columns=into, count=30) for path, out, into in kinds),
        prunable=106_168_320,
        blocks=30,
        width=576,
        vocabulary=49_152,
        context_length=8192,
        storage=Storage(place="directory", total=270_000_000),
        speeds={"cpu": 140e9},
        bandwidths={"cpu": 19e9},
    )
    return estimate(recipe(samples=8, length=512, **fields), summary).seconds


def test_a_real_run_takes_as_long_as_estimated(tmp_path):
    """Measured on an idle machine of two cores: 93 s with 30 windows of evaluation, 73 of them for these."""
    text = tmp_path / "ids.npy"
    np.save(text, np.zeros(30 * 512, dtype=np.int64))
    whole, pruning = quiet(evaluation=str(text)), quiet()
    assert 93 / 1.5 < whole < 93 * 1.5 and 73 / 1.5 < whole - pruning < 73 * 1.5


@pytest.mark.parametrize(
    "dearer",
    [
        {"pruner": "sparsegpt"},
        {"pruner": "apt-sm"},
        {"pruner": "wanda-dsnot"},
        {"pruner": "wanda-sparseswaps"},
        {"pruner": "stochria"},
        {"pruner": "wanda", "pattern": "2:4"},
        {"pruner": "wanda", "allocation": "neuroal"},
    ],
    ids=lambda fields: "-".join(fields.values()),
)
def test_what_a_method_adds_is_counted(dearer):
    assert quiet(**dearer) > 1.05 * quiet(pruner="wanda")


def test_tasks_count_by_their_own_size():
    def added(task, limit=None):
        return quiet(tasks=(task,), task_limit=limit) - quiet()

    assert added("boolq") > 5 * added("openbookqa"), "3,270 long texts, 500 short ones"
    assert added("boolq", limit=100) < added("boolq") / 10


def test_another_device_has_its_own_speed():
    summary = billions(device="cuda", speeds={"cuda": 1e13, "cpu": 1e11})
    assert estimate(recipe(), summary).seconds < estimate(recipe(device="cpu"), summary).seconds
    assert estimate(recipe(device="cpu"), summary).device_bytes is None


def test_what_later_runs_reuse_is_stated_only_if_it_is_free(tmp_path):
    text = tmp_path / "ids.npy"
    np.save(text, np.zeros(1000, dtype=np.int64))
    asked = recipe(evaluation=str(text), samples=1, length=64, residence="resident")
    twice = 2 * 4 * shape().parameters

    def reused(free):
        return estimate(asked, shape(), Capacity(host_free=free)).reused_bytes

    states = (1000 + 128 // 8) * 10 * 4 * 4  # tokens, with the file's header, features, blocks, bytes
    assert reused(GIGA) == 4 * 3200 + states
    assert reused(4 * twice) == 4 * 3200, "not enough for the states"
    assert reused(4 * twice - 4) == 0 == estimate(asked, shape()).reused_bytes
