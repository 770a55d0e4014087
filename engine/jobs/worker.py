"""The functions that run in a worker process: computing a run, and answering questions about one.

They return values and raise our errors; `call`, the entry point of every task, turns an error into an
`Answer` with a message, because our exceptions need not survive pickling. The app imports this module to
name the functions, so everything heavy is imported inside them.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from engine.errors import EngineError, PrunescopeError
from engine.jobs import versions
from engine.jobs.questions import Answer

if TYPE_CHECKING:
    from engine.analysis.comparison.overlap import LinearOverlap
    from engine.analysis.microscope.linear import Specimen
    from engine.analysis.microscope.types import Picture, Preview, Span, Spectrum, Study
    from engine.analysis.size_speed import Measurement
    from engine.analysis.text import Reader
    from engine.evaluation.text_types import PromptTexts, Reading
    from engine.hardware.memory import Capacity
    from engine.jobs.fleet import Device
    from engine.jobs.job import Needs
    from engine.jobs.requests import LinearRequest, PreviewRequest, ReadRequest, TextRequest
    from engine.jobs.views import Saved
    from engine.models.shape import ModelSummary
    from engine.store.folder import RunFolder

Value = TypeVar("Value")
Args = TypeVarTuple("Args")

_log = logging.getLogger(__name__)
_importing = threading.Lock()
_has_run = threading.Event()
"""Set by the first run in this process, which warms it up as well as `warm_up` would."""
_END = object()


def call(function: Callable[[*Args], Value], *args: *Args) -> Answer[Value]:
    """Call a function of this module and return its result, or why it failed."""
    # In every task, because a question may arrive before `warm_up` is done.
    import_libraries()
    try:
        return Answer(function(*args))
    except PrunescopeError as error:
        return Answer(message=str(error))
    except Exception:
        _log.exception("Unexpected error in %s.", function.__name__)
        raise


def import_libraries() -> None:
    """Import the modules that take seconds, in one thread at a time: `transformers` creates its names lazily,
    and two threads that do so concurrently may each find it half initialised.
    """
    from engine.models import lean_import

    with _importing:
        lean_import.import_library()
        import engine.analysis.microscope.linear
        import engine.analysis.size_speed
        import engine.analysis.text
        import engine.run  # noqa: F401


@cache
def warm_up() -> None:
    """Import and use once what a first run and a first text need, so that the user does not wait for it."""
    import_libraries()
    from engine.evaluation.text_types import Writing
    from engine.recipe import Recipe, pin
    from engine.run import run

    # After the imports, which a first run needs as well; the tiny run would only take time from it.
    if _has_run.is_set():
        return
    # a tiny run, because much is imported only on first use
    for _ in run(Recipe.build(samples=1, length=8, evaluation=None)):
        pass
    summarise_model("demo", None)
    # the bundled model stays loaded, so the first text is quick
    _reader().read(pin(Recipe.build()), None, "Once", Writing("dense", 2), losses=False)


def read_ahead(home: str) -> None:
    """Pass the bundled evaluation text through the bundled model, which takes a first run a quarter of its
    time. Ends early when a run begins: that needs the processor.

    Args:
        home: of the store, whose cache receives the tokenised texts.
    """
    from engine.recipe import Recipe, pin
    from engine.run import prepare_run
    from engine.run_cache import MODELS
    from engine.store.runs import Store

    with closing(prepare_run(pin(Recipe.build()), MODELS, Store(Path(home)).cache)) as steps:
        while not _has_run.is_set() and next(steps, _END) is not _END:
            pass


def compute(home: str, key: str, fields: dict[str, Any], *, again: bool = False) -> None:
    """Compute a run into the store at `home`; `fields` are its recipe's.

    Args:
        again: compute it from the beginning also if it is finished.

    Raises:
        EngineError: this worker has another version, in which the recipe has another key.
        MethodError: a method file of the recipe is missing in the store, or cannot be run here.
        PrunescopeError: the run's end could not be written to the store.
    """
    from engine.jobs.execute import execute
    from engine.recipe import Recipe
    from engine.store.method_copies import load_copies
    from engine.store.runs import Store

    # Before the run, so that `warm_up` does not start its own next to it.
    _has_run.set()
    recipe = Recipe.model_validate(fields)
    if recipe.key != key:
        raise EngineError(
            f"The worker has another version of Prunescope ({versions.current()}), whose results may differ. "
            "Install the app's version there, and restart the worker."
        )
    store = Store(_require_store(home))
    load_copies(store.home, recipe)
    execute(recipe, store.folder(key), again=again)


def compute_again(home: str, key: str, fields: dict[str, Any]) -> None:
    """`compute` a run from the beginning, also if it is finished."""
    compute(home, key, fields, again=True)


def continue_text(home: str, request: TextRequest) -> PromptTexts:
    """Return the prompt continued by a run's dense and pruned model."""
    folder = _run_folder(home, request.key)
    folder.require_weights()
    _require_resident(folder, "Writing")
    return _reader().continue_prompt(
        folder.recipe(),
        folder.blocks,
        request.prompt,
        tokens=request.tokens,
        temperature=request.temperature,
        seed=request.seed,
    )


