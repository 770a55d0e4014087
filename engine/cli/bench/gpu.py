"""`bench --shape gpu`: what pruning costs on a GPU, for models of the shapes of Llama-2-7B and Llama-3.2-1B.

The models are random and made on the device, and the windows are random tokens, so nothing is read or
downloaded; neither changes how long anything takes. The floor is two plain forward passes of the decoder over
the calibration windows. Every figure is printed as one JSON line as soon as it is known, the most important
ones first; what fails is a line with its error, and the rest goes on. A measurement that would take too long
stops after a block: its figures are those of the blocks it has done, and so is the floor that it is compared
with. Without a GPU, a tiny model is measured on the CPU instead, which only shows that everything runs.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import platform
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import transformers

from engine.cli.bench.gpu_parts import measure_parts
from engine.evaluation.speed import speed, variant
from engine.events import BlockPruned, CandidateTried, Event
from engine.hardware.device import Clock, device_name, pick_device
from engine.hardware.memory import device_free
from engine.hardware.memory_plan import MemoryPlan
from engine.models.language_model import LanguageModel
from engine.pruning.pipeline import Streams, allocate, prune_blocks
from engine.pruning.plan import Plan
from engine.recipe import Recipe
from engine.run import CHOICES

Line = dict[str, Any]
METHODS: dict[str, dict[str, Any]] = {
    "wanda": {"pruner": "wanda", "sparsity": 0.5},
    "sparsegpt": {"pruner": "sparsegpt", "sparsity": 0.5},
    "neuroal": {"pruner": "wanda", "sparsity": 0.6, "allocation": "neuroal"},
    "ria": {"pruner": "ria", "pattern": "2:4", "permutation": "assignment"},
    "mrp": {"pruner": "apt-sm", "sparsity": 0.6},
}
"""The fields of each measured recipe, the most important first."""
GRACE = 30
"""Seconds after the budget at which a device that does not answer is given up."""


@dataclass(frozen=True)
class Subject:
    """A model's shape, the windows to measure on, and the share of the remaining time for one method."""

    name: str
    config: Callable[[], Any]
    windows: int
    length: int
    share: float


def _llama(**shape: Any) -> Callable[[], Any]:
    return partial(transformers.LlamaConfig, max_position_embeddings=4096, **shape)


SEVEN = Subject(
    "Llama-2-7B's shape",
    _llama(vocab_size=32_000, hidden_size=4096, intermediate_size=11_008),  # 32 blocks and heads by default
    128,
    2048,
    0.4,
)
ONE = Subject(
    "Llama-3.2-1B's shape",
    _llama(
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_key_value_heads=8,
        tie_word_embeddings=True,
    ),
    128,
    2048,
    0.3,
)
TINY = Subject(
    "a tiny model",
    _llama(
        vocab_size=128,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
    ),
    4,
    32,
    0.5,
)


@dataclass
class Budget:
    """Until when something may be started."""

    seconds: float
    start: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        return self.start + self.seconds - time.monotonic()


def bench_gpu(minutes: float, device: torch.device | None = None) -> int:
    """Print all measurements within this time; return the exit code, 1 if one failed."""
    device = device or pick_device()
    budget = Budget(60 * minutes)
    faulthandler.dump_traceback_later(60 * minutes + GRACE, exit=True)
    try:
        failures = [line for line in _lines(budget, device) if _print(line)]
    finally:
        faulthandler.cancel_dump_traceback_later()
    return 1 if failures else 0


def _print(line: Line) -> bool:
    """Print a line; return whether it reports an error."""
    print(json.dumps(line), flush=True)
    return "error" in line


def _lines(budget: Budget, device: torch.device) -> Iterator[Line]:
    yield {
        "what": "machine",
        "device": device_name(device),
        "memory": device_free(device) if device.type == "cuda" else None,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
    }
    peak: list[float] = []
    yield from _guarded({"what": "peak"}, lambda: _peak(device, peak))
    for subject in [SEVEN, ONE] if device.type == "cuda" else [TINY]:
        try:
            bench = _Bench(subject, device, peak[0] if peak else float("nan"))
        except Exception as error:
            yield _failed({"what": "model", "model": subject.name}, error)
            continue
        yield from bench.lines(budget)
        del bench
        _free(device)
    yield from _guarded({"what": "parts"}, lambda: measure_parts(device, budget.left))
    yield {"what": "end", "seconds_left": round(budget.left, 1)}


def _guarded(about: Line, work: Callable[[], Iterator[Line]]) -> Iterator[Line]:
    """Yield the lines of `work`, and one more if it fails."""
    try:
        for line in work():
            yield {**about, **line}
    except Exception as error:  # what failed is a finding, too
        yield _failed(about, error)


def _failed(about: Line, error: Exception) -> Line:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return {**about, "error": f"{type(error).__name__}: {error}", "at": f"{where.filename}:{where.lineno}"}


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _peak(device: torch.device, found: list[float]) -> Iterator[Line]:
    """Measure the fastest large product, against which the others are compared."""
    size = 8192 if device.type == "cuda" else 256
    clock, left = Clock(device), torch.randn(size, size, device=device, dtype=torch.bfloat16)
    left @ left
    seconds = []
    for _ in range(10):
        start = clock.now()
        left @ left
        seconds.append(clock.now() - start)
    found.append(2 * size**3 / min(seconds))
    yield {"product": size, "tflops": round(found[0] / 1e12, 2)}


