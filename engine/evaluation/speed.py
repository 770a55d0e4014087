"""Latency of a prompt (prefill) and of one more token with a cache, dense and pruned, measured alternately.

One model is in memory; its prunable weights are exchanged by pointer between two passes, so the variants
differ in nothing else, and whatever else the machine does affects all of them alike. This needs the memory of
the prunable weights a second time (and half of it again for 2:4), and about two seconds per stage on a small
model; a large one gets at least three rounds. Batch 1, random tokens, no gradients; medians and quartiles are
of single passes. Does not cover batches, compiled models, or experts in one grouped product (all variants
compute them one by one).
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
"""Tokens of the prompt, or half of the model's context if that is less."""
WARM_UP = 2  # uncounted rounds: the first passes allocate memory and choose kernels
FEWEST, MOST = 3, 60
"""Rounds per stage."""
SECONDS = 2.0
"""After this time no further round of a stage is started."""

Name = Literal["dense", "pruned", "2:4"]
Stage = Literal["prefill", "token"]
HALF = (torch.float16, torch.bfloat16)  # the dtypes for which the 2:4 kernels are used
CACHES = ("past_key_values", "cache_params")  # the second by Mamba models
"""Names that models use for their cache, in their output and their arguments."""

Convert = Callable[[Tensor], Tensor]
"""Converts a 2:4 weight `[out, in]` for the kernels; RuntimeError if they do not support its shape."""


class Timing(Facts):
    """One variant in one stage, in seconds per pass.

    Attributes:
        low, high: the quartiles.
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
        prompt: tokens of the prompt; the single token is timed after it.
        linears: the number of prunable parameters; fused experts of a block count as one.
        converted: how many of them the 2:4 kernels computed; None if the kernels were not tried.
        not_converted: why none or not all were, in a sentence; else empty.
        no_token: why no single token was timed, in a sentence; else empty.
    """

    prompt: int
    timings: tuple[Timing, ...]
    linears: int
    converted: int | None = None
    not_converted: str = ""
    no_token: str = ""

    def timing(self, stage: Stage, model: Name) -> Timing | None:
        """Return one of the timings, or None if it was not taken."""
        return next(
            (timing for timing in self.timings if (timing.stage, timing.model) == (stage, model)), None
        )

    def ratio(self, stage: Stage, model: Name = "pruned") -> float | None:
        """Return the time of a variant relative to the dense one."""
        dense, other = self.timing(stage, "dense"), self.timing(stage, model)
        return other.median / dense.median if dense and other else None


@dataclass(frozen=True)
class Placed:
    """A parameter, and its module and name in the model."""

    module: nn.Module
    name: str
    parameter: nn.Parameter

    def put(self) -> None:
        setattr(self.module, self.name, self.parameter)  # exchanges the pointer, copies nothing


Variant = tuple[Placed, ...]
"""All prunable parameters of one version of a model."""


def variant(linears: Sequence[Linear]) -> Variant:
    """Return the current parameters of these linears; one that holds several experts is included once."""
    # The experts of a block may be slices of one parameter.
    found = {id(linear.stored): Placed(linear.module, linear.parameter, linear.stored) for linear in linears}
    return tuple(found.values())


def put(parameters: Variant) -> None:
    """Put these parameters into the model."""
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
    """Time a model dense, pruned, and with the 2:4 kernels if possible. Ends with the dense parameters in
    place.

    Args:
        two_of_four: whether all masks are 2:4.
        seconds: how long a stage may take, warm-up included; at least three rounds are made.
        clock: reads the time after the device has finished its work; by default the device's clock.
        convert: makes the weights for the 2:4 kernels.
    """
    window = _window(model)
    passes: dict[Name, _Pass] = {
        "dense": _Pass(model.module, dense, *window),
        "pruned": _Pass(model.module, pruned, *window),
    }
    kernels, converted, refused = None, None, why_no_kernels(model.device.type, model.dtype, two_of_four)
    try:
        if not refused:
            parameters, converted = semi_structured(pruned, convert)
            kernels, refused = _tried(_Pass(model.module, parameters, *window), converted, len(pruned))
        if kernels is not None:
            passes["2:4"] = kernels
        timings, no_token = _stages(passes, clock or Clock(model.device), seconds)
    finally:
        put(dense)  # also after an error: the caller goes on with this model
    return SpeedReport(
        prompt=window[1],
        timings=timings,
        linears=len(pruned),
        converted=converted,
        not_converted=refused,
        no_token=no_token,
    )