def read_text(home: str, request: ReadRequest) -> Reading:
    """Return a text as a run's dense and pruned model read and continue it."""
    from engine.evaluation.text_types import Writing

    writing = Writing(request.which, request.tokens, request.temperature, request.seed)
    folder = _run_folder(home, request.key)
    _require_resident(folder, "Reading")
    if request.which == "pruned" or request.losses:
        folder.require_weights()
    return _reader().read(folder.recipe(), folder.blocks, request.text, writing, losses=request.losses)


@cache
def _reader() -> Reader:
    """Return the reader of this process."""
    from engine.analysis.text import Reader

    return Reader()


def measure_run(home: str, key: str) -> Measurement:
    """Return the size and speed of a run's dense and pruned model."""
    from engine.analysis.size_speed import measure

    folder = _run_folder(home, key)
    folder.require_weights()
    _require_resident(folder, "Measuring")
    return measure(folder.recipe(), folder.blocks)


def overlap_runs(home: str, one: str, other: str) -> tuple[LinearOverlap, ...]:
    """Return how far the masks of two finished runs agree, per linear."""
    from engine.analysis.comparison.overlap import overlaps

    folders = [_run_folder(home, key) for key in (one, other)]
    for folder in folders:
        folder.require_weights()
    return overlaps(folders[0].blocks, folders[1].blocks)


def picture_linear(home: str, request: LinearRequest, rows: Span | None, columns: Span | None) -> Picture:
    """Return a part of a run's linear as a picture; None means all rows or columns."""
    from engine.analysis.microscope.linear import look

    return look(_specimen(home, request), rows, columns)


def study_linear(home: str, request: LinearRequest) -> Study:
    """Return what the calibration text shows about a run's linear."""
    from engine.analysis.microscope.linear import study
    from engine.store.method_copies import load_copies

    specimen = _specimen(home, request)
    load_copies(Path(home), specimen.recipe)
    return study(specimen)


def preview_score(home: str, request: PreviewRequest) -> Preview:
    """Return how a recipe's score and Wanda decide about a linear of the dense model."""
    from engine.analysis.microscope.preview import preview
    from engine.recipe import Recipe
    from engine.store.runs import Store

    recipe = Recipe.model_validate_json(request.recipe)
    return preview(recipe, request.block, request.linear, Store(Path(home)).cache)


def spectrum_linear(home: str, request: LinearRequest) -> Spectrum:
    """Return the singular values of a run's linear, dense and pruned."""
    from engine.analysis.microscope.linear import singular_values

    return singular_values(_specimen(home, request))


def _specimen(home: str, request: LinearRequest) -> Specimen:
    from engine.analysis.microscope.linear import Specimen

    folder = _run_folder(home, request.key)
    folder.require_weights()
    return Specimen(folder.record(), folder.blocks, request.block, request.linear, folder.cache)


