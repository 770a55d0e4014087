"""A run: a recipe becomes a generator of events. To cancel is to stop reading.

Where memory runs out, the run gives up some of its room (`engine.hardware.batching`), says so, and goes on
behind the blocks that it has finished.

One attempt at a run, with so much room: load, cut windows, share out, prune block by block, measure.
"""

from __future__ import annotations

import gc
import os
import platform
import traceback
from collections.abc import Generator, Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch
import transformers

from engine.corpora.windows import Windows
from engine.cost.estimate import estimate
from engine.errors import ModelError, PrunescopeError, RecipeError
from engine.evaluation.perplexity import perplexity
from engine.evaluation.tasks.cache import ResultCache
from engine.evaluation.tasks.evaluate import evaluate
from engine.events import (
    Allocated,
    Environment,
    Evaluated,
    Event,
    Failed,
    Finished,
    LinearShape,
    ModelLoaded,
    Noted,
    Resumed,
    RunStarted,
    TaskMeasured,
    TaskProgressed,
    Which,
)
from engine.hardware.batching import Room, is_out_of_memory
from engine.hardware.device import Clock, device_name, pick_device, pick_dtype
from engine.hardware.memory import measure, peak_device, peak_host, reset_peaks
from engine.hub.settings import hub_cache
from engine.inputs import located, read_windows
from engine.models.block import Linear
from engine.models.language_model import LanguageModel, Stream
from engine.models.loading import load, read_config, stored_dtype
from engine.models.summary import skipped_weights, summarise
from engine.models.threads import threads_for
from engine.pruning.patterns import Sparsity
from engine.pruning.pipeline import Streams, prune_blocks
from engine.pruning.plan import Plan
from engine.pruning.search import Walk
from engine.pruning.shares import Shares, spreads
from engine.pruning.statistics import Statistics
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe
from engine.run_cache import Workbench
from engine.validation import faults_against
from engine.version import VERSION

DOCUMENTS = "PRUNESCOPE_TASKS"
"""Environment variable that names a directory with the tasks' documents as `NAME.jsonl`, in place of the hub."""


