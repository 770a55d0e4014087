"""The test hub answers huggingface_hub, datasets and transformers as the real one does."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import huggingface_hub
import pytest
from huggingface_hub import (
    constants,
    get_paths_info,
    hf_hub_download,
    list_repo_tree,
    model_info,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub import models
from tests.hub.conftest import environment
from tests.hub.repositories import commit_of
from tests.hub.server import HubServer

ID = "tiny/llama"


@pytest.fixture
def directory(tmp_path: Path, hub: HubServer) -> Path:
    """A tiny Llama, served as `tiny/llama`."""
    made = models.llama(tmp_path / "made")
    hub.add_model(ID, made, licence="apache-2.0")
    return made


def downloads(hub: HubServer, name: str) -> list[str | None]:
    """The Range headers of the requests for a file's content."""
    return [
        request.range
        for request in hub.requests
        if request.method == "GET" and request.path.endswith(f"/{name}")
    ]


def test_information_names_commit_files_licence_and_gate(hub: HubServer, directory: Path) -> None:
    found = model_info(ID, files_metadata=True)
    assert (found.id, found.sha, found.gated) == (ID, commit_of(directory), False)
    assert found.card_data is not None and found.card_data.license == "apache-2.0"
    sizes = {sibling.rfilename: sibling.size for sibling in found.siblings or ()}
    assert sizes == {path.name: path.stat().st_size for path in directory.iterdir()}
    assert all(sibling.size is None for sibling in model_info(ID).siblings or ())
    assert model_info(ID, expand=["gated", "siblings"]).sha is None


def test_a_changed_file_is_a_new_commit(hub: HubServer, directory: Path) -> None:
    before = model_info(ID).sha
    (directory / "note.txt").write_text("later")
    assert model_info(ID).sha != before
    with pytest.raises(RevisionNotFoundError):
        model_info(ID, revision=before)


def test_whole_snapshot_is_the_directory_and_needs_no_second_download(
    hub: HubServer, directory: Path
) -> None:
    snapshot = Path(snapshot_download(ID))
    assert snapshot.name == commit_of(directory)
    assert {path.name: path.read_bytes() for path in snapshot.iterdir()} == {
        path.name: path.read_bytes() for path in directory.iterdir()
    }
    assert Path(constants.HF_HUB_CACHE) in snapshot.parents
    hub.requests.clear()
    assert snapshot_download(ID) == str(snapshot)
    assert [request.method for request in hub.requests] == ["GET"]


def test_dry_run_lists_sizes_and_fetches_nothing(hub: HubServer, directory: Path) -> None:
    found = snapshot_download(ID, dry_run=True, allow_patterns=["*.safetensors", "config.json"])
    assert {file.filename: (file.file_size, file.will_download) for file in found} == {
        name: ((directory / name).stat().st_size, True) for name in ("config.json", "model.safetensors")
    }
    assert not [
        request for request in hub.requests if request.method == "GET" and "/resolve/" in request.path
    ]


def test_a_broken_download_resumes_after_what_arrived(
    hub: HubServer, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)
    hub.break_after(100_000, file="*.safetensors")
    path = hf_hub_download(ID, "model.safetensors")
    assert Path(path).read_bytes() == (directory / "model.safetensors").read_bytes()
    first, second = downloads(hub, "model.safetensors")
    assert first is None
    assert second is not None and 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= 100_000


def test_gated_repository_asks_for_a_granted_token(hub: HubServer, tmp_path: Path) -> None:
    hub.add_model("tiny/gated", models.llama(tmp_path / "made"), gated="auto")
    assert model_info("tiny/gated").gated == "auto"
    for token, status in ((None, 401), ("hf_known", 403)):
        hub.grant("hf_known")
        with pytest.raises(GatedRepoError) as caught:
            hf_hub_download("tiny/gated", "config.json", token=token)
        assert caught.value.response.status_code == status
    hub.grant("hf_known", "tiny/gated")
    assert Path(hf_hub_download("tiny/gated", "config.json", token="hf_known")).exists()
    assert huggingface_hub.whoami(token="hf_known")["name"] == "tester"


def test_what_is_missing_is_named(hub: HubServer, directory: Path) -> None:
    with pytest.raises(RepositoryNotFoundError):
        model_info("tiny/nowhere")
    with pytest.raises(RepositoryNotFoundError):
        snapshot_download("tiny/nowhere")
    with pytest.raises(RevisionNotFoundError):
        snapshot_download(ID, revision="elsewhen")
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(ID, "nothing.json")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, RepositoryNotFoundError),
        (403, GatedRepoError),
        (404, RepositoryNotFoundError),
        (500, HfHubHTTPError),
    ],
)
def test_failures_can_be_switched_on_and_off(
    hub: HubServer, directory: Path, status: int, error: type[HfHubHTTPError]
) -> None:
    hub.fail(ID, status, times=1)
    with pytest.raises(error) as caught:
        model_info(ID)
    assert caught.value.response.status_code == status
    assert model_info(ID).id == ID
    hub.fail("*", status)
    hub.repair()
    assert model_info(ID).id == ID


