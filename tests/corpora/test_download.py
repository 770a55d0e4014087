"""Named corpora from a hub: what is read, what is cached, and every way in which the download can fail."""

import errno
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from engine.corpora import download
from engine.corpora.documents import fetch
from engine.corpora.named import (
    CALIBRATION_CORPORA,
    NAMED,
    ROLES,
    available,
    cached_file,
    describe,
    excerpt_file,
    excerpts,
    named,
)
from engine.corpora.windows import Windows, calibration_windows, evaluation_windows
from engine.errors import CorpusError
from engine.hub import download as hub_download
from engine.hub import settings
from engine.progress import drain
from tests.corpora.conftest import LINES, SENTENCES, web_pages
from tests.corpora.plain import ids_of
from tests.corpora.server import COMMIT, HubServer
from tests.corpora.tokenizers import byte_level

NAMES = [name for name, corpus in NAMED.items() if corpus.excerpt_of is None]
INSTEAD = "choose the bundled stories, or a file"


def measured(name: str, length: int = 32, cache: Path | None = None) -> Windows:
    return drain(evaluation_windows(name, byte_level(), 10_000, length=length, cache=cache))


def calibrated(name: str, samples: int = 4, length: int = 32, seed: int = 0) -> Windows:
    return drain(calibration_windows(name, byte_level(), 10_000, samples=samples, length=length, seed=seed))


TEXTS: dict[str, Callable[[], str]] = {
    "wikitext2": lambda: "\n\n".join(LINES["test"]),
    "ptb": lambda: " ".join(SENTENCES["test"]),
    "c4": lambda: " ".join(web_pages(1300, "validation")[: NAMED["c4"].parts["evaluation"].documents]),
}
FEW = 100


@pytest.fixture
def whole_c4() -> None:
    """For tests of how many documents of C4 are read; the others read few, in a tenth of the time."""


