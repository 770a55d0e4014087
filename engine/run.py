"""A run: a recipe becomes a generator of events. To cancel is to stop reading."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Generator, Iterator, MutableMapping, Sequence
from datetime import UTC, datetime

import torch
import transformers

from engine.corpora.windows import Role, Windows, calibration_windows, evaluation_windows
from engine.errors import CorpusError, PrunescopeError, RecipeError
from engine.evaluation.perplexity import perplexity
from engine.events import (
    Allocated,
    Environment,
    Evaluated,
    Event,
    Failed,
    Finished,
    LinearShape,
    ModelLoaded,
    Resumed,
    RunStarted,
    WindowsReady,
)
from engine.memory import peak_device, peak_host, reset_peaks
from engine.models.block import Linear
from engine.models.clock import Clock
from engine.models.device import device_name, pick_device, pick_dtype
from engine.models.language_model import LanguageModel, Stream
from engine.models.loading import load, load_config, stored_dtype
from engine.models.summary import longest, skipped_weights
from engine.models.threads import threads_for
from engine.pruning.patterns import Sparsity
from engine.pruning.pipeline import Streams, prune_blocks
from engine.pruning.plan import Plan
from engine.pruning.shares import Shares, spreads
from engine.pruning.statistics import Statistics
from engine.pruning.walk import Walk
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe
from engine.validation import faults_against
from engine.version import VERSION

TOKENS_AT_ONCE = {"cpu": 1024, "mps": 8192, "cuda": 16384}
"""Tokens a batch, by device: on a CPU the activations of a batch should stay in the cache (see the benchmark)."""


def run(recipe: Recipe, kept: MutableMapping[int, BlockWeights] | None = None) -> Iterator[Event]:
    """Prune and evaluate.

    Args:
        recipe: what to do.
        kept: where each pruned block's weights go as soon as it is done. Blocks that it already holds are put back instead of being pruned
            again, so an interrupted run goes on behind them with the same result; `Resumed` says how many.

    Yields:
        Events in the order that `engine.events` gives. Errors do not escape: they become `Failed`.
    """
    try:
        device = pick_device(recipe.device)
        clock = Clock(device)
        start = clock.now()
        for event in _run(recipe, {} if kept is None else kept, clock, device):
            yield event.model_copy(update={"elapsed": clock.now() - start})
    except torch.OutOfMemoryError as error:
        yield Failed(message=f"The device ran out of memory. Use fewer or shorter windows, or a smaller model. ({_first_line(error)})")
    except PrunescopeError as error:
        yield Failed(message=str(error), detail=traceback.format_exc())
    except Exception as error:  # the last fence: whoever watches gets a sentence, the log gets the traceback
        yield Failed(message=f"Something unexpected went wrong: {type(error).__name__}: {_first_line(error)}", detail=traceback.format_exc())


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]


def _run(recipe: Recipe, kept: MutableMapping[int, BlockWeights], clock: Clock, device: torch.device) -> Iterator[Event]:
    reset_peaks(device)
    yield RunStarted(
        key=recipe.key,
        recipe=recipe.model_dump(mode="json"),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=_environment(device),
    )
    if kept:
        yield Resumed(blocks=len(kept))
    with clock.phase("load"):
        config = load_config(recipe.model, recipe.revision)
        model = load(recipe.model, revision=recipe.revision, dtype=pick_dtype(recipe.dtype, device, stored_dtype(config)), device=device)
    loaded = _loaded(model)
    yield loaded
    with threads_for(model, alone=recipe.evaluation is None):
        yield from _prune(recipe, model, loaded, kept, clock)


def _prune(recipe: Recipe, model: LanguageModel, loaded: ModelLoaded, kept: MutableMapping[int, BlockWeights], clock: Clock) -> Iterator[Event]:
    plan, sizes = _plan(recipe, model)
    with clock.phase("windows"):
        calibration, evaluation = _windows(recipe, model)
    yield _ready("calibration", recipe.calibration, calibration)
    if evaluation is not None and recipe.evaluation is not None:
        yield _ready("evaluation", recipe.evaluation, evaluation)
    with clock.phase("embed"):
        streams = _streams(model, calibration, evaluation)
    shares = yield from _allocate(recipe, model, plan, sizes, streams.calibration, clock)
    yield from prune_blocks(model, streams, plan, shares, kept, clock)
    if streams.dense is not None and streams.pruned is not None:
        with clock.phase("evaluate"):
            scores = perplexity(model, streams.dense), perplexity(model, streams.pruned)
        yield Evaluated(dense=scores[0], pruned=scores[1])
    yield Finished(
        coverage=loaded.prunable / loaded.parameters,
        timings=dict(clock.seconds),
        peak_host=peak_host(),
        peak_device=peak_device(model.device),
    )


def _environment(device: torch.device) -> Environment:
    return Environment(
        prunescope=VERSION,
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        platform=platform.platform(terse=True),
        device=device.type,
        device_name=device_name(device),
        threads=torch.get_num_threads(),
    )


def _loaded(model: LanguageModel) -> ModelLoaded:
    skipped = skipped_weights(model.module)
    shapes = [tuple(_shape(linear) for linear in block.linears.values()) for block in model.blocks]
    prunable = sum(linear.weight.numel() for linear in model.linears.values())
    return ModelLoaded(
        architecture=type(model.module).__name__,
        path=model.blocks[0].path.rpartition(".")[0],
        parameters=prunable + sum(skipped.values()),
        prunable=prunable,
        skipped=skipped,
        blocks=len(model.blocks),
        linears=tuple(shapes),
        dtype=str(model.dtype).removeprefix("torch."),
        bytes=sum(parameter.numel() * parameter.element_size() for parameter in model.module.parameters()),
    )


def _shape(linear: Linear) -> LinearShape:
    rows, columns = linear.shape
    return LinearShape(name=linear.name, rows=rows, columns=columns)


def _plan(recipe: Recipe, model: LanguageModel) -> tuple[Plan, list[int]]:
    """The methods and the blocks' prunable weights, once the recipe is known to suit the model."""
    sizes = [sum(linear.weight.numel() for linear in block.linears.values()) for block in model.blocks]
    widths = {path: linear.shape[1] for path, linear in model.linears.items()}
    if faults := faults_against(recipe.model_dump(), widths, sizes):
        raise RecipeError(faults)
    choices = ("score", "pattern", "group", "permutation", "allocation", "update", "refinement", "settings")
    return Plan.of(**recipe.model_dump(include=set(choices))), sizes


