"""What goes wrong between a named corpus and this machine, as sentences: each says what was asked, what is
wrong, and what to do instead.

Libraries wrap one error in another; the first of the chain that says something known decides.
"""

from __future__ import annotations

import errno

from engine.corpora import dataset_cache
from engine.corpora.named import INSTEAD, NamedCorpus, Part
from engine.errors import CorpusError, chain

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)


class Damaged(Exception):
    """A file on this machine that cannot be read; `str(error)` is its path."""


def to_corpus_error(corpus: NamedCorpus, part: Part, error: BaseException) -> CorpusError:
    """The sentence for whatever came up while a corpus was fetched or read."""
    for cause in chain(error):
        if sentence := _sentence(corpus, part, cause):
            return CorpusError(sentence)
    first = (str(error).splitlines() or [""])[0]
    return CorpusError(
        f"{corpus.title} could not be fetched ({type(error).__name__}: {first}). Try again, or {INSTEAD}."
    )


def _sentence(corpus: NamedCorpus, part: Part, error: BaseException) -> str | None:
    if isinstance(error, CorpusError):
        return str(error)
    if isinstance(error, Damaged):
        return f"{corpus.title} on this machine is damaged ({error}) and could not be fetched again. Delete that file and try again, or {INSTEAD}."
    return _from_hub(corpus, part, error) or _from_disk(corpus, error) or _from_network(corpus, error)


def _from_hub(corpus: NamedCorpus, part: Part, error: BaseException) -> str | None:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return f"{corpus.title} asks for consent first. Accept its terms at {corpus.url} and log in with `hf auth login`, or {INSTEAD}."
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{corpus.title} was asked of {corpus.url}, but the hub has no such dataset, or not for your login. {INSTEAD.capitalize()}."
    if isinstance(error, (errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError)):
        return f"{corpus.title} was asked of {corpus.url}, but there is no {part.file} at {corpus.revision[:8]} any more. {INSTEAD.capitalize()}."
    if isinstance(error, errors.HfHubHTTPError):
        code = error.response.status_code
        if code == 429:
            return f"The hub answers no more for now, because too much was asked of it ({corpus.title}, status 429). Wait a few minutes, or {INSTEAD}."
        what = "does not take your token" if code in (401, 403) else "does not answer as it should"
        return f"The hub {what} ({corpus.title}, status {code}). {'Log in again' if code in (401, 403) else 'Try again later'}, or {INSTEAD}."
    return None


def _from_disk(corpus: NamedCorpus, error: BaseException) -> str | None:
    if not isinstance(error, OSError):
        return None
    where = error.filename or dataset_cache.hub_cache()
    if error.errno in FULL:
        return f"{corpus.title} could not be kept: the disk that holds {where} is full. Free some space, or {INSTEAD}."
    if error.errno in REFUSED:
        return f"{corpus.title} could not be kept: {where} cannot be written. Make it writable, or {INSTEAD}."
    return None


def _from_network(corpus: NamedCorpus, error: BaseException) -> str | None:
    """No answer at all: offline, told to stay so, or cut off for good."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    told = isinstance(error, OfflineModeIsEnabled) or dataset_cache.offline()
    unreachable = isinstance(
        error, (LocalEntryNotFoundError, ConnectionError, TimeoutError)
    ) or _is_transport(error)
    if not told and not unreachable:
        return None
    why = (
        "this machine is told to stay offline (HF_HUB_OFFLINE)"
        if told
        else f"{dataset_cache.endpoint()} cannot be reached"
    )
    return f"{corpus.title} is not on this machine, and {why}. Fetch it once with a network, or {INSTEAD}."


def _is_transport(error: BaseException) -> bool:
    """Whether an error is of one of the libraries that speak HTTP, whose classes change with their versions."""
    return type(error).__module__.partition(".")[0] in (
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "aiohttp",
        "requests",
        "urllib3",
    )