def test_too_many_requests_has_a_retry_after_header(hub: HubServer, directory: Path) -> None:
    hub.fail(ID, 429, times=1, retry_after=7)
    with pytest.raises(HfHubHTTPError) as caught:
        model_info(ID)
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "7"


def test_a_closed_hub_cannot_be_reached_and_the_cache_still_serves(hub: HubServer, directory: Path) -> None:
    snapshot = snapshot_download(ID)
    hub.close()
    assert snapshot_download(ID) == snapshot
    with pytest.raises(LocalEntryNotFoundError):
        snapshot_download("tiny/other")


def test_a_slow_line_makes_a_file_wait_for_its_size(
    hub: HubServer, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(
        "tests.hub.server.time", SimpleNamespace(monotonic=lambda: 0.0)
    )  # the clock stands still
    monkeypatch.setattr(hub.closing, "wait", waits.append)
    hub.bytes_per_second = 100_000
    hf_hub_download(ID, "model.safetensors")
    assert waits[-1] == pytest.approx((directory / "model.safetensors").stat().st_size / 100_000)


def test_closing_ends_a_slow_transfer_in_the_middle(hub: HubServer, directory: Path) -> None:
    hub.bytes_per_second = 20_000
    connection = HTTPConnection(urlsplit(hub.url).netloc, timeout=30)
    connection.request("GET", f"/{ID}/resolve/main/model.safetensors")
    with connection.getresponse() as response:
        assert response.read(1)
        hub.close()
        with pytest.raises((IncompleteRead, ConnectionError)):
            response.read()
    connection.close()


def test_tree_and_paths_know_folders(hub: HubServer, directory: Path) -> None:
    (directory / "sub").mkdir()
    (directory / "sub" / "a.txt").write_text("a")
    top = {item.path for item in list_repo_tree(ID)}
    assert "sub" in top and "sub/a.txt" not in top
    assert "sub/a.txt" in {item.path for item in list_repo_tree(ID, recursive=True)}
    assert [item.path for item in get_paths_info(ID, ["sub/a.txt", "not/there"])] == ["sub/a.txt"]


def test_datasets_reads_parquet_and_compressed_lines_whole_and_streaming(
    hub: HubServer, tmp_path: Path
) -> None:
    from datasets import load_dataset

    rows = [{"text": f"line {number}"} for number in range(50)]
    hub.add_dataset("tiny/lines", _lines(tmp_path / "lines", rows))
    hub.add_dataset("tiny/table", _table(tmp_path / "table", rows))
    for name, files in (
        ("tiny/lines", "train.json.gz"),
        ("tiny/table", "train.parquet"),
        ("tiny/table", None),
    ):
        assert load_dataset(name, data_files=files, split="train").to_list() == rows
        assert list(load_dataset(name, data_files=files, split="train", streaming=True)) == rows
    assert Path(os.environ["HF_DATASETS_CACHE"]).is_dir()


def test_datasets_reads_another_branch(hub: HubServer, tmp_path: Path) -> None:
    from datasets import load_dataset

    hub.add_dataset("tiny/table", _table(tmp_path / "main", [{"text": "main"}]))
    hub.add_dataset(
        "tiny/table", _table(tmp_path / "converted", [{"text": "converted"}]), revision="refs/convert/parquet"
    )
    found = load_dataset(
        "tiny/table", data_files="train.parquet", revision="refs/convert/parquet", split="train"
    )
    assert found["text"][0] == "converted"


def _lines(directory: Path, rows: list[dict[str, str]]) -> Path:
    directory.mkdir()
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (directory / "train.json.gz").write_bytes(gzip.compress(text.encode()))
    return directory


def _table(directory: Path, rows: list[dict[str, str]]) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    directory.mkdir()
    parquet.write_table(pa.Table.from_pylist(rows), directory / "train.parquet")
    return directory


def test_another_process_finds_hub_and_home(hub: HubServer, directory: Path, tmp_path: Path) -> None:
    code = f"from huggingface_hub import hf_hub_download; print(hf_hub_download({ID!r}, 'config.json'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(hub.url, tmp_path / "other"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (tmp_path / "other" / "hub") in Path(done.stdout.strip()).parents


@pytest.mark.parametrize("kind", ["good", "sharded", "only-bin", "duplicates"])
def test_models_load_and_tokenise(tmp_path: Path, kind: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory = models.KINDS[kind][0](tmp_path / kind)
    model = AutoModelForCausalLM.from_pretrained(directory)
    tokens = AutoTokenizer.from_pretrained(directory)("Once there was a bird.", return_tensors="pt")
    assert model(**tokens).logits.shape[-1] == models.VOCABULARY
    assert len(model.model.layers) == 2


@pytest.mark.parametrize(
    ("kind", "says"),
    [("remote-code", "trust_remote_code"), ("not-causal", "T5Config"), ("damaged", "(?i)incomplete|header")],
)
def test_unloadable_models_are_rejected(tmp_path: Path, kind: str, says: str) -> None:
    from transformers import AutoModelForCausalLM

    with pytest.raises(Exception, match=says):  # each library has its own kind of error
        AutoModelForCausalLM.from_pretrained(models.KINDS[kind][0](tmp_path / kind), trust_remote_code=False)
