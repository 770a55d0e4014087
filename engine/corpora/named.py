"""Corpora by name: their source, what calibration and evaluation read of them, and whether they are cached.

Evaluation follows the published pruning codes (SparseGPT, Wanda): WikiText-2's test split joined by blank
lines; the first 1,100 documents of C4's first validation shard, joined by spaces and cut to 256 windows;
PTB's test split joined by spaces. Windows do not overlap, and the remainder is dropped. Calibration reads the
training split, by one of two seeded rules: a choice among the windows of the joined text (WikiText-2, PTB),
or one window at a random position of each of a random choice of the documents that are longer than a window
(C4). The published codes draw windows of a joined text at random positions, so two may overlap; here they
never do. Nothing in this file uses the network.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from engine.errors import CorpusError
from engine.hub import settings
from engine.hub.cache import cached_dataset_file

Role = Literal["calibration", "evaluation"]
ROLES: tuple[Role, ...] = ("calibration", "evaluation")
STORIES = Path(__file__).parents[2] / "assets" / "stories"
INSTEAD = "choose the bundled stories, or a file"


@dataclass(frozen=True)
class Part:
    """What one role reads of a corpus.

    Attributes:
        file: the file in the repository.
        split: the split that the file belongs to.
        bytes: approximate size of the download.
        joined: the separator if documents are tokenised as one text; None if each is tokenised separately.
        documents: only the first `documents` are read, streamed and saved as an excerpt; None for all.
        most_documents: the limit up to which more are read if `documents` contain too few windows.
        windows: only the first `windows` windows are used; None for all.
        apart: whether a window must lie within one document.
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
        title: its name in papers.
        repo: dataset id.
        config: its configuration on the hub, for the record; files are requested by their full name.
        revision: a commit, or a branch that is resolved at download.
        format: the format that `datasets` reads it as.
        column: the field that holds a document's text.
        parts: what each role reads.
        explanation: what it is.
        protocol: what is read of it, and how.
        licence: in words.
        excerpt_of: the corpus that this one is the beginning of. Only their evaluations differ, so it is not
            offered for calibration.
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
    excerpt_of: str | None = None

    @property
    def url(self) -> str:
        """Its page on the hub."""
        return f"https://huggingface.co/datasets/{self.repo}"


NAMED: dict[str, NamedCorpus] = {
    "wikitext2": NamedCorpus(
        title="WikiText-2",
        repo="Salesforce/wikitext",
        config="wikitext-2-raw-v1",
        revision="b08601e04326c79dfdd32d625aee71d232d685c3",
        format="parquet",
        column="text",
        # separators as in the published codes: a space for the train split, a blank line for the test split
        parts={
            "calibration": Part(
                "wikitext-2-raw-v1/train-00000-of-00001.parquet", "train", 6_360_000, joined=" "
            ),
            "evaluation": Part(
                "wikitext-2-raw-v1/test-00000-of-00001.parquet", "test", 733_000, joined="\n\n"
            ),
        },
        explanation="Good and featured articles of the English Wikipedia, raw. The usual text for evaluating "
        "pruned models.",
        protocol="Evaluation: the test split joined by blank lines, in windows without overlap, without the "
        "remainder. Calibration: a seeded choice of the train split's windows, lines joined by spaces.",
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
                documents=10_000,  # few are longer than a window of 2,048 tokens
                most_documents=80_000,
                apart=True,
            ),
            "evaluation": Part(
                "en/c4-validation.00000-of-00008.json.gz",
                "validation",
                10_500_000,
                # as in SparseGPT and Wanda, with the limit of windows below
                joined=" ",
                documents=1_100,
                windows=256,
            ),
        },
        explanation="Cleaned web pages in English. The usual text for calibration.",
        protocol="Evaluation: the first 1,100 documents of the first validation shard joined by "
        "spaces, at most 256 windows without overlap. Calibration: one window at a random position of each "
        "of a seeded choice of documents longer than a window, out of the first 10,000 of the first train "
        "shard (doubled, up to 80,000, if these are too few). Only the part of a shard that is read is "
        "downloaded.",
        licence="ODC-BY 1.0, and Common Crawl's terms of use",
    ),
    "ptb": NamedCorpus(
        title="Penn Treebank",
        repo="ptb-text-only/ptb_text_only",
        config="penn_treebank",
        revision="refs/convert/parquet",  # the hub's conversion: the original is a script, which is never run
        format="parquet",
        column="sentence",
        parts={
            "calibration": Part("penn_treebank/train/0000.parquet", "train", 2_950_000, joined=" "),
            "evaluation": Part("penn_treebank/test/0000.parquet", "test", 262_000, joined=" "),
        },
        explanation="Lower-case sentences of the 1989 Wall Street Journal, with <unk> for rare words and N "
        "for numbers.",
        protocol="Evaluation: the test split joined by spaces, in windows without overlap, without the "
        "remainder. Calibration: a seeded choice of the train split's windows, sentences joined by spaces.",
        licence="LDC User Agreement, for research",
    ),
}
"""Keyed by the name that a recipe uses."""


