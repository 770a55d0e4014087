"""Whether the parts of a cluster can work together: an app, a scheduler and its workers."""

from __future__ import annotations

from collections.abc import Mapping

from engine import VERSION

PRUNESCOPE = "prunescope"
"""The scheduler's metadata under this name: the version of the app that connected last."""
PACKAGES = ("dask", "distributed")


def current() -> str:
    """Return the version of Prunescope, and of what its results depend on."""
    # Here, because a nanny that is to kill its worker imports this module, and the recipe's imports torch.
    from engine.recipe import RESULT_VERSION

    return f"{VERSION} (results {RESULT_VERSION})"


def difference(theirs: Mapping[str, str | None]) -> str:
    """Return how the packages of another process differ from ours where tasks depend on them, empty if they
    do not: "distributed 2026.8.0, but 2026.7.0 is installed here".

    Args:
        theirs: versions by package, of Python among them, as Dask reports them.
    """
    from distributed.versions import get_versions

    ours = get_versions()["packages"]
    # Pickled functions and code may differ between minor versions of Python, but not within one.
    pairs = {"Python": (_minor(theirs.get("python")), _minor(ours["python"]))}
    pairs |= {package: (theirs.get(package), ours[package]) for package in PACKAGES}
    return "; ".join(
        f"{package} {other or 'of an unknown version'}, but {own} is installed here"
        for package, (other, own) in pairs.items()
        if other != own
    )


def _minor(python: str | None) -> str | None:
    """Return "3.11" of "3.11.7.final.0"."""
    return python and ".".join(python.split(".")[:2])
