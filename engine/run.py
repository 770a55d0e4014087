"""Run a recipe: `run` yields events, from `RunStarted` to the one that ends the run. To cancel, stop reading.

In order:

1. Find the model on this machine, or download it (`engine.inputs`).
2. Decide where the model and the hidden states are kept (`engine.cost.footprint`).
3. Load the model, check the recipe against it, load the zero-shot tasks, check that the model is causal, and
   cut the calibration and evaluation windows.
4. Allocate: decide how much each block (or row) loses.
5. Prune block by block (`engine.pruning.pipeline`). Each finished block is stored, so that a run can resume.
6. Measure perplexity and zero-shot tasks, dense and pruned.

If memory runs out, steps 3 to 6 are tried again using less of it (`MemoryPlan.reduced`), resuming after the
blocks that are finished.
"""

from __future__ import annotations

import gc
import os
import platform
import traceback
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, MutableMapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path

import torch
import transformers

from engine import VERSION
from engine.corpora.windows import Windows
from engine.cost.footprint import placement
from engine.errors import Fault, ModelError, NonFiniteError, PrunescopeError, RecipeError
from engine.evaluation.perplexity import perplexity
from engine.evaluation.tasks.cache import ResultCache
from engine.evaluation.tasks.catalogue import TASKS
from engine.evaluation.tasks.evaluate import evaluate, prepare
from engine.evaluation.tasks.harness import Exam
from engine.events import (
    Allocated,
    Environment,
    Evaluated,
    Event,
    Failed,
    Fetching,
    Finished,
    LinearShape,
    ModelLoaded,
    Noted,
    Resumed,
    RunStarted,
    Score,
    TaskMeasured,
    TaskProgressed,
    WeightSource,
    Which,
)
from engine.hardware.device import (
    Clock,
    available_threads,
    device_name,
    full_precision,
    pick_device,
    pick_dtype,
    threads_for,
)
from engine.hardware.memory import measure_capacity, peak_device, peak_host, reset_peaks
from engine.hardware.memory_plan import MemoryPlan, is_out_of_memory
from engine.hardware.shared_cache import SharedCache
from engine.inputs import model_digest, model_directory, read_windows
from engine.models.biases import possible_biases
from engine.models.block import Linear
from engine.models.causality import CausalityProof
from engine.models.gguf.unpacked import is_content
from engine.models.gguf.unpacking import weight_source
from engine.models.identity import fingerprint
from engine.models.language_model import LanguageModel, Stream
from engine.models.loading import load, read_config, stored_dtype
from engine.models.nonfinite import with_cause
from engine.models.parts import sentence
from engine.models.suitability import computing
from engine.models.summary import skipped_weights, summarise
from engine.numbers import listed
from engine.progress import drain
from engine.pruning.axes import Shares
from engine.pruning.pipeline import Streams, allocate, prune_blocks
from engine.pruning.plan import Plan
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe
from engine.recipe.validation import NO_BIAS, faults_against
from engine.run_cache import Lease, ModelCache

DOCUMENTS = "PRUNESCOPE_TASKS"
"""Environment variable: a directory with the tasks' documents as `NAME.jsonl`, used instead of the hub."""
CHOICES = (
    "score", "pattern", "group", "permutation", "allocation", "update", "refinement", "settings", "digests",
)  # fmt: skip
"""The fields of a recipe that say how to prune."""


def run(
    recipe: Recipe,
    finished_blocks: MutableMapping[int, BlockWeights] | None = None,
    cache: Path | None = None,
    models: ModelCache | None = None,
) -> Iterator[Event]:
    """Prune a model and evaluate it.

    Args:
        recipe: what to do, pinned.
        finished_blocks: receives the weights of each block as soon as it is pruned. Blocks that it already
            holds are restored instead of pruned again, so an interrupted run resumes with the same result.
        cache: a directory for what other runs can reuse (token windows, task results); None for no cache.
        models: the loaded models that the runs of this process share; None to share nothing.

    Yields:
        Events in the order given in `engine.events`. Errors are not raised: they become `Failed`.
    """
    try:
        device = pick_device(recipe.device)
    except RecipeError as error:
        yield _run_started(recipe, pick_device())  # so that the record of the failed run has its recipe
        yield Failed(message=str(error))
        return
    try:
        clock = Clock(device)
        start = clock.now()
        with (models or ModelCache(SharedCache(share=0))).lease() as lease:  # nothing is cached
            blocks = {} if finished_blocks is None else finished_blocks
            for event in _run(recipe, blocks, cache, lease, clock, device):
                yield event.model_copy(update={"elapsed": clock.now() - start})
    except Exception as error:  # the user gets a sentence, the log the traceback
        # A cancel arrives here as GeneratorExit, which is no Exception and passes.
        yield Failed(message=_sentence(error), detail=traceback.format_exc())