@dataclass(frozen=True)
class Attempt:
    """What an attempt is given.

    Attributes:
        directory: the model on the disk.
        kept: where pruned blocks go; those it holds are put back.
        cache: a directory for what other runs can use again, None to keep nothing.
        bench: what other runs of this process have left that this one can use.
        clock: counts the seconds of each phase.
    """

    recipe: Recipe
    directory: Path
    kept: MutableMapping[int, BlockWeights]
    room: Room
    cache: Path | None
    clock: Clock
    device: torch.device
    bench: Workbench

    def events(self) -> Iterator[Event]:
        """From the model to the last event."""
        with self.clock.phase("load"):
            model = self.bench.model(
                (self.directory, self._dtype, self.device, self.room.residence), self.load
            )
        loaded = _loaded(model)
        yield loaded
        with threads_for(model, alone=not self.recipe.evaluations):
            yield from self._prune(model)
            yield from self._try_tasks(model)
        yield Finished(
            coverage=loaded.prunable / loaded.parameters,
            timings=dict(self.clock.seconds),
            peak_host=peak_host(),
            peak_device=peak_device(self.device),
        )

    def load(self) -> LanguageModel:
        """The dense model."""
        return load(
            self.directory,
            dtype=self._dtype,
            device=self.device,
            residence=self.room.residence,
            name=self.recipe.model,
        )

    @property
    def _dtype(self) -> torch.dtype:
        return pick_dtype(
            self.recipe.dtype, self.device, stored_dtype(read_config(self.directory, self.recipe.model))
        )

    def _prune(self, model: LanguageModel) -> Iterator[Event]:
        plan, sizes = self._plan(model)
        with self.clock.phase("windows"):
            calibration, evaluations = yield from read_windows(self.recipe, model, self.cache)
        with self.clock.phase("embed"):
            streams, parts = self._streams(model, calibration, evaluations)
        shares = yield from self._allocate(model, plan, sizes, streams.calibration)
        yield from prune_blocks(model, streams, plan, shares, self.kept, self.clock)
        if streams.dense is not None and streams.pruned is not None:
            for (corpus, windows), part in zip(evaluations.items(), parts, strict=True):
                with self.clock.phase("evaluate"):
                    behind = streams.dense.part(part)
                    dense = self.bench.recall(
                        ("score", windows.fingerprint, windows.bytes),
                        partial(perplexity, model, behind, windows.bytes),
                    )
                    pruned = perplexity(model, streams.pruned.part(part), windows.bytes)
                yield Evaluated(corpus=corpus, dense=dense, pruned=pruned)

    def _try_tasks(self, pruned: LanguageModel) -> Iterator[Event]:
        """Both models on the zero-shot tasks: the pruned one, which is there, then the dense one, read anew."""
        if not self.recipe.tasks:
            return
        if pruned.residence == "streamed":
            yield Noted(
                message="The zero-shot tasks were left out: they need the whole model in memory, and this one is read block by block."
            )
            return
        yield from self._try_on("pruned", pruned)
        self.bench.clear()
        pruned.module.to("meta")  # its place is needed by the dense one
        with self.clock.phase("load"):
            dense = self.load()
        yield from self._try_on("dense", dense)

    def _try_on(self, which: Which, model: LanguageModel) -> Iterator[Event]:
        recipe = self.recipe
        fingerprint = f"{recipe.model} {recipe.revision} {self.directory.name} {model.dtype}" + (
            f" {recipe.key}" if which == "pruned" else ""
        )
        results = None if self.cache is None else ResultCache(self.cache / "tasks", fingerprint)
        documents = os.environ.get(DOCUMENTS)
        asking = evaluate(
            model,
            recipe.tasks,
            limit=recipe.task_limit,
            data=Path(documents) if documents else None,
            cache=results,
        )
        with self.clock.phase("tasks"), closing(asking):
            for progress in asking:
                yield TaskProgressed(
                    which=which, task=progress.task, done=progress.done, total=progress.total
                )
                if progress.score is not None:
                    yield TaskMeasured(which=which, score=progress.score)

    def _plan(self, model: LanguageModel) -> tuple[Plan, list[int]]:
        """The methods and the blocks' prunable weights, once the recipe is known to suit the model."""
        sizes = [sum(linear.weight.numel() for linear in block.linears.values()) for block in model.blocks]
        widths = {path: linear.shape[1] for path, linear in model.linears.items()}
        if faults := faults_against(self.recipe.model_dump(), widths, sizes):
            raise RecipeError(faults)
        choices = (
            "score",
            "pattern",
            "group",
            "permutation",
            "allocation",
            "update",
            "refinement",
            "settings",
        )
        return Plan.of(**self.recipe.model_dump(include=set(choices))), sizes

    @torch.no_grad()
    def _streams(
        self, model: LanguageModel, calibration: Windows, evaluations: Mapping[str, Windows]
    ) -> tuple[Streams, list[slice]]:
        """The windows at the first block, and which of the evaluation's batches belong to each corpus."""

        def record(windows: Windows) -> Stream:
            return model.record(windows.ids, self.room.batch(windows.ids.shape[1]), offload=self.room.offload)

        def recorded(windows: Windows) -> Stream:
            return self.bench.recall(("windows", self.room, windows.fingerprint), partial(record, windows))

        streams, parts, batches = Streams(recorded(calibration).fork()), [], 0
        if self.bench.keeps:
            streams.first = self.bench.recall(("first", self.room, calibration.fingerprint), dict)
        if evaluations:
            found = [recorded(windows) for windows in evaluations.values()]
            for stream in found:
                parts.append(slice(batches, batches + len(stream.ids)))
                batches += len(stream.ids)
            name = ("dense", self.room, *(windows.fingerprint for windows in evaluations.values()))
            streams.dense = self.bench.recall(
                name, lambda: self.bench.remembered(Stream.joined(found))
            ).again()
            streams.pruned = streams.dense.fork()
        return streams, parts

    @torch.no_grad()
    def _allocate(
        self, model: LanguageModel, plan: Plan, sizes: Sequence[int], calibration: Stream
    ) -> Generator[Event, None, Shares]:
        """How much each block loses; what the method measures on the way passes through."""

        def prune(linear: Linear, statistics: Statistics, sparsity: Sparsity) -> torch.Tensor:
            return plan.prune(
                linear.weight, statistics, sparsity, path=linear.path, attention=linear.attention
            ).weight

        with self.clock.phase("allocate"):
            shares = yield from plan.allocate(
                Walk(self.recipe.sparsity, sizes, model, calibration, prune, plan.needs)
            )
        yield Allocated(ratios=shares.blocks, clipped=shares.clipped, rows=spreads(shares))
        return shares


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
        residence=model.residence,
    )


