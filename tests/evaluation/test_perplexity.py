"""Perplexity from hidden states equals the model's own, however few tokens are looked at together."""

import math
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import psutil
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import cross_entropy

from engine.evaluation import perplexity as measured
from engine.models.identity import DEMO_DIRECTORY
from engine.models.language_model import LanguageModel, Stream
from engine.models.loading import load
from tests.models.families import FAMILIES, VOCABULARY, WINDOWS, built, windows


def own_nll(model: LanguageModel) -> float:
    """Mean negative log likelihood by the model's own forward, float64 from the logits on."""
    logits = model.module(input_ids=windows(), use_cache=False).logits[:, :-1].double()
    return cross_entropy(logits.flatten(0, 1), windows()[:, 1:].flatten()).item()


def at_the_end(model: LanguageModel, batch: int) -> Stream:
    """The windows behind the last block."""
    stream = model.record(windows(), batch)
    for block in model.blocks:
        stream.advance(block)
    return stream


LENGTH = windows().shape[1]
AT_ONCE = dict.fromkeys(FAMILIES, (LENGTH - 2, 2 * LENGTH + 1, 100 * LENGTH))
"""Tokens at a time for each family: parts of a window, the second one a single token; some windows; all."""
AT_ONCE["llama"] += (1, LENGTH // 2, LENGTH - 1, LENGTH)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_perplexity_does_not_depend_on_the_tokens_per_batch(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = built(family)
    own, length = own_nll(model), LENGTH
    stream = at_the_end(model, WINDOWS)
    for tokens in AT_ONCE[family]:
        monkeypatch.setattr(measured, "LOGITS_AT_ONCE", tokens * VOCABULARY)
        score = measured.perplexity(model, stream, which="dense")
        assert score.tokens == WINDOWS * (length - 1)
        assert score.nll == pytest.approx(own, rel=1e-5)


@torch.no_grad()
def test_logits_stay_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    model = built(next(iter(FAMILIES)))
    stream, made = at_the_end(model, WINDOWS), []
    logits = model.logits
    monkeypatch.setattr(measured, "LOGITS_AT_ONCE", 5 * VOCABULARY)
    monkeypatch.setattr(model, "logits", lambda *given: made.append(logits(*given)) or made[-1])
    measured.perplexity(model, stream, which="dense")
    assert max(part.numel() for part in made) <= 5 * VOCABULARY


def test_no_logits_are_kept_for_a_backward_pass() -> None:
    model = built(next(iter(FAMILIES)))
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    with torch.no_grad():  # as in `prune_blocks`; perplexities are measured outside of it
        stream = at_the_end(model, WINDOWS)
    kept: list[torch.Tensor] = []
    with torch.enable_grad(), saved_tensors_hooks(kept.append, lambda packed: packed):
        measured.perplexity(model, stream, which="dense")
    assert not kept


def test_bits_per_byte_by_hand() -> None:
    """Eight tokens of one bit each over four bytes are two bits per byte."""
    assert measured.score(math.log(2), 8, 4).bits_per_byte == pytest.approx(2)
    assert measured.score(math.log(2), 8).bits_per_byte is None


@pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="only glibc keeps it"
)
@torch.no_grad()
def test_the_logits_of_a_large_vocabulary_are_returned_to_the_system() -> None:
    """In the thread of a worker, too, where glibc would keep 30 MB for every few chunks."""
    load(DEMO_DIRECTORY, dtype=torch.float32, device=torch.device("cpu"))
    head, ids = torch.randn(49_152, 1), torch.zeros(4, 512, dtype=torch.long)
    model = SimpleNamespace(vocabulary=len(head), logits=lambda hidden, ids: hidden @ head.T)
    stream = SimpleNamespace(on_device=lambda: [torch.randn(4, 512, 1)], ids=[ids])
    before = psutil.Process().memory_info().rss
    with ThreadPoolExecutor(1) as thread:
        thread.submit(measured.perplexity, model, stream, which="dense").result()  # type: ignore[arg-type]
    assert psutil.Process().memory_info().rss - before < 100_000_000, "of 16 chunks of 30 MB"