def prepare_run(
    recipe: Recipe, models: ModelCache, cache: Path | None = None
) -> Generator[Event | None, None, None]:
    """Pass the evaluation text through the dense model, as a run of the recipe would before and while it
    prunes, so that runs which share the model and the text find the result in `models`. To give up, stop
    reading.

    Args:
        recipe: pinned.
        cache: as for `run`.

    Yields:
        What is to be told of the texts, then None after each block.

    Raises:
        PrunescopeError: the model or a text cannot be read.
    """
    device = pick_device(recipe.device)
    directory = drain(model_directory(recipe))
    with models.lease() as lease:
        memory = _memory_plan(recipe, directory, device)
        yield from Attempt(recipe, directory, {}, memory, cache, Clock(device), device, lease).prepare()


def _memory_plan(recipe: Recipe, directory: Path, device: torch.device) -> MemoryPlan:
    """Return what a run holds in memory at first."""
    summary = summarise(str(directory), measure_speed=False)  # only a duration needs the speed
    placed = placement(recipe, summary, measure_capacity(device.type))
    return MemoryPlan(placed.batch, placed.residence, placed.offload)


def _run(
    recipe: Recipe,
    finished_blocks: MutableMapping[int, BlockWeights],
    cache: Path | None,
    lease: Lease,
    clock: Clock,
    device: torch.device,
) -> Iterator[Event]:
    """The events, without their times; errors are raised."""
    reset_peaks(device)  # so that `Finished` reports the peaks of this run alone, where the system allows it
    yield _run_started(recipe, device)
    if finished_blocks:
        yield Resumed(blocks=len(finished_blocks))
    with clock.phase("fetch"):
        directory = yield from model_directory(recipe)
    memory = _memory_plan(recipe, directory, device)
    while True:
        try:
            yield from Attempt(
                recipe, directory, finished_blocks, memory, cache, clock, device, lease
            ).events()
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            context_length = summarise(str(directory), measure_speed=False).context_length
            smaller = memory.reduced(recipe.window(context_length), device)
            if smaller is None:
                raise ModelError(_too_large(recipe, device, error), kind="memory") from error
        # Only here, after the `except`: until then the traceback refers to the failed attempt's tensors.
        memory, words = smaller
        lease.clear()
        gc.collect()
        if device.type == "cuda":
            # PyTorch keeps freed memory in blocks of the old sizes, which the next attempt may not fit.
            torch.cuda.empty_cache()
        yield Noted(
            message=f"Memory ran out, so the run continued with {words}. "
            "The result is the same, but it takes longer."
        )
        if finished_blocks:
            yield Resumed(blocks=len(finished_blocks))


def _sentence(error: Exception) -> str:
    """Return why a run failed."""
    if is_out_of_memory(error) and getattr(error, "kind", "") != "memory":  # else it says so already
        return (
            "Memory ran out while the model was being read. Close other programs, raise the limit on memory, "
            f"or choose a smaller model. ({_first_line(error)})"
        )
    if isinstance(error, PrunescopeError):
        return str(error)
    return f"Something unexpected went wrong: {type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]


def _too_large(recipe: Recipe, device: torch.device, error: BaseException) -> str:
    return (
        f"Memory ran out on {device.type}, even with one window at a time and the model read block by block. "
        f"Use fewer calibration windows than {recipe.samples}, shorter windows (--length), bfloat16, or "
        f"a smaller model. ({_first_line(error)})"
    )


def _run_started(recipe: Recipe, device: torch.device) -> RunStarted:
    return RunStarted(
        key=recipe.key,
        recipe=recipe.model_dump(mode="json"),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=Environment(
            prunescope=VERSION,
            python=platform.python_version(),
            torch=torch.__version__,
            transformers=transformers.__version__,
            platform=platform.platform(terse=True),
            device=device.type,
            device_name=device_name(device),
            threads=available_threads(),
        ),
    )


