"""Downloading a model into the hub's cache, where every other program finds it too; and retrying requests.

The hub's library discards a partial file when a download breaks off, so large files are downloaded here: into
`blobs/HASH.part` next to the cache's blobs. The next attempt resumes that part with a range request; when it
is complete, its hash is checked and it is renamed. The library then builds the snapshot from the blob.
Closing the generator stops the download within one chunk (1 MB).
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
from engine.hub.failures import HTTP_LIBRARIES, Damaged, http_status, is_from
from engine.hub.planning import DownloadPlan, RemoteFile, model_errors, plan_download
from engine.progress import Progress, Report, in_background

T = TypeVar("T")
RETRY_STATUSES = (408, 429, 500, 502, 503, 504)  # timeout, rate limit, server errors
MAX_TRIES = 4
DEFAULT_WAIT, LONGEST_WAIT = 2.0, 30.0  # seconds between two tries
CHUNK = 1 << 20  # bytes
DISK_RESERVE = 200_000_000  # bytes of the disk that a download leaves free
SHA256 = re.compile(r"[0-9a-f]{64}")


class Truncated(Exception):
    """Fewer bytes arrived than were announced."""


def with_retries(request: Callable[[], T], report: Report) -> T:
    """Return the result of `request`, which is tried up to four times.

    Only a busy hub and a connection that broke are retried; every other error is raised immediately. That
    includes a hub that cannot be reached at all: waiting would not help. Each wait is shown in the report.
    """
    for left in reversed(range(MAX_TRIES)):
        try:
            return request()
        except Exception as raised:
            error = _root(raised)
            wait = _seconds_to_wait(error)
            if wait is None or not left:
                raise
            reason = "Hugging Face is busy" if http_status(error) else "The connection broke"
            _wait(wait, report, f"{reason}; retrying in {max(1, round(wait))} s.")
    raise AssertionError("the last try returns or raises")


def _root(error: BaseException) -> BaseException:
    """Return the exception of the library from which a ModelError was made."""
    while isinstance(error, ModelError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _seconds_to_wait(error: BaseException) -> float | None:
    """Return the seconds until a retry makes sense, None if it never does."""
    status = http_status(error)
    if status is not None:
        if status not in RETRY_STATUSES:
            return None
        # Retry-After may also be a date (RFC 9110), for which the default is used.
        requested = str(error.response.headers.get("Retry-After", ""))  # type: ignore[attr-defined]
        return min(float(requested) if requested.isdecimal() else DEFAULT_WAIT, LONGEST_WAIT)
    # ConnectError and ConnectTimeout: no connection was made in the first place
    broke = is_from(error, HTTP_LIBRARIES) and not type(error).__name__.startswith("Connect")
    return DEFAULT_WAIT / 2 if broke or isinstance(error, Truncated) else None


def _wait(seconds: float, report: Report, note: str) -> None:
    report.note = note
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        report.check()
        time.sleep(min(0.1, seconds))  # short, so that cancelling works while waiting
    report.note = ""


def fetch(model: str, revision: str | None = None) -> Generator[Progress, None, Path]:
    """Return the directory of a model, downloading what is missing. A complete model needs no network.

    Raises:
        ModelError: it cannot be downloaded; the message and `kind` say why.
    """
    cached = snapshot(model, revision)
    if cached is not None:
        return cached
    return (yield from in_background(model, lambda report: _fetch(model, revision, report)))


def _fetch(model: str, revision: str | None, report: Report) -> Path:
    with model_errors(model, revision):
        plan = with_retries(lambda: plan_download(model, revision), report)
        _require_disk_space(plan)
        report.total = plan.total_bytes
        report.done = plan.total_bytes - plan.missing_bytes
        for file in plan.files:
            if not file.cached:
                _fetch_file(plan, file, revision, report)
        report.note = ""
        return settings.model_cache(model) / "snapshots" / plan.commit


def _require_disk_space(plan: DownloadPlan) -> None:
    if not plan.missing_bytes or plan.free_disk is None:
        return
    if plan.free_disk < plan.missing_bytes + DISK_RESERVE:
        raise ModelError(
            f"The model {plan.model} needs another {numbers.size(plan.missing_bytes)} on the disk that holds "
            f"{settings.hub_cache()}, which has {numbers.size(plan.free_disk)} free. Free some space, set "
            "HF_HOME to a directory on another disk, or choose a smaller model.",
            kind="disk-full",
        )


def _fetch_file(plan: DownloadPlan, file: RemoteFile, revision: str | None, report: Report) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    hub, cache = settings.endpoint(), settings.hub_cache()
    url = hf_hub_url(plan.model, file.name, revision=plan.commit, endpoint=hub)
    metadata = with_retries(lambda: get_hf_file_metadata(url, endpoint=hub), report)
    # The cache names blobs by ETag: SHA-256 for a large file (LFS), git's SHA-1 for a small one.
    if metadata.etag and metadata.size is not None and file.name != INDEX:
        blob = settings.model_cache(plan.model) / "blobs" / metadata.etag
        _fetch_blob(url, blob, int(metadata.size), report)
    # Requesting the configuration by branch or tag makes the library store which commit that points to.
    name = (revision or "main") if file.name == CONFIG else plan.commit
    # The blob exists by now, so the library only links it into the snapshot.
    with_retries(
        lambda: hf_hub_download(plan.model, file.name, revision=name, cache_dir=cache, endpoint=hub), report
    )


def _fetch_blob(url: str, blob: Path, size: int, report: Report) -> None:
    blob.parent.mkdir(parents=True, exist_ok=True)
    part = blob.with_name(f"{blob.name}.part")
    with FileLock(f"{part}.lock"):  # another process may be downloading the same model
        before = report.done
        if not blob.exists():  # only now: whoever held the lock may have finished it
            for last_try in (False, True):  # a damaged file is downloaded a second time
                with_retries(lambda: _resume(url, part, size, before, report), report)
                if _is_intact(part, blob.name, size):
                    os.replace(part, blob)
                    break
                part.unlink()  # or the next try would resume it
                if last_try:
                    raise Damaged(url.rpartition("/")[2])
        report.done = before + size


def _resume(url: str, part: Path, size: int, before: int, report: Report) -> None:
    """Download the rest of a file and append it to `part`; `before`: bytes done without this file.

    Raises:
        Truncated: the connection ended early without an error.
    """
    from huggingface_hub import get_session
    from huggingface_hub.utils._headers import build_hf_headers
    from huggingface_hub.utils._http import hf_raise_for_status

    # Append mode starts at the end of the file, so `tell` returns its size.
    with part.open("ab") as file:
        have = file.tell()
        if have >= size:
            return
        # A range counts bytes as sent, so nothing may compress them on the way.
        headers: dict[str, Any] = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with get_session().stream("GET", url, headers=headers, follow_redirects=True) as response:
            hf_raise_for_status(response)
            if have and response.status_code != 206:  # the server ignored the range and sends everything
                file.truncate(0)
            for chunk in response.iter_bytes(CHUNK):
                report.check()  # what was written so far remains for the next attempt
                file.write(chunk)
                report.done = before + file.tell()
        if file.tell() < size:
            raise Truncated(url)


def _is_intact(part: Path, etag: str, size: int) -> bool:
    """Return whether a file has the announced size and content.

    The content can only be checked for large files: their ETag is their SHA-256.
    """
    if part.stat().st_size != size:
        return False
    if not SHA256.fullmatch(etag):
        return True
    with part.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == etag
