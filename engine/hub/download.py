"""Fetching a model into the hub's cache, where every other program finds it too.

The hub's library drops what it has of a file when a download breaks off, so large files are fetched here: each into a part beside the cache's blobs
(`blobs/HASH.part`), which the next try goes on with by a range request, checked and renamed when it is whole. The library then makes the
snapshot from the blob. Closing the generator stops within a megabyte.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

from filelock import FileLock

from engine.errors import ModelError
from engine.hub import place
from engine.hub.background import Report, in_background
from engine.hub.cache import snapshot
from engine.hub.failures import Damaged, to_model_error
from engine.hub.files import CONFIG, INDEX
from engine.hub.listing import Listing, RemoteFile, listing
from engine.hub.progress import Progress
from engine.hub.retries import Short, patiently

CHUNK = 1 << 20
SPARE = 200_000_000  # bytes that a disk should keep
SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch(model: str, revision: str | None = None) -> Generator[Progress, None, Path]:
    """The directory of a model of the hub: at once and without a network where it is on this machine, else once it is fetched.

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
        return place.repo_cache(model) / "snapshots" / listed.commit
    except ModelError:
        raise
    except Exception as error:
        raise to_model_error(model, revision, error) from error


def _require_disk(listed: Listing) -> None:
    needed = listed.missing_bytes + SPARE
    if listed.missing_bytes and listed.free_disk is not None and listed.free_disk < needed:
        raise ModelError(
            f"The model {listed.model} needs {listed.missing_bytes / 1e9:.1f} GB more on the disk that holds {place.hub_cache()}, which has "
            f"{listed.free_disk / 1e9:.1f} GB free. Free some space, set HF_HOME to another disk, or take a smaller model.",
            kind="disk-full",
        )


def _fetch_file(listed: Listing, file: RemoteFile, revision: str | None, report: Report) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    hub, cache = place.endpoint(), place.hub_cache()
    url = hf_hub_url(listed.model, file.name, revision=listed.commit, endpoint=hub)
    found = patiently(lambda: get_hf_file_metadata(url, endpoint=hub), report)
    if found.etag and found.size is not None and file.name != INDEX:
        blob = place.repo_cache(listed.model) / "blobs" / found.etag
        _fetch_blob(url, blob, int(found.size), report)
    name = revision or "main" if file.name == CONFIG else listed.commit  # the cache notes once which commit the name stands for
    patiently(lambda: hf_hub_download(listed.model, file.name, revision=name, cache_dir=cache, endpoint=hub), report)


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
    """Whether the file has the announced size and, for a large one (whose name in the cache is its SHA-256), the announced content."""
    if part.stat().st_size != size:
        return False
    if not SHA256.fullmatch(etag):
        return True
    with part.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == etag
