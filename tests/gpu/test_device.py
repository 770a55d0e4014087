"""The device itself: how often the host waits, copies on a side stream, exact sums, and the 2:4 kernels."""

from __future__ import annotations

import warnings

import pytest
import torch
import transformers

from engine.evaluation.speed import speed, variant
from engine.hardware.device import Clock, full_precision
from engine.hardware.transfers import HostCopies
from engine.models.language_model import LanguageModel
from engine.pruning.axes import Shares
from engine.pruning.pipeline import Streams, prune_blocks
from engine.pruning.plan import Plan
from engine.pruning.statistics import Need, Statistics
from tests.models.families import TOKENS, VOCABULARY, built

pytestmark = pytest.mark.gpu
PER_BLOCK = 9
"""As in tests/pruning/test_waits.py."""


def waits(device: torch.device, plan: Plan, windows: int) -> int:
    """How often the host waits while one block after the other is pruned, according to the driver's calls."""
    model = built("llama")
    model.module.to(device)
    ids = torch.randint(0, VOCABULARY, (windows, TOKENS), generator=torch.Generator().manual_seed(1))
    streams = Streams(model.record(ids, 2))
    shares = Shares((0.5,) * len(model.blocks))
    list(prune_blocks(model, Streams(model.record(ids, 2)), plan, shares, {}, Clock(device)))  # warm
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            list(prune_blocks(model, streams, plan, shares, {}, Clock(device)))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(warning.message) for warning in found)


@pytest.mark.parametrize("name", ["wanda", "sparsegpt"])
def test_the_host_waits_per_block(name: str, cuda: torch.device) -> None:
    plan = Plan.of(score=name, update="obs" if name == "sparsegpt" else "none")
    few, many = waits(cuda, plan, 4), waits(cuda, plan, 16)
    assert few == many <= 4 * PER_BLOCK, (few, many)


def test_copies_on_a_side_stream_are_complete_after_waiting(device: torch.device) -> None:
    copies = HostCopies(device)
    tensors = [torch.full((1000, 1000), number, device=device) for number in range(50)]
    found = [copies.add(tensor + 1) for tensor in tensors]  # the sums are freed at once
    copies.wait()
    assert [int(copy.amin()) for copy in found] == [int(copy.amax()) for copy in found] == list(range(1, 51))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.filterwarnings("ignore:Please use the new API")
def test_sums_are_exact_whatever_the_process_allows(dtype: torch.dtype, device: torch.device) -> None:
    inputs = torch.randn(1, 512, 300, generator=torch.Generator().manual_seed(0)).to(dtype)
    exact = inputs[0].double().T @ inputs[0].double()
    torch.set_float32_matmul_precision("high")
    try:
        statistics = Statistics(300, 1, {Need.HESSIAN, Need.INPUT_NORM}, device)
        with full_precision():
            statistics.update(inputs.to(device))
        allowed = torch.get_float32_matmul_precision()
    finally:
        torch.set_float32_matmul_precision("highest")
    assert allowed == "high"
    gram = statistics.hessian.cpu().double() / 2
    assert float((gram - exact).norm() / exact.norm()) < 1e-6
    assert torch.allclose(statistics.input_norm.cpu().double(), exact.diagonal().sqrt(), rtol=1e-6)


def test_the_kernels_for_2_4_compute_the_same(cuda: torch.device) -> None:
    config = transformers.LlamaConfig(
        vocab_size=512, hidden_size=512, intermediate_size=1024, num_hidden_layers=2, num_attention_heads=8
    )
    torch.manual_seed(0)
    with cuda:
        model = LanguageModel(transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16))
    linears = list(model.linears.values())
    dense = variant(linears)
    for linear in linears:
        keep = Plan.of(score="magnitude", pattern="2:4").pattern.keep(linear.weight.abs().float(), 0.5)
        weight = torch.nn.Parameter(linear.weight.masked_fill(~keep, 0), requires_grad=False)
        setattr(linear.module, linear.parameter, weight)
    report = speed(model, dense, variant(linears), two_of_four=True, seconds=0.2)
    assert report.converted == report.linears and not report.not_converted, report
    assert report.timing("prefill", "2:4") is not None