def _window(model: LanguageModel) -> tuple[Tensor, int]:
    """Return ids `[1, tokens]` for a prompt and all tokens that may follow it, and the prompt's length."""
    # Imports transformers, which reading a report does not need.
    from engine.models.summary import context_length

    most = context_length(model.module.config)
    # At least half of the context is left for the single tokens.
    prompt = PROMPT if most is None else max(1, min(PROMPT, most // 2))
    more = WARM_UP + MOST if most is None else min(WARM_UP + MOST, most - prompt)  # one token per round
    # Drawn on the CPU, so that the tokens are the same on every device.
    ids = torch.randint(0, model.vocabulary, (1, prompt + more), generator=torch.Generator().manual_seed(0))
    return ids.to(model.device), prompt


def _stages(passes: Mapping[Name, _Pass], clock: Clock, seconds: float) -> tuple[tuple[Timing, ...], str]:
    turns: dict[Name, Turn] = {name: (own.put, own.prefill) for name, own in passes.items()}
    timings = _timings("prefill", interleaved(turns, clock, MOST, seconds))
    if any(own.cache is None for own in passes.values()):
        return timings, "One token: not measured, because this model returns no cache to continue from."
    # The tokens continue from the cache that the last prefill left.
    turns = {name: (own.put, own.token) for name, own in passes.items()}
    most = min(own.room for own in passes.values()) - WARM_UP  # `interleaved` adds the warm-up
    return timings + _timings("token", interleaved(turns, clock, most, seconds)), ""


def _tried(kernels: _Pass, converted: int, linears: int) -> tuple[_Pass | None, str]:
    """Return the pass if the 2:4 kernels work on this device, and a sentence about what they do not cover."""
    if not converted:
        return None, "2:4 kernels: not measured, because they support none of this model's shapes."
    try:
        # A weight can be converted although its product fails, so one pass is tried before any timing.
        kernels.put()
        kernels.prefill()
    except torch.OutOfMemoryError:  # a RuntimeError too, but not about the kernels
        raise
    except RuntimeError as error:  # for instance on a device that is too old
        return (
            None,
            f"2:4 kernels: not measured, because they failed: {(str(error).splitlines() or [''])[0]}",
        )
    if converted == linears:
        return kernels, ""
    covered = f"2:4 kernels: {converted:,} of {linears:,} linears"
    return kernels, f"{covered}, because they do not support the shapes of the others."


class _Pass:
    """Forward passes of one variant: the whole prompt, or the next token after it."""

    def __init__(self, module: nn.Module, parameters: Variant, ids: Tensor, prompt: int) -> None:
        self._module, self._parameters, self._ids, self._prompt = module, parameters, ids, prompt
        self._place = prompt  # of the next token in the ids
        self.cache: dict[str, Any] | None = None

    @property
    def room(self) -> int:
        """How many more tokens may follow."""
        return self._ids.shape[1] - self._place

    def put(self) -> None:
        put(self._parameters)

    def prefill(self) -> None:
        self.cache = _cache(self._module(input_ids=self._ids[:, : self._prompt], use_cache=True))

    def token(self) -> None:
        """Compute one more token; the cache grows by it, in all variants alike."""
        # Each variant continues from its own cache, because keys and values depend on the weights.
        self.cache = _cache(
            self._module(
                input_ids=self._ids[:, self._place : self._place + 1], use_cache=True, **(self.cache or {})
            )
        )
        self._place += 1


def _cache(output: Any) -> dict[str, Any] | None:
    # An output of transformers is a dict without the fields that are None.
    return next(({name: output[name]} for name in CACHES if output.get(name) is not None), None)


Turn = tuple[Callable[[], None], Callable[[], None]]
"""What is done before the clock starts, and what is timed."""
_Key = TypeVar("_Key")


def interleaved(
    turns: Mapping[_Key, Turn], clock: Clock, most: int, seconds: float
) -> dict[_Key, list[float]]:
    """Return the seconds of each variant, per round.

    Every other round runs in reverse order, so that no variant always follows the same other one.

    Args:
        most: the maximum number of rounds, without the warm-up.
        seconds: after this time no further round is started.
    """
    taken: dict[_Key, list[float]] = {name: [] for name in turns}
    for place in range(WARM_UP + most):
        for name in list(turns) if place % 2 == 0 else reversed(list(turns)):
            prepare, work = turns[name]
            prepare()  # untimed: exchanging the weights is not part of a pass
            start = clock.now()  # waits for the device
            work()
            taken[name].append(clock.now() - start)
        counted = place + 1 - WARM_UP
        # The warm-up counts towards the time.
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
    """Return the median and the lower and upper quartiles."""
    # `inclusive` keeps the quartiles within the measured range; one value has no quantiles.
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return median(values), low, high


def why_no_kernels(device: str, dtype: torch.dtype, two_of_four: bool) -> str:
    """Return a sentence that says why the 2:4 kernels are not tried; empty if they are."""
    if not two_of_four:
        return "2:4 kernels: not measured, because the masks are not 2:4."
    if device != "cuda":
        return "2:4 kernels: not measured, because this device has none (no CUDA)."
    if dtype not in HALF:
        return "2:4 kernels: not measured, because they need float16 or bfloat16 weights."
    return ""


def semi_structured(
    pruned: Variant, convert: Convert = torch.sparse.to_sparse_semi_structured
) -> tuple[Variant, int]:
    """Return the pruned variant with its weights converted for the 2:4 kernels where possible, and how many
    were.

    Possible are modules whose weight is a separate `[out, in]` parameter (`nn.Linear`), of a shape that the
    kernels support.
    """
    parameters, converted = [], 0
    for placed in pruned:
        weight = _converted(placed, convert)
        converted += weight is not None
        parameters.append(
            placed
            if weight is None
            else Placed(placed.module, placed.name, nn.Parameter(weight, requires_grad=False))
        )
    return tuple(parameters), converted


def _converted(placed: Placed, convert: Convert) -> Tensor | None:
    if not isinstance(placed.module, nn.Linear):  # experts are [experts, out, in], a `Conv1D` [in, out]
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that this interface may change
        try:
            return convert(placed.parameter.data)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # how torch rejects a shape
            return None
