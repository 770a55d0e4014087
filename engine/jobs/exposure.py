"""What lets others into the store or the cluster: found at the start, for the app and the log."""

from __future__ import annotations

import ipaddress
import os
import stat
from pathlib import Path
from urllib.parse import urlsplit

PRIVATE = ("tls", "wss", "inproc")
"""Dask's protocols that admit only who has a certificate, or only its own process."""


def exposures(home: Path, scheduler: str | None) -> list[str]:
    """Return a sentence for each way in: through the store's permissions, and through the scheduler."""
    found = []
    if scheduler and not _is_private(scheduler):
        found.append(
            f"The connection to the scheduler {scheduler} is not encrypted: whoever reaches it can run code "
            "as its owner. Set up TLS for this cluster, and use its tls:// address in PRUNESCOPE_SCHEDULER."
        )
    if _is_open(home):
        mode = stat.S_IMODE(home.stat().st_mode)
        found.append(
            f"Other users of this machine can get into the run store {home} (mode {mode:o}). "
            f"Keep it to yourself with: chmod 700 {home}"
        )
    return found


def _is_private(address: str) -> bool:
    """Whether a scheduler's address has TLS, or is on the loopback interface."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")  # as Dask reads it
    if parts.scheme in PRIVATE or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:  # a name
        return False


def _is_open(directory: Path) -> bool:
    """Whether other users have rights in a directory that exists, and can get to it."""
    if os.name == "nt":  # its modes say nothing
        return False
    try:
        if not directory.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            return False
        passage = stat.S_IXGRP | stat.S_IXOTH
        return all(parent.stat().st_mode & passage for parent in directory.resolve().parents)
    except OSError:  # not created yet
        return False