class _Bench:
    """One model and its measurements."""

    @torch.no_grad()
    def __init__(self, subject: Subject, device: torch.device, peak: float) -> None:
        self._subject, self._device, self._peak = subject, device, peak
        start = time.monotonic()
        with device:
            torch.manual_seed(0)
            module: Any = transformers.AutoModelForCausalLM.from_config(
                subject.config(), dtype=torch.bfloat16
            )
        self._model = LanguageModel(module)
        self._ids = torch.randint(
            0,
            self._model.vocabulary,
            (subject.windows, subject.length),
            generator=torch.Generator().manual_seed(0),
        )
        self._batch = MemoryPlan.for_device(device, "resident").windows_per_batch(subject.length)
        self._clock = Clock(device)
        self._clock.now()
        self._built = time.monotonic() - start
        self._floor = float("nan")

    def lines(self, budget: Budget) -> Iterator[Line]:
        about = {"model": self._subject.name, "tokens": self._ids.numel()}
        yield {"what": "model", **about, "parameters": self._parameters, "seconds": round(self._built, 2)}
        end = Budget(budget.left * (0.65 if self._subject is SEVEN else 0.9))
        yield from _guarded({"what": "floor", **about}, self._measure_floor)
        for name, fields in METHODS.items():
            # A joint update of 7 billion weights takes minutes, so no method may take all that is left.
            limit = Budget(end.left * self._subject.share)
            if limit.left < 1:
                yield {"what": name, **about, "skipped": "no time left"}
                continue
            yield from _guarded({"what": name, **about}, partial(self._measure, fields, limit))
        if self._subject is not SEVEN:
            yield from _guarded({"what": "2:4 kernels", **about}, self._measure_kernels)

    @property
    def _parameters(self) -> int:
        return sum(linear.weight.numel() for linear in self._model.linears.values())

    @torch.no_grad()
    def _measure_floor(self) -> Iterator[Line]:
        body: Any = self._model.module.base_model
        windows = self._ids.to(self._device)
        body(input_ids=windows[: self._batch], use_cache=False)  # chooses kernels
        self._reset()
        start = self._clock.now()
        for part in [*windows.split(self._batch)] * 2:
            body(input_ids=part, use_cache=False)
        self._floor = self._clock.now() - start
        yield {"batch": self._batch, **self._figures(self._floor, 1.0)}

    @torch.no_grad()
    def _measure(self, fields: Mapping[str, Any], limit: Budget) -> Iterator[Line]:
        """Prune with a recipe's methods, until `limit` at most."""
        recipe = Recipe.build(model="demo", evaluation=None, **fields)
        plan = Plan.of(**recipe.model_dump(include=set(CHOICES)))
        generator = torch.Generator(self._device).manual_seed(0)
        for linear in self._model.linears.values():  # the last measurement has pruned them
            linear.weight.normal_(0, 0.02, generator=generator)
        self._reset()
        self._clock.seconds.clear()
        start = self._clock.now()
        blocks, candidates = 0, 0
        with closing(self._events(plan, recipe.sparsity)) as events:
            for event in events:
                blocks += isinstance(event, BlockPruned)
                candidates += isinstance(event, CandidateTried)
                if limit.left < 0:
                    break
        seconds = self._clock.now() - start
        share = blocks / len(self._model.blocks)
        line = self._figures(seconds, share) if blocks else {"seconds": round(seconds, 3)}
        if candidates:
            line["candidates"] = candidates
        phases = {name: round(spent, 3) for name, spent in self._clock.seconds.items()}
        yield {**line, "blocks": blocks, "complete": share == 1, "phases": phases}

    def _events(self, plan: Plan, sparsity: float) -> Generator[Event, None, None]:
        model = self._model
        with self._clock.phase("embed"):
            streams = Streams(model.record(self._ids, self._batch))
        with self._clock.phase("allocate"):
            shares = yield from allocate(model, streams.calibration, plan, sparsity)
        yield from prune_blocks(model, streams, plan, shares, _Forgotten(), self._clock)

    def _measure_kernels(self) -> Iterator[Line]:
        """Compare a dense model with the same one at 2:4, with and without the kernels for it."""
        linears = list(self._model.linears.values())
        dense = variant(linears)
        keep = Plan.of(score="magnitude", pattern="2:4").pattern.keep
        for linear in linears:
            weight = linear.weight
            kept = weight.masked_fill(~keep(weight.abs().float(), 0.5), 0)
            setattr(linear.module, linear.parameter, torch.nn.Parameter(kept, requires_grad=False))
        seconds = 0.1 if self._subject is TINY else 2.0
        report = speed(self._model, dense, variant(linears), two_of_four=True, seconds=seconds)
        yield {
            "milliseconds": {f"{t.stage} {t.model}": round(1e3 * t.median, 3) for t in report.timings},
            "converted": report.converted,
            "linears": report.linears,
            "note": report.not_converted,
        }

    def _reset(self) -> None:
        _free(self._device)
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def _figures(self, seconds: float, share: float) -> Line:
        """Return the figures of a measurement that has done this share of the blocks."""
        memory = torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else 0
        operations = 4 * self._parameters * self._ids.numel() * share  # of two passes, attention not counted
        return {
            "seconds": round(seconds, 3),
            "ratio": round(seconds / (self._floor * share), 3),
            "peak_gb": round(memory / 1e9, 2),
            "share_of_peak": round(operations / seconds / self._peak, 3),
        }


class _Forgotten(dict[int, Any]):
    """Takes pruned blocks and keeps none: the masks of seven billion weights would fill the host."""

    def __setitem__(self, index: int, weights: Any) -> None: ...
