"""How long a model takes for a prompt (prefill) and for one more token with a cache, dense and pruned in
turn.

One model is in memory; its prunable weights are exchanged by pointer between two passes, so the variants
differ in nothing else and whatever else the machine does hits all of them alike. It costs the prunable
weights once more (half of them again for 2:4), and about two seconds a stage on a small model; a large one
gets three rounds at least. Batch 1, random tokens, no gradients; the medians and quartiles are of single
passes. Does not cover batches, compiled models, nor experts in one grouped product (they are computed one by
one in all variants).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from engine.events import Facts
from engine.hardware.device import Clock
from engine.models.block import Linear

if TYPE_CHECKING:
    from engine.models.language_model import LanguageModel

PROMPT = 256
"""Tokens of the prompt, or half of what the model takes if that is less."""
WARM_UP = 2  # rounds that are not counted
FEWEST, MOST = 3, 60
"""Rounds of a stage."""
SECONDS = 2.0
"""After which no further round of a stage is begun."""

Name = Literal["dense", "pruned", "2:4"]
Stage = Literal["prefill", "token"]
HALF = (torch.float16, torch.bfloat16)
CACHES = ("past_key_values", "cache_params")
"""What models call their cache, in what they return and in what they take."""

Convert = Callable[[Tensor], Tensor]
"""A weight `[out, in]` that is 2:4 as the kernels take it; RuntimeError where they take no such shape."""


class Timing(Facts):
    """One variant in one stage, seconds a pass.

    Attributes:
        low, high: the quartiles: half of the passes lie between them.
    """

    stage: Stage
    model: Name
    median: float
    low: float
    high: float
    rounds: int


class SpeedReport(Facts):
    """Latencies of the variants.

    Attributes:
        prompt: tokens of the prompt; one token is timed behind it.
        linears: how many prunable parameters there are; the fused experts of a block are one each.
        converted: how many of them the 2:4 kernels computed; None where they were not tried.
        not_converted: a sentence that says why none or not all were, else empty.
        no_token: a sentence that says why no single token was timed, else empty.
    """

    prompt: int
    timings: tuple[Timing, ...]
    linears: int
    converted: int | None = None
    not_converted: str = ""
    no_token: str = ""

    def timing(self, stage: Stage, model: Name) -> Timing | None:
        """One of the timings, None where it was not taken."""
        return next(
            (timing for timing in self.timings if (timing.stage, timing.model) == (stage, model)), None
        )

    def ratio(self, stage: Stage, model: Name = "pruned") -> float | None:
        """The time that a variant takes / what the dense one takes."""
        dense, other = self.timing(stage, "dense"), self.timing(stage, model)
        return other.median / dense.median if dense and other else None


@dataclass(frozen=True)
class Placed:
    """A parameter and where in the model it belongs."""

    module: nn.Module
    name: str
    parameter: nn.Parameter

    def put(self) -> None:
        setattr(self.module, self.name, self.parameter)


Variant = tuple[Placed, ...]
"""All prunable parameters of one version of a model."""


def variant(linears: Sequence[Linear]) -> Variant:
    """The parameters that these linears have now; one that several experts are slices of is there once."""
    found = {id(linear.stored): Placed(linear.module, linear.parameter, linear.stored) for linear in linears}
    return tuple(found.values())


def put(parameters: Variant) -> None:
    """Exchange the model's parameters for these."""
    for placed in parameters:
        placed.put()


@torch.no_grad()
def speed(
    model: LanguageModel,
    dense: Variant,
    pruned: Variant,
    *,
    two_of_four: bool,
    seconds: float = SECONDS,
    clock: Clock | None = None,
    convert: Convert = torch.sparse.to_sparse_semi_structured,
) -> SpeedReport:
    """Time a model dense and pruned, and with the 2:4 kernels where they can be had. The dense parameters are
    left in place.

    Args:
        two_of_four: whether all masks are 2:4.
        seconds: how long a stage may take, warm-up included; three rounds are always made.
        clock: reads the time once the device is done; the device's own by default.
    """
    window = _window(model)
    passes: dict[Name, _Pass] = {
        "dense": _Pass(model.module, dense, *window),
        "pruned": _Pass(model.module, pruned, *window),
    }
    kernels, converted, refused = None, None, refusal(model.device.type, model.dtype, two_of_four)
    try:
        if not refused:
            parameters, converted = semi_structured(pruned, convert)
            kernels, refused = _tried(_Pass(model.module, parameters, *window), converted, len(pruned))
        if kernels is not None:
            passes["2:4"] = kernels
        timings, no_token = _stages(passes, clock or Clock(model.device), seconds)
    finally:
        put(dense)
    return SpeedReport(
        prompt=window[1],
        timings=timings,
        linears=len(pruned),
        converted=converted,
        not_converted=refused,
        no_token=no_token,
    )


