"""Corpora by name: where each comes from, what is taken of it for calibration and for measurement, and
whether it is on this machine.

The measurement is the one of the published pruning codes (SparseGPT, Wanda): WikiText-2's test split joined
by blank lines, the first 1,100 documents of C4's first validation shard joined by spaces and cut to 256
windows, PTB's test split joined by spaces; windows do not overlap, the remainder is dropped. Calibration is
from the training split, by one of two seeded rules: a choice among the windows of the joined text
(WikiText-2, PTB), or one window at a random place of each of a random choice of the documents that are longer
than a window (C4). The published codes draw the windows of a joined text at random starts, so that two may
overlap; here they never do. Nothing in this file uses the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.corpora import dataset_cache
from engine.errors import CorpusError

Role = Literal["calibration", "evaluation"]
ROLES: tuple[Role, ...] = ("calibration", "evaluation")
STORIES = Path(__file__).parents[2] / "assets" / "stories"
INSTEAD = "choose the bundled stories, or a file"


@dataclass(frozen=True)
class Part:
    """What a role takes of a corpus.

    Attributes:
        file: its file in the repository.
        split: the split that the file is of.
        bytes: what has to be downloaded for it, roughly.
        joined: what stands between documents where they are tokenised as one text; None where each is
            tokenised by itself.
        documents: only the first so many; the file is then read from the network as far as needed, and what
            was taken is kept. None for all.
        most_documents: how many may be taken instead where `documents` hold too few windows.
        windows: only the first so many.
        apart: whether a window lies within one document.
    """

    file: str
    split: str
    bytes: int
    joined: str | None
    documents: int | None = None
    most_documents: int | None = None
    windows: int | None = None
    apart: bool = False


@dataclass(frozen=True)
class NamedCorpus:
    """A corpus of the hub.

    Attributes:
        title: how it is called in papers.
        repo: dataset id.
        config: its configuration there, for the record; files are named in full.
        revision: a commit, or a branch that is resolved when it is fetched.
        format: what `datasets` reads it as.
        column: the field that holds a document's text.
        parts: by role.
        explanation: what it is, and what is taken of it.
        licence: in words.
    """

    title: str
    repo: str
    config: str
    revision: str
    format: Literal["parquet", "json"]
    column: str
    parts: Mapping[Role, Part]
    explanation: str
    protocol: str
    licence: str

    @property
    def url(self) -> str:
        """Its page."""
        return f"https://huggingface.co/datasets/{self.repo}"


NAMED: dict[str, NamedCorpus] = {
    "wikitext2": NamedCorpus(
        title="WikiText-2",
        repo="Salesforce/wikitext",
        config="wikitext-2-raw-v1",
        revision="b08601e04326c79dfdd32d625aee71d232d685c3",
        format="parquet",
        column="text",
        parts={
            "calibration": Part(
                "wikitext-2-raw-v1/train-00000-of-00001.parquet", "train", 6_360_000, joined=" "
            ),
            "evaluation": Part(
                "wikitext-2-raw-v1/test-00000-of-00001.parquet", "test", 733_000, joined="\n\n"
            ),
        },
        explanation="Good and featured articles of the English Wikipedia, raw. The literature's usual text to measure pruned models on.",
        protocol="Measured on the test split joined by blank lines, in windows without overlap, the remainder dropped. "
        "Calibrated on a seeded choice of the train split's windows, lines joined by spaces.",
        licence="CC BY-SA 3.0 and GFDL",
    ),
    "c4": NamedCorpus(
        title="C4",
        repo="allenai/c4",
        config="en",
        revision="1588ec454efa1a09f29cd18ddd04fe05fc8653a2",
        format="json",
        column="text",
        parts={
            "calibration": Part(
                "en/c4-train.00000-of-01024.json.gz",
                "train",
                16_000_000,
                joined=None,
                documents=10_000,
                most_documents=80_000,
                apart=True,
            ),
            "evaluation": Part(
                "en/c4-validation.00000-of-00008.json.gz",
                "validation",
                10_500_000,
                joined=" ",
                documents=1_100,
                windows=256,
            ),
        },
        explanation="Cleaned web pages in English. The literature's usual text to calibrate on.",
        protocol="Measured on the first 1,100 documents of the first validation shard joined by spaces, in at most 256 windows without overlap. "
        "Calibrated on one window at a random place of each of a seeded choice of documents longer than a window, out of the first 10,000 of the "
        "first train shard (twice as many, up to 80,000, where these do not suffice). Only as much of a shard is downloaded as is taken of it.",
        licence="ODC-BY 1.0, and Common Crawl's terms of use",
    ),
    "ptb": NamedCorpus(
        title="Penn Treebank",
        repo="ptb-text-only/ptb_text_only",
        config="penn_treebank",
        revision="refs/convert/parquet",
        format="parquet",
        column="sentence",
        parts={
            "calibration": Part("penn_treebank/train/0000.parquet", "train", 2_950_000, joined=" "),
            "evaluation": Part("penn_treebank/test/0000.parquet", "test", 262_000, joined=" "),
        },
        explanation="Sentences of the Wall Street Journal of 1989, in lower case, with <unk> for rare words and N for numbers.",
        protocol="Measured on the test split joined by spaces, in windows without overlap, the remainder dropped. "
        "Calibrated on a seeded choice of the train split's windows, sentences joined by spaces.",
        licence="LDC User Agreement, for research",
    ),
}
"""By the name that a recipe uses."""


@dataclass(frozen=True)
class Description:
    """What a page says of a corpus before it is chosen.

    Attributes:
        cached: whether everything is on this machine.
        bytes_to_download: of what is missing, roughly; None where nothing is.
    """

    title: str
    explanation: str
    licence: str
    url: str
    cached: bool
    bytes_to_download: int | None
    protocol: str


def describe(name: str) -> Description:
    """What a corpus is, and what of it is missing here, over both roles. No network.

    Raises:
        CorpusError: there is no corpus of this name.
    """
    if name == "stories":
        return BUNDLED
    corpus = named(name)
    missing = sum(corpus.parts[role].bytes for role in ROLES if not available(name, role))
    return Description(
        corpus.title,
        corpus.explanation,
        corpus.licence,
        corpus.url,
        not missing,
        missing or None,
        corpus.protocol,
    )


BUNDLED = Description(
    title="Bundled stories",
    explanation="140 short stories for children, written for this project.",
    licence="CC0 1.0",
    url="",
    cached=True,
    bytes_to_download=None,
    protocol="Measured on the second part's stories, each behind a start token, in windows without overlap, the remainder dropped. "
    "Calibrated on a seeded choice of the first part's windows.",
)


def named(name: str) -> NamedCorpus:
    """The corpus of this name.

    Raises:
        CorpusError: there is none.
    """
    if name not in NAMED:
        raise CorpusError(
            f"There is no corpus {name!r}. Those there are: stories, {', '.join(NAMED)}; or give a .txt, .jsonl or .npy file."
        )
    return NAMED[name]


def available(name: str, role: Role) -> bool:
    """Whether a corpus can be had without the network: it is a file that is there, or cached."""
    if name not in NAMED:
        return corpus_path(name, role).is_file()
    corpus = NAMED[name]
    part = corpus.parts[role]
    if dataset_cache.hub_file(corpus.repo, corpus.revision, part.file) is not None:
        return True
    return (
        part.documents is not None
        and dataset_cache.head(corpus.repo, corpus.revision, part.file, part.documents).is_file()
    )


def corpus_path(name: str, role: str) -> Path:
    """The file that a corpus name stands for in a role, of those that are files; the stories have a part of
    their own for each.
    """
    return STORIES / f"{role}.txt" if name == "stories" else Path(name).expanduser()
