"""Checks of this machine and installation: what `doctor` reports.

Each check yields findings: what is so, and what to do if it should not be. It imports what it checks only
when it runs, so that a missing or broken library is a finding, too. Together the checks take 10 to 20
seconds, most of which is the worker's start.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine import COMMAND, VERSION
from engine.errors import PrunescopeError
from engine.numbers import listed, size

if TYPE_CHECKING:
    from engine.jobs.cluster import Cluster

PYTHON = ((3, 11), (3, 14))
"""The first supported version, and the first unsupported one after it."""
INTERFACE = (
    "streamlit",
    "plotly",
    "pandas",
    "dask",
    "distributed",
    "cryptography",
    "jinja2",
    "markdown-it-py",
    "latex2mathml",
)
"""Packages that the app needs and the command line does not."""
REQUIREMENTS = Path(__file__).parents[2] / "requirements.txt"
INSTALL = "pip install -r requirements.txt" if REQUIREMENTS.is_file() else "pip install PACKAGE"
LITTLE_MEMORY = 2e9  # bytes: torch and the bundled model take about 0.7 GB
LITTLE_DISK = 5e9  # bytes: a model of a billion weights in half precision takes 2 GB
HUB_PATIENCE = 5.0  # seconds
POLL = 0.2  # seconds
WORKER_PATIENCE = 120.0  # seconds: importing torch and transformers from a cold disk takes half a minute
SYMBOLS = "‖ᵀ→⏎▶▷▲▼◂▸■✓✗⚠↯⟦⟧📌"
"""What charts and pages draw beyond the letters of Streamlit's own fonts."""


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        check: the check's name.
        state: `warning` if something does not work without which others do.
        message: a sentence.
        action: what to do about it, a sentence; empty if there is nothing to do.
    """

    check: str
    state: Literal["ok", "warning", "failure"]
    message: str
    action: str = ""


def diagnose() -> Iterator[Finding]:
    """Run all checks and yield what they find, as soon as they do; an unexpected error is a finding, too."""
    for name, check in CHECKS.items():
        try:
            yield from check(name)
        except PrunescopeError as error:  # says what to do
            yield Finding(name, "failure", str(error))
        except ImportError as error:
            yield Finding(name, "failure", f"This cannot be checked: {error}.", f"Install it: {INSTALL}.")
        except Exception as error:
            yield Finding(name, "failure", f"The check failed ({type(error).__name__}: {error}).")


def _python(name: str) -> Iterator[Finding]:
    here = ".".join(map(str, sys.version_info[:3]))
    first, beyond = (".".join(map(str, version)) for version in PYTHON)
    if PYTHON[0] <= sys.version_info[:2] < PYTHON[1]:
        yield Finding(name, "ok", f"Python {here} is supported.")
    else:
        action = f"Use Python {first} or later, before {beyond}."
        yield Finding(name, "warning", f"Prunescope is not tested with Python {here}.", action)


def _packages(name: str) -> Iterator[Finding]:
    from packaging.requirements import Requirement

    if REQUIREMENTS.is_file():
        lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    else:  # installed as a package
        lines = metadata.requires("prunescope") or []
    listing = [Requirement(line) for line in lines if line and not line.startswith("#")]
    # Markers are for extras and other platforms.
    wanted = [package for package in listing if not package.marker or package.marker.evaluate({"extra": ""})]
    missing, others = [], []
    for package in wanted:
        try:
            version = metadata.version(package.name)
        except metadata.PackageNotFoundError:
            missing.append(package.name)
            continue
        if not package.specifier.contains(version, prereleases=True):
            others.append(f"{package.name} {version} (wanted: {package.specifier})")
    if needed := [package for package in missing if package not in INTERFACE]:
        yield Finding(name, "failure", f"Missing: {listed(needed)}.", f"Install them: {INSTALL}.")
    if optional := [package for package in missing if package in INTERFACE]:
        message = f"Missing: {listed(optional)}. The command line works without them, the app does not."
        yield Finding(name, "warning", message, f"Install them for the app: {INSTALL}.")
    if others:
        message = f"Not the versions that were tested: {listed(others, len(others))}."
        yield Finding(name, "warning", message, f"If something fails, install those: {INSTALL}.")
    if not missing and not others:
        yield Finding(name, "ok", f"All {len(wanted)} required packages have the wanted versions.")


def _device(name: str) -> Iterator[Finding]:
    import torch

    from engine.hardware.device import available_threads, device_name, pick_device
    from engine.hardware.memory import device_free

    device = pick_device()
    ones = torch.ones(64, 64, device=device)
    if (ones @ ones).sum().item() != 64**3:
        yield Finding(name, "failure", f"torch {torch.__version__} computes wrong numbers on {device.type}.")
        return
    where = f"{device.type} ({device_name(device)}, {available_threads()} threads)"
    if device.type == "cuda":
        where = f"cuda ({device_name(device)}, {size(device_free(device))} of its memory free)"
    yield Finding(name, "ok", f"torch {torch.__version__} computes on {where}.")
    if device.type == "cpu" and shutil.which("nvidia-smi"):
        message = "There is an NVIDIA driver, but torch finds no GPU, so runs are computed on the processor."
        yield Finding(
            name, "warning", message, "Compare the CUDA version of nvidia-smi with that of the torch wheel."
        )


def _memory(name: str) -> Iterator[Finding]:
    from engine.hardware.memory import host_free

    free = host_free()
    if free is not None and free < LITTLE_MEMORY:
        action = "Close other programs, or raise the container's limit."
        yield Finding(name, "warning", f"Only {size(free)} of memory are free.", action)
    else:
        yield Finding(name, "ok", f"{size(free)} of memory are free.")


def _store(name: str) -> Iterator[Finding]:
    from engine.hardware.home import home
    from engine.jobs.exposure import exposures
    from engine.store import atomic_files

    atomic_files.check_writable(home(), private=True)
    mode = stat.S_IMODE(home().stat().st_mode)
    yield Finding(name, "ok", f"{home()} can be written (mode {mode:o}).")
    for sentence in exposures(home(), os.environ.get("PRUNESCOPE_SCHEDULER")):
        yield Finding(name, "warning", sentence)


def _disk(name: str) -> Iterator[Finding]:
    from engine.hardware.home import home
    from engine.hardware.memory import disk_free
    from engine.hub.settings import hub_cache

    for what, directory in (("runs", home()), ("downloads", hub_cache())):
        free = disk_free(directory)
        message = f"{size(free)} are free for {what} in {directory}."
        if free is not None and free < LITTLE_DISK:
            yield Finding(name, "warning", message, "Free some space before you use large models.")
        else:
            yield Finding(name, "ok", message)


def _hub(name: str) -> Iterator[Finding]:
    from huggingface_hub import get_session, get_token

    from engine.hub.settings import endpoint, offline

    if offline():
        yield Finding(name, "ok", "Offline mode is on: only models that are on this machine can be used.")
        return
    try:
        answer = get_session().get(f"{endpoint()}/api/models?limit=1", timeout=HUB_PATIENCE)
        answer.raise_for_status()
    except Exception as error:  # of whichever HTTP library the hub's uses
        reason = f"{endpoint()} cannot be reached ({type(error).__name__})"
        message = f"{reason}: only models that are on this machine can be used."
        action = "Check the network and the proxy, or set HF_HUB_OFFLINE=1 to work without."
        yield Finding(name, "warning", message, action)
        return
    login = "a login is set up" if get_token() else "gated models need a login (`hf auth login`)"
    yield Finding(name, "ok", f"{endpoint()} answers; {login}.")


def _methods(name: str) -> Iterator[Finding]:
    from engine.pruning.method_files import loading as method_files
    from engine.registry import METHOD_FILES

    paths = method_files.listed()
    if not paths:
        yield Finding(name, "ok", f"There are no method files of your own ({METHOD_FILES} is not set).")
    for path in paths:
        if sentences := method_files.refresh([path]):
            yield Finding(name, "failure", sentences[0])
            continue
        file = method_files.load_methods(path)
        names = [f"{axis} {method.name}" for axis, method in file.methods]
        yield Finding(name, "ok", f"{path} (digest {file.origin.digest}) adds {listed(names)}.")


def _worker(name: str) -> Iterator[Finding]:
    if find_spec("distributed") is None:
        message = "Dask is missing, so the app has no background engine; the command line computes without."
        yield Finding(name, "warning", message, f"Install it for the app: {INSTALL}.")
        return
    from engine.hardware.home import home
    from engine.jobs import worker
    from engine.jobs.cluster import Cluster
    from engine.jobs.embedded import Embedded

    start, ended = time.monotonic(), threading.Event()
    cluster = Cluster(home(), os.environ.get("PRUNESCOPE_SCHEDULER") or Embedded(), ended.set)
    try:
        task = cluster.submit(worker.version)
        ended.wait(WORKER_PATIENCE)
        answer = cluster.result(task) if task.done() else None
        places = _places(cluster)
    finally:
        cluster.close()
    if answer is None:
        message = f"The worker ended, or did not answer within {WORKER_PATIENCE:.0f} seconds."
        yield Finding(name, "failure", message, "Its messages are above; without any, try again.")
    elif answer.failed:
        yield Finding(name, "failure", answer.message)
    elif answer.value != VERSION:
        message = f"The worker runs Prunescope {answer.value}, the app {VERSION}."
        yield Finding(name, "failure", message, "Install the same version on all machines.")
    elif not places:
        message = "The cluster answers, but none of its workers offers a device, so every run would wait."
        yield Finding(name, "failure", message, f"Start workers with: {COMMAND} worker ADDRESS.")
    else:
        seconds = time.monotonic() - start
        message = f"A worker answered with version {VERSION} after {seconds:.0f} s. Runs are computed on: "
        yield Finding(name, "ok", f"{message}{'; '.join(places)}.")


def _places(cluster: Cluster) -> list[str]:
    """Return what runs can be computed on, as soon as all workers have said so."""
    limit = time.monotonic() + WORKER_PATIENCE
    while any(one.device is None for one in cluster.workers()) and time.monotonic() < limit:
        time.sleep(POLL)
    return cluster.places


def _fonts(name: str) -> Iterator[Finding]:
    """Text and icons have Streamlit's own fonts, symbols those of the machine where the browser runs."""
    if streamlit := find_spec("streamlit"):
        fonts = Path(streamlit.origin or "").parent / "static" / "static" / "media"
        wanted = ("SourceSans", "SourceCode", "MaterialSymbols")
        if missing := [font for font in wanted if not any(fonts.glob(f"{font}*"))]:
            message = f"Streamlit's fonts are incomplete ({listed(missing)}): icons would be shown as words."
            yield Finding(
                name, "warning", message, "Install it again: pip install --force-reinstall streamlit."
            )
        else:
            yield Finding(name, "ok", "The fonts of the pages' text and icons are installed with Streamlit.")
    if (search := shutil.which("fc-list")) is None:
        return
    boxes = [
        symbol
        for symbol in SYMBOLS
        if not subprocess.run([search, f":charset={ord(symbol):x}"], capture_output=True, check=False).stdout
    ]
    if boxes:
        message = f"A browser on this machine shows boxes for the symbols {''.join(boxes)} in charts."
        yield Finding(
            name, "warning", message, "Install fonts that have them, such as DejaVu and Noto Emoji."
        )
    else:
        yield Finding(name, "ok", "A browser on this machine has fonts for all symbols in charts.")


