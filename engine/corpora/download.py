"""The documents of a named corpus, from this machine or from the hub, read with the `datasets` library.

Short files (PTB, WikiText-2: 0.3 to 6 MB) are downloaded whole into the hub's cache. Of a long file (C4's
shards, 40 and 320 MB) only the first documents are streamed and saved as an excerpt: one file, written
atomically. Cached files are used without any request; a damaged one is downloaded again, once. No code of a
dataset is ever run: each file is requested by its full name and parsed as the format that it is.
"""

from __future__ import annotations

import gzip
import json
import logging
import zlib
from collections.abc import Generator, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.corpora.named import INSTEAD, NamedCorpus, Part, cached_file, excerpt_file
from engine.errors import CorpusError
from engine.hardware import disk
from engine.hub import settings
from engine.hub.download import with_retries
from engine.hub.failures import Damaged, Request, explain
from engine.progress import Progress, Report, in_background

EXCERPT_FORMAT = 1
"""Increase when the format of excerpts changes."""
BATCH = 200
"""Documents that are read between two checks for cancellation."""
CHUNK = 1_000_000
"""Bytes of JSON lines that are parsed at a time. The network is read 5 MB at a time regardless."""
RETRIES, RETRY_SECONDS = 3, 2
"""Tries for a broken stream, and the pause between them. By default `datasets` retries for minutes."""

Documents = tuple[tuple[str, ...], str]
"""Documents, and the commit that they are from."""


def documents_of(corpus: NamedCorpus, part: Part, count: int | None) -> Generator[Progress, None, Documents]:
    """Return the documents of a part, and their commit.

    Args:
        part: the file to read.
        count: read only the first `count` documents; None for all.

    Raises:
        CorpusError: they are not on this machine and cannot be downloaded.
    """

    def work(report: Report) -> Documents:
        try:
            return _whole(corpus, part, report) if count is None else _excerpt(corpus, part, count, report)
        except Exception as error:  # also `Stopped`, whose message is never shown
            request = Request(
                name=corpus.title,
                url=corpus.url,
                file=part.file,
                revision=corpus.revision[:12],
                instead=INSTEAD,
                instead_offline=INSTEAD,
                datasets=True,
            )
            raise CorpusError(explain(request, error)[1]) from error

    return (yield from in_background(corpus.title, work))


def _whole(corpus: NamedCorpus, part: Part, report: Report) -> Documents:
    cached = cached_file(corpus, part)
    path = cached or _download(corpus, part, report)
    try:
        return tuple(_read(corpus, str(path), report)), _commit(path, part)
    except Damaged:
        # A file that was damaged on arrival would be damaged again.
        if cached is None or settings.offline(datasets=True):
            raise
        path = _download(corpus, part, report, force=True)
        return tuple(_read(corpus, str(path), report)), _commit(path, part)


def _commit(path: Path, part: Part) -> str:
    """Return the commit from the path of a cached file, `.../snapshots/COMMIT/FILE`."""
    return path.parts[-1 - len(Path(part.file).parts)]


def _download(corpus: NamedCorpus, part: Part, report: Report, *, force: bool = False) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import tqdm

    _look_up(corpus, part, report)

    class ReportingBar(tqdm):
        """A progress bar that is never drawn: it updates the report, and cancels the download on request.

        The library resumes a cancelled download the next time.
        """

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            # the library opens a second bar, "*.transfer", which counts the same bytes
            self._counts = not str(kwargs.get("name")).endswith(".transfer")
            # A disabled bar draws nothing, but the library still updates it.
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]
            if self._counts:
                # `initial`: resumed bytes
                report.total, report.done = kwargs.get("total"), kwargs.get("initial") or 0

        def update(self, n: float | None = 1) -> None:
            report.check()  # raises in the library's download loop
            if self._counts:
                report.done += int(n or 0)

    path = hf_hub_download(
        corpus.repo,
        part.file,
        repo_type="dataset",
        revision=corpus.revision,
        cache_dir=settings.hub_cache(),
        endpoint=settings.endpoint(),
        force_download=force,
        tqdm_class=ReportingBar,
    )
    return Path(path)