def save_run(home: str, key: str) -> Saved:
    """Write a finished run's pruned model into its folder, unless it is there already."""
    from engine.export.model import NO_TOKENIZER, has_tokenizer, save_model
    from engine.jobs.views import Saved

    folder = _run_folder(home, key)
    folder.require_weights()
    record = folder.record()
    # the folder of a bundled run belongs to the program and may be read-only
    directory = Path(home) / "models" / key if folder.recorded else folder.path / "model"
    # The directory appears in one step, so this file means that the model is complete.
    if not (directory / "config.json").exists():
        save_model(record, folder.blocks, directory)
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    return Saved(str(directory), size, None if has_tokenizer(directory) else NO_TOKENIZER)


def summarise_model(model: str, revision: str | None) -> ModelSummary:
    """Return a model's summary."""
    from engine.models.summary import summarise

    return summarise(model, revision)


def measure_capacity(home: str, device: str) -> Capacity:
    """Return the free memory and disk space here for a run on `device`, a recipe's device or `auto`."""
    from engine.hardware import memory
    from engine.hardware.device import pick_device
    from engine.hub.settings import hub_cache

    return memory.measure_capacity(pick_device(device).type, hub_cache(), Path(home))


def weigh(home: str, fields: dict[str, Any]) -> Needs:
    """Return what a run into the store at `home` needs of this machine; `fields` are its recipe's."""
    from engine.cost.footprint import is_small, placement
    from engine.hardware import memory
    from engine.jobs.job import Needs
    from engine.models.summary import summarise
    from engine.recipe import Recipe
    from engine.store.method_copies import load_copies

    recipe = Recipe.model_validate(fields)
    load_copies(Path(home), recipe)
    summary = summarise(recipe.model, recipe.revision, measure_speed=False)
    device = summary.device if recipe.device == "auto" else recipe.device
    placed = placement(recipe, summary, memory.measure_capacity(device))
    # Without an evaluation a run has all threads to itself.
    one_thread = device == "cpu" and is_small(summary) and bool(recipe.evaluations)
    return Needs(one_thread, placed.footprint.host)


def describe() -> Device:
    """Return what runs compute on here."""
    from engine.hardware.device import available_threads, pick_device
    from engine.hardware.gpus import gpu_labels
    from engine.jobs.fleet import Device

    device = pick_device()
    if device.type == "cuda":
        gpus = gpu_labels()
        return Device("cuda", next(iter(gpus.values())), gpus)
    if device.type == "mps":
        return Device("mps", "GPU (MPS)")
    threads = available_threads()
    return Device("cpu", f"CPU, {threads} {'thread' if threads == 1 else 'threads'}")


def version() -> str:
    """Return the version of Prunescope here."""
    from engine import VERSION

    return VERSION


def introduce(path: str, token: str) -> tuple[str, bool]:
    """Return the version of this worker, and whether the file at `path` holds `token`, that is, whether the
    worker sees the app's disk.
    """
    try:
        return versions.current(), Path(path).read_text() == token
    except OSError:
        return versions.current(), False


def _run_folder(home: str, key: str) -> RunFolder:
    """Return the run's folder. A bundled run does not need the store, so only others check for it."""
    from engine.store.runs import Store

    folder = Store(home).find(key)
    return folder if folder.recorded else Store(_require_store(home)).find(key)


def _require_store(home: str) -> str:
    """Return `home`, which the app created before it sent the task."""
    if not os.path.isdir(home):
        raise EngineError(
            f"The worker does not see the run store {home}. Mount it there under the same path, on "
            "every worker."
        )
    return home


def _require_resident(folder: RunFolder, action: str) -> None:
    model = folder.record().model
    if model is not None and model.residence == "streamed":
        raise EngineError(
            f"{action} needs the whole model in memory, but this one was read block by block. Save it, and "
            "load it with `from_pretrained` on a machine with enough memory."
        )