def _shape(linear: Linear) -> LinearShape:
    rows, columns = linear.shape
    return LinearShape(name=linear.name, rows=rows, columns=columns)


def run(
    recipe: Recipe,
    kept: MutableMapping[int, BlockWeights] | None = None,
    cache: Path | None = None,
    bench: Workbench | None = None,
) -> Iterator[Event]:
    """Prune and evaluate.

    Args:
        recipe: what to do.
        kept: where each pruned block's weights go as soon as it is done. Blocks that it already holds are put
            back instead of being pruned again, so an interrupted run goes on behind them with the same
            result; `Resumed` says how many.
        cache: a directory for what other runs can use again (token windows, results of tasks); None to keep
            nothing.
        bench: what the runs of this process share; None to share nothing.

    Yields:
        Events in the order that `engine.events` gives. Errors do not escape: they become `Failed`.
    """
    try:
        device = pick_device(recipe.device)
        clock = Clock(device)
        start = clock.now()
        with (bench or Workbench(keep=False)).taken() as mine:
            for event in _run(recipe, {} if kept is None else kept, cache, mine, clock, device):
                yield event.model_copy(update={"elapsed": clock.now() - start})
    except PrunescopeError as error:
        yield Failed(message=str(error), detail=traceback.format_exc())
    except Exception as error:  # the last fence: whoever watches gets a sentence, the log gets the traceback
        yield Failed(
            message=f"Something unexpected went wrong: {type(error).__name__}: {_first_line(error)}",
            detail=traceback.format_exc(),
        )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]


def _run(
    recipe: Recipe,
    kept: MutableMapping[int, BlockWeights],
    cache: Path | None,
    bench: Workbench,
    clock: Clock,
    device: torch.device,
) -> Iterator[Event]:
    reset_peaks(device)
    yield RunStarted(
        key=recipe.key,
        recipe=recipe.model_dump(mode="json"),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=_environment(device),
    )
    if kept:
        yield Resumed(blocks=len(kept))
    with clock.phase("fetch"):
        directory = yield from located(recipe)
    summary = summarise(str(directory))
    cost = estimate(recipe, summary, measure(device.type, hub_cache()))
    room = Room.on(device, cost.residence, offload=cost.offload)
    while True:
        try:
            yield from Attempt(recipe, directory, kept, room, cache, clock, device, bench).events()
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            smaller = room.smaller(recipe.window(summary.longest), device)
            if smaller is None:
                raise ModelError(_too_large(recipe, device, error), kind="memory") from error
        room, words = smaller
        bench.clear()
        _let_go(device)
        yield Noted(
            message=f"Memory ran out, so the run went on with {words}. The result is the same, it takes longer."
        )
        if kept:
            yield Resumed(blocks=len(kept))


def _let_go(device: torch.device) -> None:
    """Free what the last attempt held, as far as nobody refers to it any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _too_large(recipe: Recipe, device: torch.device, error: BaseException) -> str:
    return (
        f"Memory ran out on {device.type}, with one window at a time and the model read block by block. "
        f"Use fewer calibration windows than {recipe.samples}, shorter ones (--length), bfloat16, or a smaller model. ({_first_line(error)})"
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
