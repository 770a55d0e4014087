"""The documents of a named corpus, from this machine or from the hub, read by `datasets`.

Short files (PTB, WikiText-2: 0.3 to 6 MB) are fetched whole into the hub's cache. Of a long one (C4's shards,
40 and 320 MB) the first documents are read from the network as far as needed and kept as one file, written
whole or not at all. What is there is used without asking the network; what is there and damaged is fetched
again, once. No code of a dataset is ever run: files are named in full, and read as the format that they are.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import uuid
import zlib
from collections.abc import Generator, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.corpora import dataset_cache
from engine.corpora.failures import Damaged, to_corpus_error
from engine.corpora.named import NamedCorpus, Part
from engine.hub.download import patiently
from engine.progress import Progress, Report, in_background

FORMAT = 1
"""Of a kept head; raised when its form changes."""
AT_ONCE = 200
"""Documents between two looks at whether anybody still waits."""
CHUNK = 1_000_000
"""Bytes of JSON lines that are parsed at a time. The network is read 5 MB at a time whatever this is."""
RETRIES, RETRY_SECONDS = 3, 2
"""How often a broken stream is tried, and the pauses; `datasets` by itself tries for minutes."""


def documents_of(
    corpus: NamedCorpus, part: Part, count: int | None
) -> Generator[Progress, None, tuple[tuple[str, ...], str]]:
    """The documents of a part, and the commit that they are of.

    Args:
        corpus: where from.
        part: the file.
        count: only the first so many, None for all.

    Raises:
        CorpusError: they are not here and cannot be fetched.
    """

    def work(report: Report) -> tuple[tuple[str, ...], str]:
        try:
            return _whole(corpus, part, report) if count is None else _head(corpus, part, count, report)
        except Exception as error:
            raise to_corpus_error(corpus, part, error) from error

    return (yield from in_background(corpus.title, work))


def _whole(corpus: NamedCorpus, part: Part, report: Report) -> tuple[tuple[str, ...], str]:
    cached = dataset_cache.hub_file(corpus.repo, corpus.revision, part.file)
    path = cached or _download(corpus, part, report)
    try:
        return tuple(_read(corpus, str(path), report)), _commit(path, part)
    except Damaged:
        if cached is None or dataset_cache.offline():
            raise
        path = _download(corpus, part, report, again=True)
        return tuple(_read(corpus, str(path), report)), _commit(path, part)


def _commit(path: Path, part: Part) -> str:
    """The commit in the name of a cached file, `.../snapshots/COMMIT/FILE`."""
    return path.parts[-1 - len(Path(part.file).parts)]


def _download(corpus: NamedCorpus, part: Part, report: Report, *, again: bool = False) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import tqdm

    _remote(corpus, part, report)

    class Bar(tqdm):
        """Never drawn: it tells the report what comes in, and breaks the download off where nobody waits.
        What is there is taken up next time.
        """

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts = not str(kwargs.get("name")).endswith(".transfer")  # a second bar of the same bytes
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]
            if self._counts:
                report.total, report.done = kwargs.get("total"), kwargs.get("initial") or 0

        def update(self, n: float | None = 1) -> None:
            report.check()
            if self._counts:
                report.done += int(n or 0)

    found = hf_hub_download(
        corpus.repo,
        part.file,
        repo_type="dataset",
        revision=corpus.revision,
        cache_dir=dataset_cache.hub_cache(),
        endpoint=dataset_cache.endpoint(),
        force_download=again,
        tqdm_class=Bar,
    )
    return Path(found)


def _head(corpus: NamedCorpus, part: Part, count: int, report: Report) -> tuple[tuple[str, ...], str]:
    kept = dataset_cache.head(corpus.repo, corpus.revision, part.file, count)
    with suppress(OSError, Damaged):
        return _kept(kept)
    if (shard := dataset_cache.hub_file(corpus.repo, corpus.revision, part.file)) is not None:
        with suppress(Damaged):
            return tuple(_read(corpus, str(shard), report, count)), _commit(shard, part)
    commit, size = _remote(corpus, part, report)
    report.note = f"Only the first {count:,} documents of a shard of {size / 1e6:,.0f} MB." if size else ""
    source = f"hf://datasets/{corpus.repo}@{commit}/{part.file}"
    documents = tuple(_read(corpus, source, report, count))
    report.check()
    _keep(kept, documents, commit)
    return documents, commit


def _remote(corpus: NamedCorpus, part: Part, report: Report) -> tuple[str, int | None]:
    """The commit and the size of a file on the hub, by one small request. Where nothing answers it fails at
    once (the libraries' own requests are repeated for half a minute); a hub that is busy is asked again a few
    times.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import OfflineModeIsEnabled

    if dataset_cache.offline():
        raise OfflineModeIsEnabled
    url = hf_hub_url(
        corpus.repo,
        part.file,
        repo_type="dataset",
        revision=corpus.revision,
        endpoint=dataset_cache.endpoint(),
    )
    found = patiently(lambda: get_hf_file_metadata(url, endpoint=dataset_cache.endpoint()), report)
    return found.commit_hash or corpus.revision, found.size


def _read(corpus: NamedCorpus, source: str, report: Report, count: int | None = None) -> Iterator[str]:
    """The texts of a file, on the disk or on the hub, in its order.

    Raises:
        Damaged: what is on the disk cannot be read.
    """
    datasets = _datasets()
    try:
        more = {"chunksize": CHUNK} if corpus.format == "json" else {}
        rows = datasets.load_dataset(
            corpus.format, data_files={"rows": source}, split="rows", streaming=True, **more
        )
        report.done, report.total = 0, None
        for batch in (rows if count is None else rows.take(count)).iter(batch_size=AT_ONCE):
            report.check()
            texts = batch[corpus.column]
            report.done += sum(len(text.encode()) for text in texts)
            yield from texts
    except Exception as error:
        if "://" in source or not isinstance(error, _unreadable()):
            raise
        raise Damaged(source) from error


def _unreadable() -> tuple[type[Exception], ...]:
    """What reading a damaged file raises."""
    import pyarrow

    wrong = (
        pyarrow.ArrowInvalid,
        pyarrow.ArrowKeyError,
        EOFError,
        zlib.error,
        gzip.BadGzipFile,
        UnicodeDecodeError,
        KeyError,
        ValueError,
    )
    return (*wrong, _datasets().exceptions.DatasetGenerationError, OSError)


def _datasets() -> Any:
    """The library, quiet, and at the hub that the environment names; its import takes about a second."""
    datasets: Any = import_module("datasets")
    datasets.config.HF_ENDPOINT = dataset_cache.endpoint()
    datasets.config.STREAMING_READ_MAX_RETRIES = datasets.config.STREAMING_OPEN_MAX_RETRIES = RETRIES
    datasets.config.STREAMING_READ_RETRY_INTERVAL = datasets.config.STREAMING_OPEN_RETRY_INTERVAL = (
        RETRY_SECONDS
    )
    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity(logging.CRITICAL)  # what goes wrong is said here, in a sentence
    return datasets


def _kept(path: Path) -> tuple[tuple[str, ...], str]:
    """The documents of a kept head, and their commit.

    Raises:
        OSError: it is not there.
        Damaged: it is not whole.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
            facts, *documents = map(json.loads, file)
        if (facts["format"], facts["documents"]) != (FORMAT, len(documents)):
            raise ValueError(facts)
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError, KeyError, TypeError) as error:
        raise Damaged(str(path)) from error
    return tuple(documents), facts["commit"]


def _keep(path: Path, documents: tuple[str, ...], commit: str) -> None:
    facts = {"format": FORMAT, "documents": len(documents), "commit": commit}
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with gzip.open(temporary, "wt", compresslevel=3, encoding="utf-8", newline="\n") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in (facts, *documents))
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