@pytest.fixture(autouse=True)
def few_documents(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "whole_c4" not in request.fixturenames:
        _smaller(monkeypatch, "evaluation", documents=FEW)
        _smaller(monkeypatch, "calibration", documents=FEW, most_documents=FEW)


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_windows_follow_the_literature(name: str, hub: HubServer, whole_c4: None) -> None:
    assert NAMED["c4"].parts["evaluation"].documents == 1100
    expected = ids_of(byte_level(), TEXTS[name](), 32)
    windows = measured(name)
    assert windows.ids.tolist() == expected[:256]
    assert windows.available == len(windows.ids)
    assert (len(expected) > 256) == (name == "c4")
    assert windows.bytes is not None


@pytest.mark.parametrize(
    ("name", "text"), [("wikitext2", " ".join(LINES["train"])), ("ptb", " ".join(SENTENCES["train"]))]
)
def test_calibration_is_a_seeded_choice_of_the_joined_training_text(
    name: str, text: str, hub: HubServer
) -> None:
    every = ids_of(byte_level(), text, 32)
    first, again, other = calibrated(name, 9), calibrated(name, 9), calibrated(name, 9, seed=1)
    assert first.ids.tolist() == again.ids.tolist() != other.ids.tolist()
    assert all(window in every for window in first.ids.tolist())
    assert (first.available, first.seed) == (len(every), 0)


def test_a_calibration_window_of_c4_lies_within_one_long_document(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _smaller(monkeypatch, "calibration", documents=300)
    pages = [byte_level()(page)["input_ids"] for page in web_pages(1300, "train")[:300]]
    longer = [page for page in pages if len(page) > 100]
    first, again, other = (calibrated("c4", 20, 100, seed) for seed in (0, 0, 1))
    assert first.ids.tolist() == again.ids.tolist() != other.ids.tolist()
    assert first.available == len(longer) == 60
    homes = [
        [number for number, page in enumerate(longer) if _holds(page, window)]
        for window in first.ids.tolist()
    ]
    assert all(homes)
    assert len({home[0] for home in homes}) > 10
    assert any(window[0] != 0 for window in first.ids.tolist()), "all begin with a document"


def _holds(page: list[int], window: list[int]) -> bool:
    return any(page[start : start + len(window)] == window for start in range(len(page) - len(window) + 1))


def test_more_of_c4_is_read_if_long_documents_are_few(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _smaller(monkeypatch, "calibration", documents=100, most_documents=1000)
    assert calibrated("c4", 20, 100).documents == 100
    assert calibrated("c4", 21, 100).documents == 200
    assert calibrated("c4", 100, 100).documents == 800
    with pytest.raises(
        CorpusError,
        match=r"300 calibration windows of 100 tokens were requested from c4, "
        r"but only 200 of its first 1,000 documents are longer",
    ):
        calibrated("c4", 300, 100)


def test_a_short_shard_is_read_whole(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    _smaller(monkeypatch, "calibration", documents=2000, most_documents=16_000)
    with pytest.raises(CorpusError, match="but only 260 of its first 1,300 documents are longer"):
        calibrated("c4", 300, 100)
    assert len([line for line in hub.asked if line.startswith("HEAD")]) == 1


def _smaller(monkeypatch: pytest.MonkeyPatch, role: str, **changes: int) -> None:
    parts = NAMED["c4"].parts
    changed = replace(NAMED["c4"], parts={**parts, role: replace(parts[role], **changes)})
    monkeypatch.setitem(NAMED, "c4", changed)


@pytest.mark.parametrize("name", NAMES)
def test_the_identity_names_the_source(name: str, hub: HubServer) -> None:
    corpus, part = NAMED[name], NAMED[name].parts["evaluation"]
    identity = dict(measured(name).identity)
    assert len(identity.pop("text")) == 16
    assert int(identity.pop("tokens")) >= measured(name).ids.numel()
    expected = {
        "source": corpus.repo,
        "config": corpus.config,
        "revision": COMMIT,
        "split": part.split,
        "file": part.file,
    }
    assert identity == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_cached_corpus_makes_no_request_and_works_offline(
    name: str, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not any(available(name, role) for role in ROLES)
    assert describe(name).bytes_to_download == sum(part.bytes for part in NAMED[name].parts.values())
    before = measured(name), calibrated(name)
    hub.asked.clear()
    assert all(available(name, role) for role in ROLES)
    assert (describe(name).cached, describe(name).bytes_to_download) == (True, None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    after = measured(name), calibrated(name)
    assert not hub.asked
    for one, two in zip(before, after, strict=True):
        assert one.ids.tolist() == two.ids.tolist()
        assert one.identity == two.identity


def test_half_of_a_corpus_is_described_as_half(hub: HubServer) -> None:
    measured("wikitext2")
    assert describe("wikitext2").cached is False
    assert describe("wikitext2").bytes_to_download == NAMED["wikitext2"].parts["calibration"].bytes


def test_a_whole_shard_in_the_cache_is_used(hub: HubServer, datasets: dict[str, Path]) -> None:
    part = NAMED["c4"].parts["evaluation"]
    snapshot = settings.hub_cache() / "datasets--allenai--c4" / "snapshots" / NAMED["c4"].revision / part.file
    snapshot.parent.mkdir(parents=True)
    shutil.copy(datasets[NAMED["c4"].repo] / part.file, snapshot)
    assert available("c4", "evaluation")
    assert measured("c4").identity["revision"] == NAMED["c4"].revision
    assert not hub.asked


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("role", ROLES)
def test_offline_and_not_cached_offers_the_stories(
    name: str, role: str, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        CorpusError, match=f"{NAMED[name].title} is not on this machine, and offline mode is on .*{INSTEAD}"
    ):
        drain(fetch(name, role))
    assert not hub.asked


@pytest.mark.parametrize("name", ["wikitext2", "c4"])
def test_an_unreachable_hub_fails_soon(name: str, hub: HubServer) -> None:
    hub.close()
    with pytest.raises(
        CorpusError, match=f"is not on this machine, and {hub.url} cannot be reached. .*{INSTEAD}"
    ):
        measured(name)


@pytest.mark.parametrize("name", ["wikitext2", "c4"])
@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (
            (403, "GatedRepo"),
            r"require consent first. Accept the terms at https://huggingface.co/datasets/.* `hf auth login`",
        ),
        ((404, "RepoNotFound"), "is not on the hub"),
        ((404, "EntryNotFound"), "has no file .*"),
        ((404, "RevisionNotFound"), "has no revision .*"),
        ((401, ""), "rejected the access token"),
        ((403, ""), "rejected the access token"),
        ((429, ""), "status 429.* Wait a few minutes"),
        ((503, ""), "returned an error"),
    ],
)
def test_refusals_of_the_hub_have_error_messages(
    name: str, refusal: tuple[int, str], sentence: str, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_download, "LONGEST_WAIT", 0.01)
    hub.refuses = refusal
    with pytest.raises(CorpusError, match=sentence) as caught:
        measured(name)
    assert INSTEAD in str(caught.value).lower()


@pytest.mark.parametrize("name", ["wikitext2", "c4"])
def test_a_busy_hub_is_retried_with_a_note(name: str, hub: HubServer) -> None:
    hub.refuses, hub.refusals = (429, ""), 1
    steps = fetch(name, "evaluation")
    assert any(step.note == "Hugging Face is busy; retrying in 1 s." for step in steps)
    assert drain(steps).documents


@pytest.mark.parametrize("name", ["wikitext2", "c4"])
def test_a_connection_that_breaks_is_resumed(
    name: str, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RETRY_SECONDS", 0.01)
    hub.breaks = 1
    assert measured(name).ids.tolist() == ids_of(byte_level(), TEXTS[name](), 32)[:256]


def test_a_full_disk_has_an_error_message(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*paths: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(paths[1]))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(
        CorpusError, match=f"C4 could not be saved: the disk that holds .* is full. .*{INSTEAD}"
    ):
        measured("c4")
    assert not available("c4", "evaluation")
    assert not list(excerpts().glob("*.tmp"))


@pytest.mark.parametrize("name", ["wikitext2", "c4"])
def test_a_damaged_file_is_downloaded_again(name: str, hub: HubServer) -> None:
    before = measured(name)
    _damage(name)
    assert measured(name).ids.tolist() == before.ids.tolist()
    hub.asked.clear()
    assert measured(name).ids.tolist() == before.ids.tolist()
    assert not hub.asked


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("wikitext2", "WikiText-2 is damaged"), ("c4", "C4 is not on this machine")],
)
def test_a_damaged_file_offline_has_an_error_message(
    name: str, sentence: str, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(name)
    _damage(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CorpusError, match=f"{sentence}.*{INSTEAD}"):
        measured(name)


def _damage(name: str) -> None:
    part = NAMED[name].parts["evaluation"]
    file = cached_file(NAMED[name], part) or excerpt_file(NAMED[name], part, part.documents or 0)
    content = file.resolve().read_bytes()
    file.resolve().write_bytes(content[: len(content) // 2])


def test_an_incomplete_excerpt_is_not_used(hub: HubServer) -> None:
    before = measured("c4")
    part = NAMED["c4"].parts["evaluation"]
    file = excerpt_file(NAMED["c4"], part, part.documents or 0)
    lines = gzip.decompress(file.read_bytes()).splitlines()
    assert json.loads(lines[0])["documents"] == FEW
    file.write_bytes(gzip.compress(b"\n".join(lines[:-1])))
    assert measured("c4").ids.tolist() == before.ids.tolist()


@pytest.mark.parametrize("name", ["wikitext2", "c4"])
def test_a_cancelled_download_stores_nothing_and_the_next_one_succeeds(name: str, hub: HubServer) -> None:
    hub.go.clear()
    steps = evaluation_windows(name, byte_level(), 10_000, length=32)
    step = next(steps)
    assert step.what == NAMED[name].title
    next(steps)
    steps.close()
    assert not available(name, "evaluation")
    hub.go.set()
    assert measured(name).ids.tolist() == ids_of(byte_level(), TEXTS[name](), 32)[:256]


def test_concurrent_reads_agree(hub: HubServer, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(
                lambda name: measured(name, cache=tmp_path / "tokens").fingerprint, ["c4", "wikitext2"] * 4
            )
        )
    assert len(set(found[::2])) == len(set(found[1::2])) == 1


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(
        CorpusError,
        match=r"no corpus 'wiki'. Choose from stories, wikitext2, c4, ptb, wikitext2-24; or give a \.txt",
    ):
        named("wiki")
    with pytest.raises(CorpusError, match="no corpus 'wiki'"):
        describe("wiki")


def test_a_missing_tokenizer_is_reported_before_any_request(hub: HubServer) -> None:
    with pytest.raises(CorpusError, match="has none"):
        drain(evaluation_windows("c4", None, 100, length=8))
    assert not hub.asked


def test_files_and_the_stories_are_there_or_not(tmp_path: Path) -> None:
    assert all(available("stories", role) for role in ROLES)
    assert describe("stories").cached
    assert not available(str(tmp_path / "none.txt"), "evaluation")


def test_describing_imports_nothing_heavy() -> None:
    heavy = ["torch", "datasets", "transformers"]
    code = (
        "import sys; from engine.corpora.named import describe; describe('c4'); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "[]", done.stderr[-2000:]


def test_an_excerpt_is_the_beginning_of_its_corpus_and_is_not_downloaded_again(hub: HubServer) -> None:
    whole = measured("wikitext2", 16)
    hub.asked.clear()
    beginning = measured("wikitext2-24", 16)
    assert not [line for line in hub.asked if not line.startswith("HEAD")]
    assert beginning.ids.tolist() == whole.ids[:24].tolist() and len(whole.ids) > 24
    assert beginning.identity == whole.identity
    assert describe("wikitext2-24").title == "WikiText-2, first 24 windows"


def test_an_excerpt_is_not_offered_for_calibration() -> None:
    assert "wikitext2-24" in NAMED and "wikitext2-24" not in CALIBRATION_CORPORA
    assert set(CALIBRATION_CORPORA) == set(NAMES)