@torch.no_grad()
def _allocate(
    recipe: Recipe, model: LanguageModel, plan: Plan, sizes: Sequence[int], calibration: Stream, clock: Clock
) -> Generator[Event, None, Shares]:
    """How much each block loses; what the method measures on the way passes through."""

    def prune(linear: Linear, statistics: Statistics, sparsity: Sparsity) -> torch.Tensor:
        return plan.prune(linear.weight, statistics, sparsity, path=linear.path, attention=linear.attention).weight

    with clock.phase("allocate"):
        shares = yield from plan.allocate(Walk(recipe.sparsity, sizes, model, calibration, prune, plan.needs))
    yield Allocated(ratios=shares.blocks, clipped=shares.clipped, rows=spreads(shares))
    return shares


def _windows(recipe: Recipe, model: LanguageModel) -> tuple[Windows, Windows | None]:
    calibration = calibration_windows(
        recipe.calibration, model.tokenizer, model.vocabulary, samples=recipe.samples, length=recipe.length, seed=recipe.seed
    )
    evaluation = None
    if recipe.evaluation is not None:
        evaluation = evaluation_windows(recipe.evaluation, model.tokenizer, model.vocabulary, length=recipe.length)
    most = longest(model.module.config)
    for windows in (calibration, evaluation):
        if windows is not None and most is not None and windows.ids.shape[1] > most:
            raise CorpusError(f"The windows have {windows.ids.shape[1]} tokens, but {recipe.model} takes at most {most}. Ask for shorter ones.")
    return calibration, evaluation


def _ready(role: Role, corpus: str, windows: Windows) -> WindowsReady:
    return WindowsReady(
        role=role,
        corpus=corpus,
        documents=windows.documents,
        windows=windows.ids.shape[0],
        length=windows.ids.shape[1],
        available=windows.available,
        seed=windows.seed,
        fingerprint=windows.fingerprint,
    )


@torch.no_grad()
def _streams(model: LanguageModel, calibration: Windows, evaluation: Windows | None) -> Streams:
    streams = Streams(model.record(calibration.ids, batch_size(calibration, model.device)))
    if evaluation is not None:
        streams.dense = model.record(evaluation.ids, batch_size(evaluation, model.device))
        streams.pruned = streams.dense.fork()
    return streams


def batch_size(windows: Windows, device: torch.device) -> int:
    """Windows a batch."""
    return max(1, TOKENS_AT_ONCE[device.type] // windows.ids.shape[1])