def _beginning(name: str, windows: int) -> NamedCorpus:
    """Return a corpus of whose evaluation text only the first windows are measured."""
    whole = NAMED[name]
    return replace(
        whole,
        title=f"{whole.title}, first {windows} windows",
        parts={**whole.parts, "evaluation": replace(whole.parts["evaluation"], windows=windows)},
        explanation=f"The beginning of {whole.title}, for models that take minutes to read all of it.",
        protocol=f"As {whole.title}, but of the evaluation text only the first {windows} windows.",
        excerpt_of=name,
    )


NAMED["wikitext2-24"] = _beginning("wikitext2", 24)
CALIBRATION_CORPORA = tuple(name for name, corpus in NAMED.items() if corpus.excerpt_of is None)
"""The corpora that are offered for calibration."""


@dataclass(frozen=True)
class Description:
    """What a page shows about a corpus before it is chosen.

    Attributes:
        cached: whether all of it is on this machine.
        bytes_to_download: approximate size of what is missing; None if nothing is.
    """

    title: str
    explanation: str
    licence: str
    url: str
    cached: bool
    bytes_to_download: int | None
    protocol: str


BUNDLED = Description(
    title="Bundled stories",
    explanation="140 short stories for children, written for this project.",
    licence="CC0 1.0",
    url="",
    cached=True,
    bytes_to_download=None,
    protocol="Evaluation: the second part's stories, each after a start token, in windows without overlap, "
    "without the remainder. Calibration: a seeded choice of the first part's windows.",
)


def describe(name: str) -> Description:
    """Return what a corpus is and how much of it (over both roles) is not on this machine. No network.

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


def named(name: str) -> NamedCorpus:
    """Return the corpus of this name.

    Raises:
        CorpusError: there is none.
    """
    if name not in NAMED:
        raise CorpusError(
            f"There is no corpus {name!r}. Choose from stories, {', '.join(NAMED)}; or give a .txt, .jsonl "
            f"or .npy file."
        )
    return NAMED[name]


def available(name: str, role: Role) -> bool:
    """Return whether a corpus needs no network: it is a file that exists, or is cached."""
    if name not in NAMED:
        return os.path.isfile(corpus_path(name, role))
    corpus = NAMED[name]
    part = corpus.parts[role]
    if cached_file(corpus, part) is not None:
        return True
    # Only the default excerpt counts; a doubled one is a file of its own.
    return part.documents is not None and excerpt_file(corpus, part, part.documents).is_file()


def holds_token_ids(name: str) -> bool:
    """Return whether a name is that of a file of token ids, which needs no tokenizer."""
    return Path(name).suffix.lower() == ".npy"


def corpus_path(name: str, role: str) -> Path:
    """Return the file that a name refers to, if it is not a named corpus.

    The stories have one file per role.
    """
    return STORIES / f"{role}.txt" if name == "stories" else Path(os.path.expanduser(name))


def cached_file(corpus: NamedCorpus, part: Part) -> Path | None:
    """Return the whole file of a part in the hub's cache, None if it is not there."""
    return cached_dataset_file(corpus.repo, corpus.revision, part.file)


def excerpt_file(corpus: NamedCorpus, part: Part, documents: int) -> Path:
    """Return the path of the excerpt that holds the first `documents` of a part, whether or not it exists."""
    short_name = Path(part.file).name.partition(".json")[0]  # `Path.stem` would strip only `.gz`
    # The revision is part of the name, so pinning another commit does not reuse old excerpts.
    name = f"{corpus.repo}-{corpus.revision[:12]}-{short_name}-{documents}.jsonl.gz"
    return excerpts() / name.replace("/", "--")  # as the hub's cache names its folders


def excerpts() -> Path:
    """Return the directory of excerpts, among the caches of the `datasets` library."""
    return settings.datasets_cache() / "prunescope"