def _window(model: LanguageModel) -> tuple[Tensor, int]:
    """Ids `[1, tokens]` for a prompt and all the tokens that may follow it, and the prompt's length."""
    from engine.models.summary import (
        context_length,  # (imports transformers, which whoever reads a report does without)
    )

    most = context_length(model.module.config)
    prompt = PROMPT if most is None else max(1, min(PROMPT, most // 2))
    more = WARM_UP + MOST if most is None else min(WARM_UP + MOST, most - prompt)
    ids = torch.randint(0, model.vocabulary, (1, prompt + more), generator=torch.Generator().manual_seed(0))
    return ids.to(model.device), prompt


def _stages(passes: Mapping[Name, _Pass], clock: Clock, seconds: float) -> tuple[tuple[Timing, ...], str]:
    turns: dict[Name, Turn] = {name: (own.put, own.prefill) for name, own in passes.items()}
    timings = _timings("prefill", in_turn(turns, clock, MOST, seconds))
    if any(own.cache is None for own in passes.values()):
        return timings, "One token: not measured, for this model returns no cache to go on from."
    turns = {name: (own.put, own.token) for name, own in passes.items()}
    most = min(own.room for own in passes.values()) - WARM_UP
    return timings + _timings("token", in_turn(turns, clock, most, seconds)), ""


def _tried(kernels: _Pass, converted: int, linears: int) -> tuple[_Pass | None, str]:
    """The pass with the 2:4 kernels if they work here, and a sentence about what they do not do."""
    if not converted:
        return None, "2:4 kernels: not measured, for they take none of this model's shapes."
    try:
        kernels.put()
        kernels.prefill()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # for instance a device that is too old for them
        return (
            None,
            f"2:4 kernels: not measured, for they failed here: {(str(error).splitlines() or [''])[0]}",
        )
    return (
        kernels,
        ""
        if converted == linears
        else f"2:4 kernels: {converted:,} of {linears:,} linears, for the shapes of the others do not fit.",
    )


class _Pass:
    """One variant at work: the prompt from its beginning, or the next token behind it."""

    def __init__(self, module: nn.Module, parameters: Variant, ids: Tensor, prompt: int) -> None:
        self._module, self._parameters, self._ids, self._prompt = module, parameters, ids, prompt
        self._place = prompt
        self.cache: dict[str, Any] | None = None

    @property
    def room(self) -> int:
        """Tokens that may still follow."""
        return self._ids.shape[1] - self._place

    def put(self) -> None:
        put(self._parameters)

    def prefill(self) -> None:
        self.cache = _cache(self._module(input_ids=self._ids[:, : self._prompt], use_cache=True))

    def token(self) -> None:
        """One token more; the cache grows by it, in all variants alike."""
        self.cache = _cache(
            self._module(
                input_ids=self._ids[:, self._place : self._place + 1], use_cache=True, **(self.cache or {})
            )
        )
        self._place += 1


def _cache(output: Any) -> dict[str, Any] | None:
    return next(({name: output[name]} for name in CACHES if output.get(name) is not None), None)


Turn = tuple[Callable[[], None], Callable[[], None]]
"""What is done before the clock is read, and what is timed."""
_Key = TypeVar("_Key")


def in_turn(turns: Mapping[_Key, Turn], clock: Clock, most: int, seconds: float) -> dict[_Key, list[float]]:
    """Seconds of each, round by round: forwards and backwards, so that none always comes behind the same
    other.

    Args:
        most: rounds at most, those of the warm-up not counted.
        seconds: after which no further round is begun.
    """
    taken: dict[_Key, list[float]] = {name: [] for name in turns}
    for place in range(WARM_UP + most):
        for name in list(turns) if place % 2 == 0 else reversed(list(turns)):
            prepare, work = turns[name]
            prepare()
            start = clock.now()
            work()
            taken[name].append(clock.now() - start)
        counted = place + 1 - WARM_UP
        if counted >= FEWEST and sum(map(sum, taken.values())) >= seconds:
            break
    return {name: values[WARM_UP:] for name, values in taken.items()}


def _timings(stage: Stage, taken: Mapping[Name, Sequence[float]]) -> tuple[Timing, ...]:
    found = []
    for name, values in taken.items():
        middle, low, high = quartiles(values)
        found.append(Timing(stage=stage, model=name, median=middle, low=low, high=high, rounds=len(values)))
    return tuple(found)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, and the two values that half of all lie between."""
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return median(values), low, high


def refusal(device: str, dtype: torch.dtype, two_of_four: bool) -> str:
    """A sentence that says why the 2:4 kernels are not tried; empty where they are."""
    if not two_of_four:
        return "2:4 kernels: not measured, for the masks are not 2:4."
    if device != "cuda":
        return "2:4 kernels: not measured, for this device has none (no CUDA)."
    if dtype not in HALF:
        return "2:4 kernels: not measured, for they want float16 or bfloat16 weights."
    return ""


def semi_structured(
    pruned: Variant, convert: Convert = torch.sparse.to_sparse_semi_structured
) -> tuple[Variant, int]:
    """The pruned variant with the weights for the 2:4 kernels where these take them, and how many they take.

    Only modules whose weight is stored `[out, in]` by itself (`nn.Linear`) can be computed so, and of these
    the ones whose shape the kernels allow.
    """
    found, converted = [], 0
    for placed in pruned:
        weight = _converted(placed, convert)
        converted += weight is not None
        found.append(
            placed
            if weight is None
            else Placed(placed.module, placed.name, nn.Parameter(weight, requires_grad=False))
        )
    return tuple(found), converted


def _converted(placed: Placed, convert: Convert) -> Tensor | None:
    if not isinstance(placed.module, nn.Linear):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library says that this interface may change
        try:
            return convert(placed.parameter.data)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # how the library refuses a shape
            return None