def _excerpt(corpus: NamedCorpus, part: Part, count: int, report: Report) -> Documents:
    """Return the first documents of a long file: from the excerpt, the whole cached file, or the network."""
    excerpt = excerpt_file(corpus, part, count)
    with suppress(OSError, Damaged):
        return _load_excerpt(excerpt)
    if (whole := cached_file(corpus, part)) is not None:
        with suppress(Damaged):
            return tuple(_read(corpus, str(whole), report, count)), _commit(whole, part)
    commit, size = _look_up(corpus, part, report)
    report.note = f"Only the first {count:,} documents of a file of {size / 1e6:,.0f} MB." if size else ""
    # the commit, so that the branch cannot move in between
    source = f"hf://datasets/{corpus.repo}@{commit}/{part.file}"
    documents = tuple(_read(corpus, source, report, count))
    report.check()
    _save_excerpt(excerpt, documents, commit)
    return documents, commit


def _look_up(corpus: NamedCorpus, part: Part, report: Report) -> tuple[str, int | None]:
    """Return the commit and the size of a file on the hub, with one small request.

    It fails immediately if there is no network, whereas the libraries' own requests retry for half a minute.
    A busy hub is retried.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import OfflineModeIsEnabled

    if settings.offline(datasets=True):
        raise OfflineModeIsEnabled
    hub = settings.endpoint()
    url = hf_hub_url(corpus.repo, part.file, repo_type="dataset", revision=corpus.revision, endpoint=hub)
    metadata = with_retries(lambda: get_hf_file_metadata(url, endpoint=hub), report)
    return metadata.commit_hash or corpus.revision, metadata.size


def _read(corpus: NamedCorpus, source: str, report: Report, count: int | None = None) -> Iterator[str]:
    """Yield the texts of a file, local or on the hub, in order.

    Raises:
        Damaged: a local file cannot be parsed.
    """
    datasets = _quiet_datasets()
    try:
        options = {"chunksize": CHUNK} if corpus.format == "json" else {}
        # A split needs a name; "rows" is arbitrary.
        rows = datasets.load_dataset(
            corpus.format, data_files={"rows": source}, split="rows", streaming=True, **options
        )
        report.done, report.total = 0, None  # from here in bytes of text, not of the download
        for batch in (rows if count is None else rows.take(count)).iter(batch_size=BATCH):
            report.check()
            texts = batch[corpus.column]
            report.done += sum(len(text.encode()) for text in texts)
            yield from texts
    except Exception as error:
        # a stream fails for other reasons than damage
        if "://" in source or not isinstance(error, _parse_errors()):
            raise
        raise Damaged(source) from error


def _parse_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that reading a damaged file raises."""
    import pyarrow

    return (
        pyarrow.ArrowInvalid,
        pyarrow.ArrowKeyError,
        EOFError,
        zlib.error,
        KeyError,
        ValueError,
        OSError,  # includes gzip.BadGzipFile
        _quiet_datasets().exceptions.DatasetGenerationError,
    )


def _quiet_datasets() -> Any:
    """Return the `datasets` library, without its output and pointed at the configured hub.

    Its import takes about a second, so nothing imports it before it is needed.
    """
    datasets: Any = import_module("datasets")
    config = datasets.config
    # The library reads the environment once, on import, so a later change is set here.
    config.HF_ENDPOINT = settings.endpoint()
    config.STREAMING_READ_MAX_RETRIES = config.STREAMING_OPEN_MAX_RETRIES = RETRIES
    config.STREAMING_READ_RETRY_INTERVAL = config.STREAMING_OPEN_RETRY_INTERVAL = RETRY_SECONDS
    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity(logging.CRITICAL)  # errors are reported as a CorpusError instead
    return datasets


def _load_excerpt(path: Path) -> Documents:
    """Return the documents of an excerpt, and their commit.

    Raises:
        OSError: the file is not there.
        Damaged: it is incomplete.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
            header, *documents = map(json.loads, file)
        if (header["format"], header["documents"]) != (EXCERPT_FORMAT, len(documents)):
            raise ValueError(header)
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError, KeyError, TypeError) as error:
        raise Damaged(str(path)) from error
    return tuple(documents), header["commit"]


def _save_excerpt(path: Path, documents: tuple[str, ...], commit: str) -> None:
    header = {"format": EXCERPT_FORMAT, "documents": len(documents), "commit": commit}

    def save(temporary: Path) -> None:
        # gzip's default level, 9, is much slower.
        with gzip.open(temporary, "wt", compresslevel=3, encoding="utf-8", newline="\n") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in (header, *documents))

    path.parent.mkdir(parents=True, exist_ok=True)
    disk.replace_file(path, save)
