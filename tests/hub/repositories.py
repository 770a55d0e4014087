"""What the test hub knows about a repository: its files, their hashes, its commit, and the refusals.

A commit is a hash of the content: a changed file is a new commit, and the old one is gone. Digests are
computed once per state of a file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

LARGE = (
    ".safetensors",
    ".bin",
    ".parquet",
    ".gz",
)  # the hub keeps these as LFS files: their ETag is a SHA-256
MESSAGES = {
    401: "Invalid username or password.",
    403: "Access to this repository is restricted and you are not in the authorized list.",
    404: "Repository not found",
    429: "We had to rate limit your IP.",
    500: "Internal Error - We're working hard to fix this as soon as possible!",
}


class Refusal(Exception):
    """An answer that is an error, with the hub's headers."""

    def __init__(
        self, status: int, code: str | None = None, message: str = "", retry_after: float | None = None
    ):
        super().__init__(message)
        named = {
            "X-Error-Code": code,
            "X-Error-Message": message or MESSAGES.get(status),
            "Retry-After": retry_after,
        }
        self.status = status
        self.headers = {name: str(value) for name, value in named.items() if value is not None}


@dataclass
class Repository:
    """One repository: a directory per revision."""

    id: str
    gated: bool | str
    licence: str | None
    revisions: dict[str, Path] = field(default_factory=dict)

    def at(self, revision: str) -> tuple[Path, str]:
        """Directory and commit of a branch or a commit; refused as the hub does when there is none."""
        for name, directory in self.revisions.items():
            if revision in (name, commit := commit_of(directory)):
                return directory, commit
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")


@cache
def _digests(path: Path, _changed: int, size: int) -> tuple[str, str]:
    """The git object id and the SHA-256 of a file's content."""
    oid, sha256 = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            oid.update(piece)
            sha256.update(piece)
    return oid.hexdigest(), sha256.hexdigest()


def digests(path: Path) -> tuple[str, str]:
    """The git object id and the SHA-256 of a file as it is now."""
    return _digests(path, path.stat().st_mtime_ns, path.stat().st_size)


def files(directory: Path) -> dict[str, Path]:
    """Every file below a directory, by its name in the repository."""
    return {
        path.relative_to(directory).as_posix(): path
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def commit_of(directory: Path) -> str:
    """The commit hash that a directory's content stands for: 40 hexadecimal digits."""
    named = "".join(f"{name} {digests(path)[1]}\n" for name, path in files(directory).items())
    return hashlib.sha1(named.encode(), usedforsecurity=False).hexdigest()


def entry(directory: Path, path: Path) -> dict[str, Any]:
    """A file or folder as the tree lists it."""
    name = path.relative_to(directory).as_posix()
    if path.is_dir():
        return {"type": "directory", "path": name, "size": 0, "oid": hashlib.sha1(name.encode()).hexdigest()}
    oid, sha256 = digests(path)
    size = path.stat().st_size
    lfs = {"lfs": {"oid": sha256, "size": size, "pointerSize": 134}} if name.endswith(LARGE) else {}
    return {"type": "file", "path": name, "size": size, "oid": oid, **lfs}


def sibling(found: dict[str, Any], blobs: bool) -> dict[str, Any]:
    """A file as the information of a repository lists it: sizes and hashes only when asked for."""
    if not blobs:
        return {"rfilename": found["path"]}
    lfs = found.get("lfs")
    named = (
        {"lfs": {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": lfs["pointerSize"]}} if lfs else {}
    )
    return {"rfilename": found["path"], "size": found["size"], "blobId": found["oid"], **named}