@dataclass(frozen=True)
class Attempt:
    """One attempt at a run, from loading the model to the last measurement, within a given memory limit.

    Attributes:
        directory: the model's files.
        finished_blocks: receives pruned blocks; those that it already holds are restored.
        memory: what is held in memory at a time.
        cache: a directory for what other runs can reuse, None for no cache.
        clock: counts the seconds of each phase.
        lease: gives the model, and what other runs of this process have derived from it.
    """

    recipe: Recipe
    directory: Path
    finished_blocks: MutableMapping[int, BlockWeights]
    memory: MemoryPlan
    cache: Path | None
    clock: Clock
    device: torch.device
    lease: Lease

    def events(self) -> Iterator[Event]:
        """Do all of it; from `ModelLoaded` to `Finished`.

        Raises:
            NumericsError: a number is not finite. It never leaves as a result.
        """
        try:
            with closing(self._events()) as events:
                for event in events:
                    if names := event.not_finite:
                        raise NonFiniteError(f"Some results are not finite ({listed(names)}).")
                    yield event
        except NonFiniteError as error:
            raise with_cause(error, self.directory, self.recipe.model, self._dtype) from error

    def _events(self) -> Generator[Event, None, None]:
        with self.clock.phase("load"):
            model, digest, skipped = self._dense()
        loaded = _model_loaded(model, skipped, digest, self._source())
        yield loaded
        if note := sentence(loaded.skipped):
            yield Noted(message=note)
        if model.tokenizer_fault:
            yield Noted(message=model.tokenizer_fault)
        for warning in model.warnings:
            yield Noted(message=f"transformers warns about this model: {warning}")
        # `alone`: without an evaluation nothing passes through a block at the same time.
        with threads_for(small=model.is_small, alone=not self.recipe.evaluations):
            exams = yield from self._load_exams(model)
            yield from self._prune_and_measure(model)
            yield from self._try_tasks(model, exams)
        yield Finished(
            coverage=loaded.prunable / loaded.parameters,
            timings=dict(self.clock.seconds),
            peak_host=peak_host(),
            peak_device=peak_device(self.device),
        )

    def prepare(self) -> Generator[Event | None, None, None]:
        """Do what depends on the dense model and the texts alone; see `prepare_run`."""
        model, *_ = self._dense()
        if not self.lease.caches:
            return
        with threads_for(small=model.is_small, alone=False):
            self._proof(model)
            calibration, evaluations = yield from read_windows(self.recipe, model, self.cache)
            streams, parts = self._streams(model, calibration, evaluations)
            if streams.dense is None:
                return
            for block in model.blocks:
                with full_precision(), torch.no_grad():
                    streams.dense.advance(block)
                yield None
            for windows, part in zip(evaluations.values(), parts, strict=True):
                self._dense_score(model, windows, streams.dense.part(part))

    def _dense(self) -> tuple[LanguageModel, str, Mapping[str, int]]:
        """Return the dense model, the hash of its files, and the number of weights that are never pruned."""
        identity = (self.directory, self._dtype, self.device, self.memory.residence)
        model = self.lease.model((*identity, fingerprint(self.recipe.model)), self._load)
        # Once per loaded model, because it reads all files.
        digest = self.lease.recall("digest", partial(model_digest, self.directory, self.recipe.model))
        return model, digest, self.lease.recall("skipped", partial(_skipped, model))

    def _dense_score(self, model: LanguageModel, windows: Windows, stream: Stream) -> Score:
        """Return the dense model's score; it depends on the windows alone, so other runs reuse it."""
        return self.lease.recall(
            ("score", windows.fingerprint, windows.bytes),
            partial(perplexity, model, stream, windows.bytes, which="dense"),
        )

    def _source(self) -> WeightSource | None:
        """Return the GGUF file that the weights come from, by its present name."""
        source = weight_source(self.directory)
        if source is None or not is_content(self.recipe.revision):
            return source
        return source.model_copy(update={"file": Path(self.recipe.model).name})

    def _load(self) -> LanguageModel:
        """Read the dense model."""
        return load(
            self.directory,
            dtype=self._dtype,
            device=self.device,
            residence=self.memory.residence,
            name=self.recipe.model,
        )

    @cached_property  # reading the configuration takes 5 ms
    def _dtype(self) -> torch.dtype:
        stored = stored_dtype(read_config(self.directory, self.recipe.model))
        return pick_dtype(self.recipe.dtype, self.device, stored)

    def _prune_and_measure(self, model: LanguageModel) -> Iterator[Event]:
        """Prune the model in place and measure both perplexities."""
        plan = yield from self._plan(model)
        with self.clock.phase("load"):
            proof = self._proof(model)
        with self.clock.phase("windows"):
            calibration, evaluations = yield from read_windows(self.recipe, model, self.cache)
        with self.clock.phase("embed"):
            streams, parts = self._streams(model, calibration, evaluations)
            streams.proof = proof
        shares = yield from self._allocate(model, plan, streams.calibration)
        yield from prune_blocks(model, streams, plan, shares, self.finished_blocks, self.clock)
        if streams.dense is None or streams.pruned is None:
            return
        for (corpus, windows), part in zip(evaluations.items(), parts, strict=True):
            with self.clock.phase("evaluate"):
                dense = self._dense_score(model, windows, streams.dense.part(part))
                pruned = perplexity(model, streams.pruned.part(part), windows.bytes, which="pruned")
            yield Evaluated(corpus=corpus, dense=dense, pruned=pruned)

    def _plan(self, model: LanguageModel) -> Generator[Event, None, Plan]:
        """Return the chosen methods; yield a note about linears that can have no bias.

        Raises:
            RecipeError: the recipe does not suit this model.
        """
        widths = {path: linear.shape[1] for path, linear in model.linears.items()}
        if faults := faults_against(self.recipe.model_dump(), widths, model.sizes):
            raise RecipeError(faults)
        plan = Plan.of(**self.recipe.model_dump(include=set(CHOICES)))
        if self.recipe.bias == "compensate":
            config = read_config(self.directory, self.recipe.model)
            biased = possible_biases(config, self.recipe.model).of(model.blocks)
            plan = replace(plan, compensated=biased)
            yield from without_bias(model, biased)
        return plan

    def _proof(self, model: LanguageModel) -> CausalityProof:
        """Return the proof that the model is causal, which runs with the same model share. If the model is
        streamed, `prune_blocks` completes it.
        """
        proof = self.lease.recall("causality", partial(CausalityProof, model, self.recipe.model))
        proof.check_early()
        return proof

    @torch.no_grad()
    def _streams(
        self, model: LanguageModel, calibration: Windows, evaluations: Mapping[str, Windows]
    ) -> tuple[Streams, list[slice]]:
        """Return the windows at the input of the first block, and for each corpus its slice of the batches.

        All corpora pass through the blocks as one stream. What depends on the dense model alone is shared
        with other runs through `lease`.
        """

        def recorded(windows: Windows) -> Stream:
            length = windows.ids.shape[1]
            batch = self.memory.windows_per_batch(length)  # windows per batch
            record = partial(model.record, windows.ids, batch, offload=self.memory.offload)
            with computing(model, self.recipe.model, length):
                return self.lease.recall(("windows", self.memory, windows.fingerprint), record)

        streams, parts, batches = Streams(recorded(calibration).fork()), [], 0
        if self.lease.caches:  # filled by `prune_blocks`, reused by runs with the same calibration windows
            streams.first = self.lease.recall(("first", self.memory, calibration.fingerprint), dict)
        if evaluations:
            inputs = [recorded(windows) for windows in evaluations.values()]
            for stream in inputs:
                # Batches of the joined stream.
                parts.append(slice(batches, batches + len(stream.ids)))
                batches += len(stream.ids)
            name = ("dense", self.memory, *(windows.fingerprint for windows in evaluations.values()))
            # `again`: this run's own position in windows that other runs pass through, too.
            streams.dense = self.lease.recall(
                name, lambda: self.lease.remembered(Stream.joined(inputs))
            ).again()
            streams.pruned = streams.dense.fork()
        return streams, parts

    def _allocate(
        self, model: LanguageModel, plan: Plan, calibration: Stream
    ) -> Generator[Event, None, Shares]:
        """Decide how much each block loses. Events of the allocation method are passed on."""
        with self.clock.phase("allocate"):
            shares = yield from allocate(model, calibration, plan, self.recipe.sparsity)
        yield Allocated(ratios=shares.blocks, clipped=shares.clipped, rows=shares.spreads())
        return shares

    def _load_exams(self, model: LanguageModel) -> Generator[Event, None, Mapping[str, Exam]]:
        """Return the zero-shot tasks by name, loaded before anything is pruned: what cannot be loaded ends
        the run now.
        """
        if not self.recipe.tasks or model.residence == "streamed":
            return {}
        caches = [self._results(which, model) for which in ("pruned", "dense")]
        limit = self.recipe.task_limit
        steps = prepare(model, self.recipe.tasks, limit=limit, data=_documents(), caches=caches)
        with self.clock.phase("tasks"), closing(steps):
            while True:
                try:
                    progress = next(steps)
                except StopIteration as end:
                    exams: Mapping[str, Exam] = end.value
                    return exams
                yield Fetching(what=f"the examples of {TASKS[progress.task].title}", done=0, total=None)

    def _try_tasks(self, pruned: LanguageModel, exams: Mapping[str, Exam]) -> Iterator[Event]:
        """Evaluate both models on the zero-shot tasks: first the pruned one, which is loaded, then the dense
        one.
        """
        if not self.recipe.tasks:
            return
        if pruned.residence == "streamed":
            yield Noted(
                message="The zero-shot tasks were skipped: they need the whole model in memory, "
                "but this one is read block by block."
            )
            return
        yield from self._try_on("pruned", pruned, exams)
        self.lease.clear()  # also drops the cached copy of its dense weights
        pruned.module.to("meta")  # frees its weights: memory may not hold two models
        with self.clock.phase("load"):
            dense = self._load()
        yield from self._try_on("dense", dense, exams)

    def _results(self, which: Which, model: LanguageModel) -> ResultCache | None:
        """Return the cache of one model's scores on the tasks."""
        recipe = self.recipe
        # The directory of a model from the hub is named after its commit.
        fingerprint = f"{recipe.model} {recipe.revision} {self.directory.name} {model.dtype}"
        if which == "pruned":  # the dense model's results serve all recipes
            fingerprint += f" {recipe.key}"
        return None if self.cache is None else ResultCache(self.cache / "tasks", fingerprint)

    def _try_on(self, which: Which, model: LanguageModel, exams: Mapping[str, Exam]) -> Iterator[Event]:
        recipe, results = self.recipe, self._results(which, model)
        steps = evaluate(
            model, recipe.tasks, limit=recipe.task_limit, data=_documents(), cache=results, exams=exams
        )
        with self.clock.phase("tasks"), closing(steps):
            for progress in steps:
                yield TaskProgressed(
                    which=which, task=progress.task, done=progress.done, total=progress.total
                )
                if progress.score is not None:
                    yield TaskMeasured(which=which, score=progress.score)


