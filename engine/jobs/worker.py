"""What runs in a worker process. It answers with plain values or sentences, not with our exceptions, which
need not survive pickling.

Heavy imports stand inside the functions: this module is imported by the app as well, to name them.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Nanny, Worker, WorkerPlugin

from engine.errors import EngineError, PrunescopeError

if TYPE_CHECKING:
    from engine.analysis.comparison.overlap import LinearOverlap
    from engine.analysis.microscope.linear import Specimen
    from engine.analysis.microscope.types import Picture, Span, Spectrum, Study
    from engine.analysis.size_speed import Measurement
    from engine.analysis.text import Reader
    from engine.evaluation.text_types import PromptTexts, Reading
    from engine.hardware.memory import Capacity
    from engine.jobs.requests import LinearRequest, ReadRequest, TextRequest
    from engine.jobs.views import Saved
    from engine.models.shape import ModelSummary
    from engine.store.folder import RunFolder


ELSEWHERE = "Save it, and load it with `from_pretrained` on a machine that has room for it."
_importing = threading.Lock()
_busy = threading.Event()
"""Set by the first run in this process, which warms it up by itself."""


class WarmUp(WorkerPlugin):
    """Imports what a run needs as soon as a worker process starts, beside whatever it does."""

    name = "prunescope-warm-up"

    def setup(self, worker: Worker) -> None:
        threading.Thread(target=_warm_up, name=self.name, daemon=True).start()


def call(function: str, *args: Any) -> Any:
    """The answer of a function of this module: the way in for every task, which sees to it that the imports
    are done.
    """
    _import()
    return globals()[function](*args)


def _import() -> None:
    """Import what needs seconds in one thread at a time: `transformers` makes its names when they are asked
    for, and two threads that do so at once may each find it half made.
    """
    with _importing:
        import engine.analysis.microscope.linear
        import engine.analysis.size_speed
        import engine.analysis.text
        import engine.run  # noqa: F401


def _warm_up() -> None:
    _import()
    from engine.evaluation.text_types import Writing
    from engine.recipe import Recipe, pin
    from engine.run import run

    if _busy.is_set():
        return
    for _ in run(
        Recipe.build(samples=1, length=8, evaluation=None)
    ):  # a tiny run: much is imported only when it is first used
        pass
    summarise_model("demo", None)
    _reader().read(
        pin(Recipe.build()), None, "Once", Writing("dense", 2), losses=False
    )  # the reader keeps the bundled model, so the first text is quick


def compute(home: str, fields: dict[str, Any]) -> str | None:
    """Compute a run into the store at `home`; a sentence when that could not even be written there."""
    from engine.jobs.execute import execute
    from engine.recipe import Recipe
    from engine.store.runs import Store

    _busy.set()
    try:
        recipe = Recipe.model_validate(fields)
        execute(recipe, Store(_seen(home)).folder(recipe.key))
    except PrunescopeError as error:
        return str(error)
    return None


def continue_text(home: str, request: TextRequest) -> PromptTexts | str:
    """The prompt continued by a run's dense and pruned model, or a sentence that says why not."""
    from engine.analysis.text import generate_pair

    try:
        folder = _found(home, request.key)
        folder.require_weights()
        if _is_streamed(folder):
            return (
                f"Writing needs the whole model in memory, and this one was read block by block. {ELSEWHERE}"
            )
        return generate_pair(
            folder.recipe(),
            folder.blocks,
            request.prompt,
            tokens=request.tokens,
            temperature=request.temperature,
            seed=request.seed,
        )
    except PrunescopeError as error:
        return str(error)


def read_text(home: str, request: ReadRequest) -> Reading | str:
    """What a run's dense and pruned model make of a text, or a sentence that says why they cannot be asked."""
    from engine.evaluation.text_types import Writing

    writing = Writing(request.which, request.tokens, request.temperature, request.seed)
    try:
        folder = _found(home, request.key)
        if _is_streamed(folder):
            return (
                f"Reading needs the whole model in memory, and this one was read block by block. {ELSEWHERE}"
            )
        if request.which == "pruned" or request.losses:
            folder.require_weights()
        return _reader().read(folder.recipe(), folder.blocks, request.text, writing, losses=request.losses)
    except PrunescopeError as error:
        return str(error)


@cache
def _reader() -> Reader:
    """The reader of this process, which keeps the last small model."""
    from engine.analysis.text import Reader

    return Reader()


