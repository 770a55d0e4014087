"""Who can reach the cluster and the store: only the owner, not the other users of the machine."""

from __future__ import annotations

import asyncio
import ssl
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest
from distributed.comm import connect
from distributed.security import Security

from engine.hardware import disk
from engine.jobs.exposure import exposures
from engine.jobs.service import BackgroundEngine
from engine.jobs.tls import Credentials
from engine.store.runs import Store
from tests.jobs.conftest import until
from tests.jobs.pace import client


def careless() -> ssl.SSLContext:
    """A context that accepts any certificate and shows none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


STRANGERS = {
    "without TLS": ("tcp", dict),
    "without a certificate": ("tls", lambda: {"ssl_context": careless()}),
    "with another certificate": ("tls", lambda: Security.temporary().get_connection_args("client")),
}


def listening(engine: BackgroundEngine) -> list[str]:
    """The addresses of the scheduler and the worker."""
    connected = client(engine)
    return [connected.scheduler.address, *connected.scheduler_info(n_workers=-1)["workers"]]


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_is_refused(engine: BackgroundEngine, stranger: str) -> None:
    protocol, arguments = STRANGERS[stranger]
    for address in listening(engine):
        with pytest.raises(OSError):
            asyncio.run(connect(f"{protocol}://{address.partition('://')[2]}", timeout=2, **arguments()))


def test_every_address_is_encrypted_and_on_loopback(engine: BackgroundEngine) -> None:
    assert all(address.startswith("tls://127.0.0.1:") for address in listening(engine))


def test_the_key_is_in_no_file_argument_or_environment(
    engine: BackgroundEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = psutil.Process().children(recursive=True)
    assert len(children) >= 2
    assert not [child for child in children if "PRIVATE KEY" in f"{child.cmdline()} {child.environ()}"]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))  # where Dask would write it
    credentials = Credentials.create()
    assert credentials.get_listen_args("worker") and credentials.get_connection_args("client")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are not forked")
def test_no_other_user_can_have_a_worker_forked(engine: BackgroundEngine) -> None:
    """The socket for it is a file of the owner, not an address that all users of the machine share."""
    children = psutil.Process().children(recursive=True)
    names = [each.laddr for child in children for each in child.net_connections("unix") if each.laddr]
    assert [(mode(Path(name)), mode(Path(name).parent)) for name in names] == [(0o600, 0o700)]


def test_the_cluster_shows_no_pages(engine: BackgroundEngine) -> None:
    port = client(engine).scheduler_info()["services"]["dashboard"]
    for page in ("info/main/workers.html", "json/counts.json", "metrics"):
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5)


def test_the_engine_explains_a_missing_package(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError("no cryptography")

    monkeypatch.setattr("engine.jobs.tls.Credentials.create", missing)
    monkeypatch.setattr("engine.jobs.embedded.sys.executable", "/bin/false")  # which imports nothing in vain
    engine = BackgroundEngine(store)
    try:
        engine.start()
        until(lambda: engine.status.state == "failed")
        assert "package cryptography" in engine.status.message and "with pip" in engine.status.message
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("scheduler", "safe"),
    [
        (None, True),
        ("tcp://127.0.0.1:8786", True),
        ("tcp://[::1]:8786", True),
        ("localhost:8786", True),
        ("tls://10.0.0.7:8786", True),
        ("wss://cluster:8786", True),
        ("tcp://10.0.0.7:8786", False),
        ("10.0.0.7:8786", False),
        ("cluster:8786", False),
        ("ws://cluster.example:8786", False),
        ("tcp://0.0.0.0:8786", False),
        ("tcp://127.0.0.1.example.com:8786", False),
    ],
)
def test_an_open_scheduler_is_reported(tmp_path: Path, scheduler: str | None, safe: bool) -> None:
    found = exposures(tmp_path, scheduler)
    assert found == [] if safe else len(found) == 1 and scheduler in found[0] and "tls://" in found[0]


def test_an_open_scheduler_is_logged(
    store: Store, log_of: Callable[[str], pytest.LogCaptureFixture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.jobs.cluster.CONNECT", 0.1)
    log = log_of("engine.jobs.service")
    engine = BackgroundEngine(store, scheduler="tcp://scheduler.invalid:8786")
    try:
        engine.start()
        until(lambda: engine.status.state == "failed")
        assert "not encrypted" in log.text and "tcp://scheduler.invalid:8786" in log.text
        assert engine.exposures() == [record.message for record in log.records[:1]]
    finally:
        engine.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_store_is_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    store = Store(tmp_path / "data" / "prunescope")
    store.check_writable()
    assert [mode(path) for path in (store.runs, store.home, store.home.parent)] == [0o700] * 3
    assert mode(tmp_path) == 0o755  # not ours


def test_an_existing_open_store_is_reported_and_left_alone() -> None:
    with tempfile.TemporaryDirectory() as name:  # not `tmp_path`, whose parents no other user can enter
        outer, home = Path(name), Path(name) / "home"
        home.mkdir()
        home.chmod(0o755)
        assert exposures(home, None) == []  # no other user gets that far
        outer.chmod(0o711)
        (sentence,) = exposures(home, None)
        assert str(home) in sentence and "755" in sentence and "chmod 700" in sentence
        Store(home).check_writable()
        assert mode(home) == 0o755
        home.chmod(0o700)
        assert exposures(home, None) == []


def test_only_missing_directories_are_private(tmp_path: Path) -> None:
    disk.make_private(tmp_path / "a" / "b")
    disk.make_private(tmp_path / "a" / "b")
    assert mode(tmp_path / "a") == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        disk.make_private(tmp_path / "file" / "b")
