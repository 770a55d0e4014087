"""Downloading models into the hub's cache, and the error message for everything that can go wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from engine.errors import ModelError
from engine.hub import download, settings
from engine.hub.cache import (
    cached_models,
    missing_weights,
    snapshot,
    stored_weights,
    text_files,
    weight_files,
)
from engine.hub.download import fetch
from engine.hub.planning import config_directory, plan_download
from engine.progress import Progress
from tests.hub import models
from tests.hub.server import HubServer

ID = "someone/tiny"


def fetched(model: str = ID, revision: str | None = None) -> tuple[Path, list[Progress]]:
    seen: list[Progress] = []
    work = fetch(model, revision)
    try:
        while True:
            seen.append(next(work))
    except StopIteration as stopped:
        return stopped.value, seen


def failing(work: Callable[[], object]) -> ModelError:
    with pytest.raises(ModelError) as caught:
        work()
    sentence = str(caught.value)
    assert sentence[0].isupper() and sentence.endswith((".", "?")), sentence
    return caught.value


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.hub.download.DEFAULT_WAIT", 0.05)
    monkeypatch.setattr("engine.progress.PAUSE", 0.02)


# ---- what is downloaded
# -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [models.llama, models.sharded, models.duplicates], ids=lambda make: make.__name__
)
def test_a_downloaded_model_loads_like_its_source(
    hub: HubServer, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    source = make(tmp_path / "source")
    hub.add_model(ID, source)
    directory, _ = fetched()
    names = {path.name for path in directory.iterdir()}
    assert not missing_weights(directory) and "config.json" in names
    assert not [name for name in names if name.endswith((".bin", ".py")) or "consolidated" in name]
    one, other = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (source, directory))
    assert all(one[name].equal(other[name]) for name in one) and one.keys() == other.keys()


def test_the_single_file_comes_before_the_shards(hub: HubServer, tmp_path: Path) -> None:
    source = models.sharded(tmp_path / "source")
    shutil.copy(models.llama(tmp_path / "single") / "model.safetensors", source)
    hub.add_model(ID, source)
    directory, _ = fetched()
    assert [path.name for path in directory.glob("*.safetensors")] == ["model.safetensors"]
    assert stored_weights(directory) == ["model.safetensors"] and snapshot(ID) == directory


@pytest.mark.parametrize(
    ("file", "words", "kind"),
    [("adapter_config.json", "an adapter", "adapter"), ("x.gguf", "only GGUF files", "no-safetensors")],
)
def test_an_adapter_and_gguf_files_are_named(
    hub: HubServer, tmp_path: Path, file: str, words: str, kind: str
) -> None:
    source = models.llama(tmp_path / "source")
    (source / file).write_text("{}")
    if kind == "no-safetensors":
        (source / "model.safetensors").unlink()
    hub.add_model(ID, source)
    (source / "config.json").unlink()
    hub.add_model(f"{ID}-alone", source)
    for work in (fetched, lambda: config_directory(f"{ID}-alone")):
        error = failing(work)
        assert error.kind == kind and words in str(error)


def test_the_hubs_library_finds_the_download(hub: HubServer, tmp_path: Path) -> None:
    from huggingface_hub import snapshot_download

    hub.add_model(ID, models.llama(tmp_path / "source"))
    directory, _ = fetched()
    assert (
        Path(
            snapshot_download(ID, local_files_only=True, allow_patterns=["config.json", "model.safetensors"])
        )
        == directory
    )


def test_a_cached_model_needs_no_network(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_model(ID, models.sharded(tmp_path / "source"))
    directory, _ = fetched()
    hub.requests.clear()
    again, progress = fetched()
    assert again == directory and progress == [] and not hub.requests
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetched()[0] == directory == config_directory(ID) and not hub.requests


def test_revisions_are_separate_snapshots(hub: HubServer, tmp_path: Path) -> None:
    hub.add_model(ID, models.llama(tmp_path / "one"))
    hub.add_model(ID, models.llama(tmp_path / "two", width=48), revision="wide")
    wide, main = fetched(revision="wide")[0], fetched()[0]
    assert wide != main and snapshot(ID, "wide") == wide == snapshot(ID, wide.name) and snapshot(ID) == main


def test_a_download_plan_matches_the_download(hub: HubServer, tmp_path: Path) -> None:
    source = models.duplicates(tmp_path / "source")
    hub.add_model(ID, source, licence="mit")
    before = plan_download(ID)
    assert (
        {file.name for file in before.files} >= {"config.json", "model.safetensors"}
        and before.licence == "mit"
        and not before.gated
    )
    assert (
        before.missing_bytes
        == before.total_bytes
        == sum((source / file.name).stat().st_size for file in before.files)
    )
    directory, _ = fetched()
    after = plan_download(ID)
    assert after.missing_bytes == 0 and after.commit == directory.name and after.free_disk > 0
    assert after.total_bytes == sum(path.stat().st_size for path in directory.iterdir())


def test_the_configuration_is_downloaded_without_weights(hub: HubServer, tmp_path: Path) -> None:
    hub.add_model(ID, models.llama(tmp_path / "source"))
    directory = config_directory(ID)
    assert [path.name for path in directory.iterdir()] == ["config.json"] and snapshot(ID) is None
    assert not any("safetensors" in request.path for request in hub.requests)


# ---- interruptions
# --------------------------------------------------------------------------------------------------


def test_progress_only_increases(hub: HubServer, tmp_path: Path) -> None:
    hub.add_model(ID, models.large(tmp_path / "source"))
    hub.bytes_per_second = 20_000_000
    _, seen = fetched()
    done = [progress.done for progress in seen if progress.total]
    assert (
        done == sorted(done)
        and len(set(done)) > 2
        and all(progress.done <= (progress.total or 0) for progress in seen if progress.total)
    )


def test_a_broken_connection_resumes_where_it_broke(hub: HubServer, tmp_path: Path) -> None:
    source = models.large(tmp_path / "source")
    hub.add_model(ID, source)
    hub.break_after(3_000_000, file="model.safetensors")
    directory, seen = fetched()
    assert (directory / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
    ranges = [
        request.range
        for request in hub.requests
        if request.method == "GET" and request.path.endswith("model.safetensors")
    ]
    assert (
        ranges[0] is None and ranges[1] is not None and int(ranges[1].removeprefix("bytes=").rstrip("-")) > 0
    )
    assert any("connection broke" in progress.note for progress in seen)


def test_a_cancelled_download_is_resumed_by_the_next_one(hub: HubServer, tmp_path: Path) -> None:
    source = models.large(tmp_path / "source")
    hub.add_model(ID, source)
    hub.bytes_per_second = 4_000_000
    work = fetch(ID)
    for progress in work:
        if progress.done > 2_000_000:
            break
    work.close()
    hub.bytes_per_second = None
    assert snapshot(ID) is None
    directory, _ = fetched()
    assert (directory / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
    assert any(request.range for request in hub.requests if request.path.endswith("model.safetensors"))
    assert not list(settings.model_cache(ID).rglob("*.part"))


def test_a_busy_hub_is_retried_after_the_requested_time(hub: HubServer, tmp_path: Path) -> None:
    hub.add_model(ID, models.llama(tmp_path / "source"))
    hub.fail(ID, status=429, times=1, retry_after=1)
    directory, seen = fetched()
    assert directory.is_dir() and any("busy" in progress.note for progress in seen)


def test_a_damaged_part_is_downloaded_again(hub: HubServer, tmp_path: Path) -> None:
    source = models.large(tmp_path / "source")
    hub.add_model(ID, source)
    listed = plan_download(ID)
    etag = next(item for item in models_etags(hub, listed.commit) if item)
    part = settings.model_cache(ID) / "blobs" / f"{etag}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(b"x" * 1000)
    directory, _ = fetched()
    assert (directory / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()


def models_etags(hub: HubServer, commit: str) -> list[str | None]:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    return [get_hf_file_metadata(hf_hub_url(ID, "model.safetensors", revision=commit, endpoint=hub.url)).etag]


# ---- what goes wrong
# ------------------------------------------------------------------------------------------------


def test_no_such_model(hub: HubServer) -> None:
    for work in (
        lambda: fetched("nobody/nothing"),
        lambda: config_directory("nobody/nothing"),
        lambda: plan_download("nobody/nothing"),
    ):
        error = failing(work)
        assert error.kind == "missing" and "nobody/nothing" in str(error)


def test_a_mistyped_name_gets_a_suggestion(hub: HubServer) -> None:
    assert "openai-community/gpt2" in str(failing(lambda: config_directory("openai-comunity/gpt2")))


def test_an_invalid_hub_id(hub: HubServer) -> None:
    assert "owner/name" in str(failing(lambda: config_directory("what is this?")))


def test_no_such_revision(hub: HubServer, tmp_path: Path) -> None:
    hub.add_model(ID, models.llama(tmp_path / "source"))
    error = failing(lambda: fetched(revision="old"))
    assert error.kind == "revision" and "'old'" in str(error)


def test_gated(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_model(ID, models.llama(tmp_path / "source"), gated="auto")
    for work in (fetched, lambda: config_directory(ID)):
        error = failing(work)
        assert (
            error.kind == "gated"
            and f"https://huggingface.co/{ID}" in str(error)
            and "hf auth login" in str(error)
        )
    assert plan_download(ID).gated


def test_a_granted_token_downloads_a_gated_model(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_model(ID, models.llama(tmp_path / "source"), gated="auto")
    hub.grant("hf_secret", ID)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    directory, seen = fetched()
    assert directory.is_dir() and "hf_secret" not in repr(seen)


def test_only_pickles(hub: HubServer, tmp_path: Path) -> None:
    hub.add_model(ID, models.only_bin(tmp_path / "source"))
    error = failing(fetched)
    assert error.kind == "no-safetensors" and "pickled" in str(error)
    assert not any(request.method == "GET" and request.path.endswith(".bin") for request in hub.requests)


def test_an_unreachable_hub_fails_immediately(hub: HubServer) -> None:
    hub.close()
    for work in (fetched, lambda: config_directory(ID), lambda: plan_download(ID)):
        error = failing(work)
        assert error.kind == "offline" and "cannot be reached" in str(error)


def test_offline_mode_makes_no_request(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    error = failing(fetched)
    assert error.kind == "offline" and "HF_HUB_OFFLINE" in str(error) and not hub.requests


@pytest.mark.parametrize(("status", "kind"), [(500, "server"), (429, "server")])
def test_a_hub_that_remains_busy(hub: HubServer, tmp_path: Path, status: int, kind: str) -> None:
    hub.add_model(ID, models.llama(tmp_path / "source"))
    hub.fail(ID, status=status, retry_after=0)
    error = failing(fetched)
    assert error.kind == kind and str(status) in str(error)


def test_too_little_disk_space_is_reported_before_the_download(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_model(ID, models.llama(tmp_path / "source"))
    monkeypatch.setattr("engine.hub.planning.disk_free", lambda directory: 1000)
    error = failing(fetched)
    assert error.kind == "disk-full" and "HF_HOME" in str(error)
    assert not any(
        request.method == "GET" and request.path.endswith(".safetensors") for request in hub.requests
    )


def test_the_disk_fills_up_during_the_download(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_model(ID, models.llama(tmp_path / "source"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "_resume", full)
    assert failing(fetched).kind == "disk-full"


def test_a_file_that_is_damaged_every_time(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_model(ID, models.large(tmp_path / "source"))
    monkeypatch.setattr(download, "_is_intact", lambda part, etag, size: False)
    error = failing(fetched)
    assert error.kind == "damaged" and snapshot(ID) is None


# ---- the cache
# ------------------------------------------------------------------------------------------------------


def test_complete_models_are_listed_first(hub: HubServer, tmp_path: Path) -> None:
    for name in ("z/whole", "a/half"):
        hub.add_model(name, models.llama(tmp_path / name.replace("/", "-")))
    fetched("z/whole")
    config_directory("a/half")
    assert [(model.id, model.complete) for model in cached_models()] == [("z/whole", True), ("a/half", False)]
    assert cached_models()[0].bytes > 10_000


def test_a_cache_that_is_missing_or_damaged_lists_nothing(hub: HubServer, tmp_path: Path) -> None:
    assert cached_models() == ()
    folder = settings.model_cache(ID)
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "snapshots" / "abc" / "config.json").write_text("{")
    assert cached_models() == () and snapshot(ID) is None


def test_a_shard_that_is_missing_makes_a_snapshot_incomplete(hub: HubServer, tmp_path: Path) -> None:
    hub.add_model(ID, models.sharded(tmp_path / "source"))
    directory, _ = fetched()
    next(directory.glob("model-*.safetensors")).unlink()
    assert snapshot(ID) is None
    assert fetched()[0] == directory and not missing_weights(directory)


def test_which_files_transformers_reads() -> None:
    names = [
        "config.json",
        "model.safetensors",
        "consolidated.safetensors",
        "original/model.safetensors",
        "tokenizer.model",
        "run.py",
        "a.bin",
    ]
    assert weight_files(names) == ["model.safetensors"] and text_files(names) == [
        "config.json",
        "tokenizer.model",
    ]
    assert weight_files(["a.bin"]) == []


def test_an_index_that_cannot_be_read_is_missing_weights(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": {"a": "one.safetensors"}})
    )
    assert missing_weights(tmp_path) == ["one.safetensors"]
    (tmp_path / "model.safetensors.index.json").write_text("{")
    assert missing_weights(tmp_path) == ["model.safetensors.index.json"]
    shutil.rmtree(tmp_path)