def measure_run(home: str, key: str) -> Measurement | str:
    """How large and how fast a run's dense and pruned model are, or a sentence that says why not."""
    from engine.analysis.size_speed import measure

    try:
        folder = _found(home, key)
        folder.require_weights()
        if _is_streamed(folder):
            return f"Measuring needs the whole model in memory, and this one was read block by block. {ELSEWHERE}"
        return measure(folder.recipe(), folder.blocks)
    except PrunescopeError as error:
        return str(error)


def overlap_runs(home: str, one: str, other: str) -> tuple[LinearOverlap, ...] | str:
    """What the masks of two finished runs share, or a sentence that says why that cannot be said."""
    from engine.analysis.comparison.overlap import overlaps

    try:
        folders = [_found(home, key) for key in (one, other)]
        for folder in folders:
            folder.require_weights()
        return overlaps(folders[0].blocks, folders[1].blocks)
    except PrunescopeError as error:
        return str(error)


def picture_linear(
    home: str, request: LinearRequest, rows: Span | None, columns: Span | None
) -> Picture | str:
    """A part of a run's linear as a picture, or a sentence that says why there is none."""
    from engine.analysis.microscope.linear import look

    try:
        return look(_specimen(home, request), rows, columns)
    except PrunescopeError as error:
        return str(error)


def study_linear(home: str, request: LinearRequest) -> Study | str:
    """What the calibration text says about a run's linear, or a sentence that says why nothing."""
    from engine.analysis.microscope.linear import study

    try:
        return study(_specimen(home, request))
    except PrunescopeError as error:
        return str(error)


def spectrum_linear(home: str, request: LinearRequest) -> Spectrum | str:
    """The singular values of a run's linear, or a sentence that says why there are none."""
    from engine.analysis.microscope.linear import singular_values

    try:
        return singular_values(_specimen(home, request))
    except PrunescopeError as error:
        return str(error)


def _specimen(home: str, request: LinearRequest) -> Specimen:
    from engine.analysis.microscope.linear import Specimen

    folder = _found(home, request.key)
    folder.require_weights()
    return Specimen(folder.record(), folder.blocks, request.block, request.linear, folder.cache)


def save_run(home: str, key: str) -> Saved | str:
    """A finished run's pruned model written into its folder, or a sentence that says why not. What is there
    already is left.
    """
    from engine.export.model import save_model
    from engine.export.model_card import model_card
    from engine.jobs.views import Saved

    try:
        folder = _found(home, key)
        folder.require_weights()
        record, directory = (
            folder.record(),
            (Path(home) / "models" / key if folder.recorded else folder.path / "model"),
        )
        if not (directory / "config.json").exists():
            save_model(record, folder.blocks, directory, card=model_card(record))
        return Saved(str(directory), sum(path.stat().st_size for path in directory.iterdir()))
    except PrunescopeError as error:
        return str(error)


def _is_streamed(folder: RunFolder) -> bool:
    model = folder.record().model
    return model is not None and model.residence == "streamed"


def summarise_model(model: str, revision: str | None) -> ModelSummary | str:
    """The model's summary, or a sentence that says why there is none."""
    from engine.models.summary import summarise

    try:
        return summarise(model, revision)
    except PrunescopeError as error:
        return str(error)


def measure_capacity(home: str, device: str) -> Capacity | str:
    """What is free here for a run on `device` (a recipe's, so also `auto`), or a sentence that says why there
    is no such device.
    """
    from engine.hardware.device import pick_device
    from engine.hardware.memory import measure_capacity
    from engine.hub.settings import hub_cache

    try:
        return measure_capacity(pick_device(device).type, hub_cache(), Path(home))
    except PrunescopeError as error:
        return str(error)


def holds(path: str, token: str) -> bool:
    """Whether the file at `path` is there and holds `token`: the worker and the app see the same disk."""
    try:
        return Path(path).read_text() == token
    except OSError:
        return False


async def kill_worker(dask_worker: Nanny) -> None:
    """For a nanny: kill its worker process at once. The nanny starts another."""
    process = dask_worker.process and dask_worker.process.process
    if process is not None:
        await process.kill()


def _found(home: str, key: str) -> RunFolder:
    """The run's folder; one that came with the project needs no store."""
    from engine.store.runs import Store

    folder = Store(home).find(key)
    return folder if folder.recorded else Store(_seen(home)).find(key)


def _seen(home: str) -> str:
    """The store, which the app made before it sent the run."""
    if not os.path.isdir(home):
        raise EngineError(
            f"The worker does not see the run store {home}. Mount it there under the same path, on every worker."
        )
    return home
