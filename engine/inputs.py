"""Find or download what a run reads: the model and the texts. Progress is reported as events."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import torch

from engine.corpora.named import Role, holds_token_ids
from engine.corpora.windows import Windows, calibration_windows, evaluation_windows
from engine.errors import CorpusError, ModelError
from engine.events import Event, Fetching, WindowsReady
from engine.hardware.device import pick_device, pick_dtype
from engine.hardware.memory_plan import Residence
from engine.hub.cache import CONFIG
from engine.hub.download import fetch
from engine.models.checkpoint import Checkpoint
from engine.models.gguf import unpacked
from engine.models.gguf.unpacking import unpack
from engine.models.identity import digest, fingerprint, is_revision, local_source
from engine.models.language_model import LanguageModel
from engine.models.loading import load, read_config, stored_dtype
from engine.models.summary import context_length
from engine.progress import Progress, drain
from engine.recipe import Recipe

Result = TypeVar("Result")


def model_directory(recipe: Recipe) -> Generator[Event, None, Path]:
    """Return the directory with the recipe's model, downloading or unpacking it if necessary.

    Raises:
        ModelError: there is no such model, it cannot be downloaded or unpacked, or its files have changed
            since the recipe was pinned.
    """
    if (directory := unpacked.find(recipe.revision)) is not None:  # even if the GGUF file has changed since
        return directory
    source = local_source(recipe.model, recipe.revision)
    if source is not None:
        if not is_revision(recipe.model, recipe.revision):
            raise ModelError(
                f"The files in {recipe.model} have changed since the recipe of this run was made, so this is "
                "not the model that it prunes. Restore the files, or run the recipe again with the new ones."
            )
        if source.is_dir():
            return source
        return (yield from as_events(unpack(source, recipe.model)))
    return (yield from as_events(fetch(recipe.model, recipe.revision)))


def dense_model(recipe: Recipe, residence: Residence = "resident") -> LanguageModel:
    """Load the recipe's model unpruned, in the recipe's dtype and on its device.

    Raises:
        ModelError: it cannot be downloaded or read.
    """
    directory, dtype, device, *_ = model_identity(recipe, residence)
    return load(directory, dtype=dtype, device=device, residence=residence, name=recipe.model)


def model_identity(
    recipe: Recipe, residence: Residence = "resident"
) -> tuple[Path, torch.dtype, torch.device, Residence, str | None]:
    """Return what determines a recipe's loaded model: its name in the cache of models.

    Raises:
        ModelError: it cannot be downloaded or read.
    """
    directory, device = drain(model_directory(recipe)), pick_device(recipe.device)
    dtype = pick_dtype(recipe.dtype, device, stored_dtype(read_config(directory, recipe.model)))
    # The fingerprint, because the files of a directory may change while the process is running.
    return directory, dtype, device, residence, fingerprint(recipe.model)


def model_digest(directory: Path, name: str = "") -> str:
    """Return a hash of the configuration and the weights of a model, which reads all of its files.

    Raises:
        ModelError: it is incomplete.
    """
    return digest({directory / CONFIG, *Checkpoint(directory, name).paths})


def as_events(work: Generator[Progress, None, Result]) -> Generator[Event, None, Result]:
    """Return the result of `work`, passing its progress on as events. Closing this closes `work`."""
    try:
        # Not a `for`, which would drop the result, the value of StopIteration.
        while True:
            progress = next(work)
            yield Fetching(
                what=progress.what,
                done=progress.done,
                total=progress.total,
                note=progress.note,
                doing=progress.doing,
            )
    except StopIteration as stopped:
        result: Result = stopped.value
        return result
    finally:
        work.close()


def read_windows(
    recipe: Recipe, model: LanguageModel, cache: Path | None
) -> Generator[Event, None, tuple[Windows, dict[str, Windows]]]:
    """Return the calibration windows, and the evaluation windows by corpus.

    Raises:
        CorpusError: a text cannot be downloaded or is too short, its windows are too long for the model, or
            the model's tokenizer is broken.
    """
    texts = [name for name in (recipe.calibration, *recipe.evaluations) if not holds_token_ids(name)]
    if texts and model.tokenizer_fault:
        raise CorpusError(f"The text {texts[0]} needs a tokenizer. {model.tokenizer_fault}")
    longest = context_length(model.module.config)
    tokenizer, vocabulary, length = model.tokenizer, model.vocabulary, recipe.window(longest)
    calibration = yield from as_events(
        calibration_windows(
            recipe.calibration,
            tokenizer,
            vocabulary,
            samples=recipe.samples,
            length=length,
            seed=recipe.seed,
            cache=cache,
        )
    )
    calibration = calibration.in_order(recipe.order)
    yield _ready("calibration", recipe.calibration, calibration, longest, recipe.model)
    evaluations: dict[str, Windows] = {}
    for name in recipe.evaluations:
        evaluations[name] = yield from as_events(
            evaluation_windows(name, tokenizer, vocabulary, length=length, cache=cache)
        )
        yield _ready("evaluation", name, evaluations[name], longest, recipe.model)
    return calibration, evaluations


def _ready(role: Role, corpus: str, windows: Windows, longest: int | None, model: str) -> WindowsReady:
    count, length = windows.ids.shape
    # A file of token ids brings its own length, which no check of the recipe has seen.
    if longest is not None and length > longest:
        raise CorpusError(
            f"The windows have {length} tokens, but {model} takes at most {longest}. Use shorter windows."
        )
    return WindowsReady(
        role=role,
        corpus=corpus,
        documents=windows.documents,
        windows=count,
        length=length,
        available=windows.available,
        seed=windows.seed,
        fingerprint=windows.fingerprint,
        identity=dict(windows.identity),
        starts=windows.starts,
    )
