"""Network and disk errors as sentences, for everything that is downloaded from the Hugging Face hub.

One table serves models and corpora. A row says which exceptions it recognises, what kind of failure they are,
and the sentence: what was requested, what is wrong, what to do. Whatever differs between a model and a corpus
(name, page, alternative) is part of the `Request`.

Libraries wrap one exception in another. The first exception of the chain that a row recognises decides.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from engine.errors import ModelError, ModelFault, PrunescopeError, chain
from engine.hub import settings
from engine.hub.cache import CONFIG, INDEX, SINGLE, has_pickles, holds_gguf
from engine.hub.catalogue import similar_ids
from engine.numbers import listed

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # full, over quota, too large for the file system
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)  # read-only file system, no permission
HTTP_LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "requests", "urllib3")
"""Recognised by package, because the names of their exceptions change between versions."""
LOGIN = "log in with `hf auth login` where the app runs, or set HF_TOKEN before it starts"
MAX_WORDS = 200  # characters of a library's message that are shown


SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


class Damaged(Exception):
    """A file whose content is not what it should be; `str(error)` is its name or path."""


@dataclass(frozen=True)
class Request:
    """What was requested from the hub, in the words that the sentences use.

    Attributes:
        name: for instance "the model openai-community/gpt2" or "C4".
        url: its page.
        file: the file that was read.
        revision: the requested branch, tag or commit; None for the default branch.
        instead: what to do instead, an imperative without a full stop.
        instead_offline: the same, when there is no network.
        suggestion: similar names, as a sentence with a space before it; empty if there are none.
        datasets: whether the offline mode of the `datasets` library applies.
        action: what failed, as a participle.
    """

    name: str
    url: str
    file: str
    revision: str | None
    instead: str
    instead_offline: str
    suggestion: str = ""
    datasets: bool = False
    action: str = "downloaded from the hub"


class Row(NamedTuple):
    """One known failure. `sentence` is a format string over the fields of `_fields`."""

    matches: Callable[[BaseException], bool]
    kind: ModelFault
    sentence: str


def _is(name: str) -> Callable[[BaseException], bool]:
    """Match a class of `huggingface_hub.errors` by name, so that the library need not be imported."""
    # By the whole MRO: a subclass matches the row of its base, unless an earlier row has it.
    return lambda error: any(base.__name__ == name for base in type(error).__mro__)


def _has_status(*statuses: int) -> Callable[[BaseException], bool]:
    """Match an HTTP error of the hub that has one of these statuses, or any status if none is given."""
    is_http = _is("HfHubHTTPError")
    return lambda error: is_http(error) and (not statuses or http_status(error) in statuses)


def _says(*phrases: str) -> Callable[[BaseException], bool]:
    """Match by message: transformers raises plain ValueErrors for several different problems."""
    return lambda error: any(phrase in str(error) for phrase in phrases)


def _has_errno(numbers: tuple[int, ...]) -> Callable[[BaseException], bool]:
    return lambda error: isinstance(error, OSError) and error.errno in numbers


def _is_unreachable(error: BaseException) -> bool:
    """Match every way of getting no answer at all. `OfflineModeIsEnabled` is a ConnectionError."""
    return (
        isinstance(error, (ConnectionError, TimeoutError))
        or _is("LocalEntryNotFoundError")(error)
        or is_from(error, HTTP_LIBRARIES)
    )


# The order matters: GatedRepoError is a RepositoryNotFoundError, and all of them are an HfHubHTTPError.
TABLE: tuple[Row, ...] = (
    Row(
        lambda error: isinstance(error, Damaged),
        "damaged",
        "{name} is damaged: the file {detail} failed its check, and could not be replaced by a new download. "
        "Try again (delete that file first if it still exists), or {instead}.",
    ),
    Row(
        _is("HFValidationError"),
        "missing",
        "{name} cannot be looked up, because this is not a valid hub id: those look like `owner/name`. "
        "{Instead}.",
    ),
    Row(
        _is("GatedRepoError"),
        "gated",
        "{name} is gated: its authors require consent first. Accept the terms at {url}, then {login}; or "
        "{instead}.",
    ),
    Row(
        _is("RevisionNotFoundError"),
        "revision",
        "{name} has no revision {revision!r} on the hub. Use another branch, tag or commit, or {instead}.",
    ),
    Row(
        _is("RepositoryNotFoundError"),
        "missing",
        "{name} is not on the hub, or it is private and you have no access.{suggestion} "
        "Check the name; for a private one, {login}; or {instead}.",
    ),
    Row(
        _is("RemoteEntryNotFoundError"),
        "missing",
        "{name} is on the hub, but has no file {file} (revision {revision}). {Instead}.",
    ),
    Row(
        # The classes above are raised for 401 and 403 as well.
        _has_status(401, 403),
        "token",
        "Hugging Face rejected the access token for {name} (status {status}). To renew it, {login}; or "
        "{instead}.",
    ),
    Row(
        _has_status(429),
        "server",
        "Hugging Face is rate-limiting requests ({name}, status 429). Wait a few minutes, or {instead}.",
    ),
    Row(
        _has_status(),
        "server",
        "Hugging Face returned an error ({name}, status {status}). Try again later, or {instead}.",
    ),
    Row(
        # words of transformers: check them with each upgrade
        _says("trust_remote_code", "requires you to execute"),
        "remote-code",
        "{name} is defined by code in its own repository, which is never run here. Choose a model that "
        "transformers supports without such code.",
    ),
    Row(
        _says("Unrecognized model"),
        "not-causal",
        "{name} has no `model_type` in its {file}, so its architecture is not known. Restore the {file} that "
        "`save_pretrained` wrote, or {instead}.",
    ),
    Row(
        _says("does not recognize this architecture"),
        "not-causal",
        "{name} has an architecture that this version of transformers does not know. Update transformers, "
        "or {instead}.",
    ),
    Row(
        _has_errno(DISK_FULL),
        "disk-full",
        "{name} could not be saved: the disk that holds {where} is full. Free some space, or {instead}.",
    ),
    Row(
        _has_errno(NOT_WRITABLE),
        "other",
        "{name} could not be saved: {where} is not writable. Make it writable, set HF_HOME to another "
        "directory, or {instead}.",
    ),
    Row(
        _is_unreachable,
        "offline",
        "{name} is not on this machine, and {no_network}. Download it once with a network connection, "
        "or {instead_offline}.",
    ),
)


def explain(request: Request, error: BaseException) -> tuple[ModelFault, str]:
    """Return the kind of a failure and a sentence for it, whatever was raised."""
    for cause in chain(error):  # outermost first
        if isinstance(cause, PrunescopeError):  # explained already, where more was known about it
            return getattr(cause, "kind", "other"), str(cause)
        for row in TABLE:
            if row.matches(cause):
                return row.kind, _sentence(row.sentence, request, cause)
    words = f"{type(error).__name__}: {first_words(error)}"
    fallback = "{name} could not be {action} ({detail}). Try again, or {instead}."
    return "other", _sentence(fallback, request, error, detail=words)


def _sentence(template: str, request: Request, error: BaseException, detail: str = "") -> str:
    sentence = template.format(
        **vars(request) | {"revision": request.revision or "main"},
        Instead=request.instead[0].upper() + request.instead[1:],
        login=LOGIN,
        status=http_status(error),
        detail=detail or str(error),
        where=getattr(error, "filename", None) or settings.hub_cache(),  # set if the system refused a path
        no_network="offline mode is on (HF_HUB_OFFLINE)"
        if _is("OfflineModeIsEnabled")(error) or settings.offline(datasets=request.datasets)
        else f"{settings.endpoint()} cannot be reached",
    )
    return sentence[0].upper() + sentence[1:]


def to_model_error(
    model: str, revision: str | None, error: BaseException, action: str = "downloaded from the hub"
) -> ModelError:
    """Return the error to raise when a model cannot be looked up, downloaded or read (the `action`)."""
    ids = similar_ids(model)
    request = Request(
        name=f"the model {model}",
        url=settings.model_page(model),
        file=CONFIG,
        revision=revision,
        instead="choose another model",
        instead_offline="choose the bundled model or one that is listed as on this machine",
        suggestion=f" Did you mean {' or '.join(ids)}?" if ids else "",
        action=action,
    )
    kind, sentence = explain(request, error)
    return ModelError(sentence, kind=kind)


def no_safetensors(model: str, names: Iterable[str], *, local: bool = False) -> ModelError:
    """Return the error for a model without weights in a format that is read here.

    Args:
        names: its files.
        local: whether it is a directory on this machine.
    """
    present = list(names)
    safetensors = [name for name in present if name.endswith(".safetensors")]
    needed = "safetensors are required"
    other = (
        "Save the model with `save_pretrained`."
        if local
        else "Choose another model, or a revision that has them (many have a pull request by the hub's "
        "converter: use its reference, such as refs/pr/1, as the revision)."
    )
    if holds_gguf(present) and not safetensors:
        file = next(name for name in present if name.lower().endswith(".gguf"))
        has = "only GGUF files"
        fix = (
            "Choose one of them instead of the directory."
            if local
            else f"Download one of them (`hf download {model} {file} --local-dir DIRECTORY`) and choose its "
            "path, or choose the full-precision model that they were made from."
        )
    elif any(map(SHARD.fullmatch, safetensors)):
        has = f"shards ({listed(safetensors, 3)}), but no {INDEX}"
        needed = "it says which tensor is in which shard"
        fix = "Download it as well, or save the model again with `save_pretrained`." if local else other
    elif safetensors:
        has = f"safetensors ({listed(safetensors, 3)}), but no {SINGLE} and no {INDEX}"
        needed = "weights are read under these names only"
        fix = (
            "Download those files, or choose the directory that they are in. A file that `save_pretrained` "
            f"wrote for this {CONFIG} may be renamed to {SINGLE}."
            if local
            else other
        )
    else:
        pickles = "only pickled weights, which can contain code and are never read here"
        has, fix = pickles if has_pickles(present) else "no weights", other
    return ModelError(f"The model {model} has {has}; {needed}. {fix}", kind="no-safetensors")


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status that an exception carries, None if there was no response."""
    response = getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def is_from(error: BaseException, packages: tuple[str, ...]) -> bool:
    """Return whether the exception's class is defined in one of these packages."""
    return type(error).__module__.partition(".")[0] in packages


def first_words(error: BaseException, limit: int = MAX_WORDS) -> str:
    """Return the start of an exception's message on one line, cut between words."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else f"{text[:limit].rsplit(' ', 1)[0]} ..."