def _optional(name: str) -> Iterator[Finding]:
    from engine.evaluation.tasks.catalogue import LM_EVAL
    from engine.models.gguf.faults import PACKAGES

    yield _extra(name, "Zero-shot tasks", {"lm-eval": LM_EVAL})
    yield _extra(name, "GGUF files", PACKAGES)


def _extra(name: str, what: str, tested: Mapping[str, str]) -> Finding:
    """Judge the packages that something optional needs, by name and tested release."""
    command = f"pip install {' '.join(f'{package}=={release}' for package, release in tested.items())}"
    try:
        found = {package: metadata.version(package) for package in tested}
    except metadata.PackageNotFoundError as error:
        return Finding(name, "ok", f"{what} are off without {error.name}; to use them: {command}.")
    releases = ", ".join(f"{package} {release}" for package, release in found.items())
    if found == dict(tested):
        return Finding(name, "ok", f"{what} are available ({releases}).")
    return Finding(name, "warning", f"{releases}: not what was tested.", f"If {what} fail: {command}.")


CHECKS: dict[str, Callable[[str], Iterator[Finding]]] = {
    "Python": _python,
    "Packages": _packages,
    "Device": _device,
    "Memory": _memory,
    "Store": _store,
    "Disk": _disk,
    "Hub": _hub,
    "Fonts": _fonts,
    "Optional": _optional,
    "Methods": _methods,
    "Worker": _worker,
}
