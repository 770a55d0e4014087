"""A hub with tiny corpora in the format of the real ones, and separate caches per test."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.corpora.named import CALIBRATION_CORPORA, NAMED
from tests.corpora.server import HubServer

LINES = {
    "train": [" = A heading = \n", "", " Some words of an article , with <unk> . \n", ""] * 40,
    "test": ["", " = Other = \n", " Text é 🙂 here . \n"] * 30,
}
SENTENCES = {
    "train": ["one sentence of the journal", "another N sentence"] * 40,
    "test": ["the <unk> fell N points", "it rose"] * 30,
}


def web_pages(count: int, kind: str) -> list[str]:
    """Documents of very different lengths; every fifth is long."""
    return [
        f"{kind} page {number} " + f"says {number} and more. " * (60 if number % 5 == 0 else 2)
        for number in range(count)
    ]


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The directories that the hub serves, by the name of the data set; tests only read them."""
    return fill(tmp_path_factory.mktemp("datasets"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, datasets: dict[str, Path]) -> Iterator[HubServer]:
    server = HubServer()
    for name in (
        "HF_HUB_OFFLINE",
        "HF_DATASETS_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_HUB_CACHE",
        "HF_DATASETS_CACHE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    for name, directory in datasets.items():
        server.add_dataset(name, directory)
    yield server
    server.close()


def fill(directory: Path) -> dict[str, Path]:
    """The files of all named corpora, made small."""
    import pyarrow as pa
    from pyarrow import parquet

    for name, rows in (("wikitext2", LINES), ("ptb", SENTENCES)):
        for part in NAMED[name].parts.values():
            file = directory / name / part.file
            file.parent.mkdir(parents=True, exist_ok=True)
            parquet.write_table(pa.table({NAMED[name].column: rows[part.split]}), file)
    for part in NAMED["c4"].parts.values():
        file = directory / "c4" / part.file
        file.parent.mkdir(parents=True, exist_ok=True)
        pages = (
            {"text": text, "timestamp": "2019-04-25T12:57:54Z", "url": "http://a"}
            for text in web_pages(1300, part.split)
        )
        file.write_bytes(gzip.compress("".join(f"{json.dumps(page)}\n" for page in pages).encode()))
    return {NAMED[name].repo: directory / name for name in CALIBRATION_CORPORA}
