"""What goes wrong between a model of the hub and this machine, as sentences: what was asked, what is wrong,
what to do.

Libraries wrap one error in another; the first of the chain that says something known decides.
"""

from __future__ import annotations

import errno
import re

from engine.errors import ModelError, chain
from engine.hub import settings
from engine.hub.catalogue import near

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
HTTP = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
"""Libraries that speak HTTP, whose error classes change with their versions."""
LOGIN = "log in with `hf auth login` where the app runs, or set HF_TOKEN before it starts"


class Damaged(Exception):
    """A file that came whole and is not what the hub said; `str(error)` names it."""


def to_model_error(model: str, revision: str | None, error: BaseException) -> ModelError:
    """The sentence for whatever came up while a model was looked up or fetched."""
    for cause in chain(error):
        found = _known(model, revision, cause)
        if found is not None:
            return found
    return ModelError(
        f"The model {model} could not be had from the hub ({type(error).__name__}: {_first_words(error)}). Try again, or take another."
    )


def no_safetensors(model: str, *, pickles: bool) -> ModelError:
    """There are no weights in a format that is read here."""
    what = "only pickled weights, which can hold code and are never read here" if pickles else "no weights"
    return ModelError(
        f"The model {model} has {what}; safetensors are needed. Take another one, or a revision that has them (many have a pull request "
        "by the hub's converter: give its reference, such as refs/pr/1, as the revision).",
        kind="no-safetensors",
    )


def _known(model: str, revision: str | None, error: BaseException) -> ModelError | None:
    if isinstance(error, ModelError):
        return error
    if isinstance(error, Damaged):
        return ModelError(
            f"The file {error} of {model} came damaged, also when it was fetched again. Try later, or report it on {settings.page(model)}.",
            kind="damaged",
        )
    return (
        _from_hub(model, revision, error)
        or _from_library(model, error)
        or _from_disk(model, error)
        or _from_network(model, error)
    )


def _from_hub(model: str, revision: str | None, error: BaseException) -> ModelError | None:
    from huggingface_hub import errors

    if isinstance(error, errors.HFValidationError):
        return ModelError(
            f"The name {model!r} is no hub id: those look like `owner/name`. Type one, or a directory on this machine.",
            kind="missing",
        )
    if isinstance(error, errors.GatedRepoError):
        return ModelError(
            f"The model {model} is gated: its authors ask for consent first. Accept the terms on {settings.page(model)}, then {LOGIN}.",
            kind="gated",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return ModelError(
            f"The model {model} has no revision {revision!r}. Give a branch, a tag or a commit, or leave it out.",
            kind="revision",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return ModelError(_no_such_model(model), kind="missing")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return ModelError(
            f"{model} is on the hub, but has no config.json, so it is no model that can be read here.",
            kind="missing",
        )
    return _from_status(model, error) if isinstance(error, errors.HfHubHTTPError) else None


def _no_such_model(model: str) -> str:
    alike = near(model)
    meant = f" Did you mean {' or '.join(alike)}?" if alike else ""
    return f"There is no model {model} on the hub, or it is private and not yours.{meant} Check the name; for a private one, {LOGIN}."


def _from_status(model: str, error: BaseException) -> ModelError:
    status = error.response.status_code  # type: ignore[attr-defined]
    if status in (401, 403):
        return ModelError(
            f"The hub refused {model} to the token it was shown (status {status}). To renew it, {LOGIN}.",
            kind="token",
        )
    if status == 429:
        return ModelError(
            f"The hub answers no more for now: too much was asked of it ({model}, status 429). Wait a few minutes.",
            kind="server",
        )
    return ModelError(
        f"The hub does not answer as it should ({model}, status {status}). Try again later.", kind="server"
    )


def _from_library(model: str, error: BaseException) -> ModelError | None:
    """What transformers says of a configuration: its errors are plain ones, told apart by their words."""
    words = str(error)
    if "trust_remote_code" in words or re.search(r"requires you to execute", words):
        return ModelError(
            f"The model {model} is defined by code in its own repository, which is never run here. Take a model that transformers knows by itself.",
            kind="remote-code",
        )
    if "does not recognize this architecture" in words or "Unrecognized model" in words:
        return ModelError(
            f"The model {model} is of a kind that this version of transformers does not know. Take another one, or update transformers.",
            kind="not-causal",
        )
    return None


def _from_disk(model: str, error: BaseException) -> ModelError | None:
    number = getattr(error, "errno", None) if isinstance(error, OSError) else None
    where = settings.hub_cache()
    if number in FULL:
        return ModelError(
            f"The disk that holds {where} ran full while {model} came. Free some space; what is there is used.",
            kind="disk-full",
        )
    if number in REFUSED:
        return ModelError(
            f"The model {model} cannot be kept: {where} cannot be written. Make it writable, or set HF_HOME elsewhere."
        )
    return None


def _from_network(model: str, error: BaseException) -> ModelError | None:
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    told = isinstance(error, OfflineModeIsEnabled) or settings.offline()
    transport = type(error).__module__.partition(".")[0] in HTTP
    if (
        not told
        and not transport
        and not isinstance(error, (LocalEntryNotFoundError, ConnectionError, TimeoutError))
    ):
        return None
    why = (
        "this machine is told to stay offline (HF_HUB_OFFLINE)"
        if told
        else f"{settings.endpoint()} cannot be reached"
    )
    return ModelError(
        f"The model {model} is not on this machine, and {why}. Fetch it once with a network, or take the bundled model or one listed as "
        "on this machine.",
        kind="offline",
    )


def _first_words(error: BaseException, most: int = 200) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[:most].rsplit(' ', 1)[0]} ..."
