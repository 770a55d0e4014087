"""Fetching a model into the hub's cache, where every other program finds it too.

The hub's library drops what it has of a file when a download breaks off, so large files are fetched here:
each into a part beside the cache's blobs (`blobs/HASH.part`), which the next try goes on with by a range
request, checked and renamed when it is whole. The library then makes the snapshot from the blob. Closing the
generator stops within a megabyte.

Asking the hub again, a few times and not for long: when it is busy, or when a connection breaks. Each wait is
said.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from engine import numbers
from engine.errors import ModelError
from engine.hub import settings
from engine.hub.cache import CONFIG, INDEX, snapshot
from engine.hub.failures import Damaged, to_model_error
from engine.hub.planning import Listing, RemoteFile, listing
from engine.progress import Progress, Report, in_background

T = TypeVar("T")
BUSY = (408, 429, 500, 502, 503, 504)
TRIES, USUAL_WAIT, LONGEST_WAIT = 4, 2.0, 30.0
LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2")


def patiently(ask: Callable[[], T], report: Report) -> T:
    """The answer, asked for up to four times; other errors than those of a busy hub or a broken connection
    are raised at once.

    A hub that cannot be reached at all is not asked again: nobody is there.
    """
    for left in reversed(range(TRIES)):
        try:
            return ask()
        except Exception as found:
            error = _origin(found)
            wait = _wait(error)
            if wait is None or not left:
                raise
            _pause(wait, report, "The hub is busy" if _status(error) else "The connection broke")
    raise AssertionError("the last try returns or raises")


def _origin(error: BaseException) -> BaseException:
    """What the hub or the network said, behind a sentence made of it."""
    while isinstance(error, ModelError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _wait(error: BaseException) -> float | None:
    """Seconds until it is worth asking again, None where it is not."""
    status = _status(error)
    if status is not None:
        return _told(error) if status in BUSY else None
    name = type(error).__name__
    broken = type(error).__module__.partition(".")[0] in LIBRARIES and not name.startswith("Connect")
    return USUAL_WAIT / 2 if broken or isinstance(error, Short) else None


class Short(Exception):
    """Fewer bytes came than were announced."""


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def _told(error: BaseException) -> float:
    """What the hub asks for, within reason."""
    told = str(error.response.headers.get("Retry-After", ""))  # type: ignore[attr-defined]
    return min(float(told) if told.isdecimal() else USUAL_WAIT, LONGEST_WAIT)


def _pause(seconds: float, report: Report, why: str) -> None:
    report.note = f"{why}; it is asked again in {max(1, round(seconds))} s."
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        report.check()
        time.sleep(min(0.1, seconds))
    report.note = ""


CHUNK = 1 << 20
SPARE = 200_000_000  # bytes that a disk should keep
SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch(model: str, revision: str | None = None) -> Generator[Progress, None, Path]:
    """The directory of a model of the hub: at once and without a network where it is on this machine, else
    once it is fetched.

    Raises:
        ModelError: it cannot be had; the sentence says why, its kind which way.
    """
    found = snapshot(model, revision)
    if found is not None:
        return found
    return (yield from in_background(model, lambda report: _fetch(model, revision, report)))


def _fetch(model: str, revision: str | None, report: Report) -> Path:
    try:
        listed = patiently(lambda: listing(model, revision), report)
        _require_disk(listed)
        report.total = listed.total_bytes
        report.done = listed.total_bytes - listed.missing_bytes
        for file in listed.files:
            if not file.cached:
                _fetch_file(listed, file, revision, report)
        report.note = ""
        return settings.repo_cache(model) / "snapshots" / listed.commit
    except ModelError:
        raise
    except Exception as error:
        raise to_model_error(model, revision, error) from error


def _require_disk(listed: Listing) -> None:
    needed = listed.missing_bytes + SPARE
    if listed.missing_bytes and listed.free_disk is not None and listed.free_disk < needed:
        raise ModelError(
            f"The model {listed.model} needs {numbers.size(listed.missing_bytes)} more on the disk that holds {settings.hub_cache()}, which has "
            f"{numbers.size(listed.free_disk)} free. Free some space, set HF_HOME to another disk, or take a smaller model.",
            kind="disk-full",
        )


def _fetch_file(listed: Listing, file: RemoteFile, revision: str | None, report: Report) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    hub, cache = settings.endpoint(), settings.hub_cache()
    url = hf_hub_url(listed.model, file.name, revision=listed.commit, endpoint=hub)
    found = patiently(lambda: get_hf_file_metadata(url, endpoint=hub), report)
    if found.etag and found.size is not None and file.name != INDEX:
        blob = settings.repo_cache(listed.model) / "blobs" / found.etag
        _fetch_blob(url, blob, int(found.size), report)
    name = (
        revision or "main" if file.name == CONFIG else listed.commit
    )  # the cache notes once which commit the name stands for
    patiently(
        lambda: hf_hub_download(listed.model, file.name, revision=name, cache_dir=cache, endpoint=hub), report
    )


def _fetch_blob(url: str, blob: Path, size: int, report: Report) -> None:
    blob.parent.mkdir(parents=True, exist_ok=True)
    part = blob.with_name(f"{blob.name}.part")
    with FileLock(f"{part}.lock"):
        before = report.done
        if not blob.exists():
            for last in (False, True):  # what is damaged is fetched again, once
                patiently(lambda: _fill(url, part, size, before, report), report)
                if _is_sound(part, blob.name, size):
                    os.replace(part, blob)
                    break
                part.unlink()
                if last:
                    raise Damaged(url.rpartition("/")[2])
        report.done = before + size


def _fill(url: str, part: Path, size: int, before: int, report: Report) -> None:
    """Append what is missing of a file; `before`: bytes that were done without this file.

    Raises:
        Short: the connection ended early without saying so.
    """
    from huggingface_hub import get_session
    from huggingface_hub.utils._headers import build_hf_headers
    from huggingface_hub.utils._http import hf_raise_for_status

    with part.open("ab") as file:
        have = file.tell()
        if have >= size:
            return
        headers: dict[str, Any] = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with get_session().stream("GET", url, headers=headers, follow_redirects=True) as response:
            hf_raise_for_status(response)
            if have and response.status_code != 206:  # the server gives the whole file anyway
                file.truncate(0)
            for chunk in response.iter_bytes(CHUNK):
                report.check()
                file.write(chunk)
                report.done = before + file.tell()
        if file.tell() < size:
            raise Short(url)


def _is_sound(part: Path, etag: str, size: int) -> bool:
    """Whether the file has the announced size and, for a large one (whose name in the cache is its SHA-256),
    the announced content.
    """
    if part.stat().st_size != size:
        return False
    if not SHA256.fullmatch(etag):
        return True
    with part.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == etag