def without_bias(model: LanguageModel, biased: frozenset[str]) -> Iterator[Noted]:
    """Yield a note about the linears that are not in `biased`.

    Raises:
        RecipeError: none of them is.
    """
    if not biased:
        raise RecipeError([Fault("bias", NO_BIAS)])
    architecture = type(model.module).__name__
    names = dict.fromkeys(
        linear.name if linear.expert is None else "the experts"
        for linear in model.linears.values()
        if linear.path not in biased
    )
    if names:
        yield Noted(
            message=f"{listed(list(names))} of {architecture} have no bias, and its configuration cannot "
            "give them one, so what they lose on average is not compensated."
        )


def _documents() -> Path | None:
    """Return the directory with the tasks' documents, None for the hub."""
    documents = os.environ.get(DOCUMENTS)
    return Path(documents) if documents else None


def _skipped(model: LanguageModel) -> dict[str, int]:
    """Return the number of weights that are never pruned, by kind, with those that were not even read."""
    return dict(Counter(skipped_weights(model.module)) + Counter(model.left_out))


def _model_loaded(
    model: LanguageModel, skipped: Mapping[str, int], digest: str, source: WeightSource | None
) -> ModelLoaded:
    prunable = sum(linear.weight.numel() for linear in model.linears.values())
    return ModelLoaded(
        architecture=type(model.module).__name__,
        path=model.blocks[0].path.rpartition(".")[0],  # `model.layers` of `model.layers.0`
        parameters=prunable + sum(skipped.values()),
        prunable=prunable,
        skipped=dict(skipped),
        blocks=len(model.blocks),
        linears=tuple(tuple(map(_shape, block.linears.values())) for block in model.blocks),
        dtype=str(model.dtype).removeprefix("torch."),
        bytes=sum(parameter.numel() * parameter.element_size() for parameter in model.module.parameters()),
        residence=model.residence,
        digest=digest,
        source=source,
    )


def _shape(linear: Linear) -> LinearShape:
    rows, columns = linear.shape  # [out, in]
    return LinearShape(name=linear.name, rows=rows, columns=columns)
