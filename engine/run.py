"""A run: a recipe becomes a generator of events. To cancel is to stop reading.

Where memory runs out, the run gives up some of its room (`engine.room`), says so, and goes on behind the blocks that it has finished.
"""

from __future__ import annotations

import gc
import platform
import traceback
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime
from pathlib import Path

import torch
import transformers

from engine.attempt import Attempt
from engine.capacity import measure
from engine.cost import estimate
from engine.errors import ModelError, PrunescopeError
from engine.events import Environment, Event, Failed, Noted, Resumed, RunStarted
from engine.hub.place import hub_cache
from engine.inputs import located
from engine.memory import reset_peaks
from engine.models.clock import Clock
from engine.models.device import device_name, pick_device
from engine.models.summary import summarise
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe
from engine.room import Room, is_out_of_memory
from engine.version import VERSION
from engine.workbench import Workbench


def run(
    recipe: Recipe, kept: MutableMapping[int, BlockWeights] | None = None, cache: Path | None = None, bench: Workbench | None = None
) -> Iterator[Event]:
    """Prune and evaluate.

    Args:
        recipe: what to do.
        kept: where each pruned block's weights go as soon as it is done. Blocks that it already holds are put back instead of being pruned
            again, so an interrupted run goes on behind them with the same result; `Resumed` says how many.
        cache: a directory for what other runs can use again (token windows, results of tasks); None to keep nothing.
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
        yield Failed(message=f"Something unexpected went wrong: {type(error).__name__}: {_first_line(error)}", detail=traceback.format_exc())


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]


def _run(
    recipe: Recipe, kept: MutableMapping[int, BlockWeights], cache: Path | None, bench: Workbench, clock: Clock, device: torch.device
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
        yield Noted(message=f"Memory ran out, so the run went on with {words}. The result is the same, it takes longer.")
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
