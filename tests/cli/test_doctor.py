"""`doctor`: what is wrong is found, named and counted, and nothing that is missing stops it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from engine import VERSION
from engine.cli import diagnosis
from engine.cli.diagnosis import CHECKS, PYTHON, SYMBOLS, Finding, diagnose
from engine.cli.main import main
from engine.errors import StoreError
from engine.models.identity import ROOT

LIBRARIES = ("torch", "transformers", "streamlit", "plotly", "pandas", "dask", "distributed")


def findings(check: str) -> list[Finding]:
    return list(CHECKS[check](check))


def states(check: str) -> list[str]:
    return [finding.state for finding in findings(check)]


def always(state: str):
    def check(name: str) -> Iterator[Finding]:
        yield Finding(name, state, f"This is a {state}.", "Do something.")

    return check


@pytest.mark.parametrize(
    ("given", "status"), [(("ok",), 0), (("ok", "warning"), 0), (("warning", "failure", "ok"), 1)]
)
def test_only_a_failure_fails(
    given: tuple[str, ...], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(diagnosis, "CHECKS", {f"Check {state}": always(state) for state in given})
    assert main(["doctor"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[::2]] == list(given)
    assert main(["doctor", "--json"]) == status
    report = json.loads(capsys.readouterr().out)
    assert (report["version"], report["failed"]) == (VERSION, bool(status))
    assert [finding["state"] for finding in report["findings"]] == list(given)


@pytest.mark.parametrize("error", [RuntimeError("broken"), ImportError("no such thing"), StoreError("Full.")])
def test_an_error_in_a_check_is_a_finding(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(name: str) -> Iterator[Finding]:
        raise error
        yield

    monkeypatch.setattr(diagnosis, "CHECKS", {"One": check, "Two": always("ok")})
    one, two = diagnose()
    assert (one.check, one.state, two.state) == ("One", "failure", "ok") and str(error) in one.message


def test_doctor_runs_without_the_libraries_that_it_checks(tmp_path: Path) -> None:
    code = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({LIBRARIES}));"
        "sys.argv[1:] = ['doctor', '--json'];"
        "runpy.run_module('engine', run_name='__main__')"
    )
    environment = {**os.environ, "PRUNESCOPE_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    report = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert set(report) == set(CHECKS)
    assert report["Device"]["state"] == "failure" and "torch" in report["Device"]["message"]
    assert report["Worker"]["state"] == "warning" and "Dask" in report["Worker"]["message"]
    assert report["Store"]["state"] == "ok"


def test_a_closed_pipe_is_no_error() -> None:
    code = "import runpy, sys; sys.argv[1:] = ['doctor']; runpy.run_module('engine', run_name='__main__')"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None and started.stderr is not None
        started.stdout.close()
        assert started.stderr.read() == ""
    assert started.returncode == 0


def test_another_command_without_torch_names_the_package_and_doctor() -> None:
    code = (
        "import runpy, sys; sys.modules['torch'] = None; sys.argv[1:] = ['methods'];"
        "runpy.run_module('engine', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "torch" in done.stderr and "python -m engine doctor" in done.stderr


@pytest.mark.parametrize(("package", "state"), [("transformers", "failure"), ("plotly", "warning")])
def test_a_missing_package_fails_if_it_is_required(
    package: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == package:
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "numpy" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    missing, other = findings("Packages")
    assert missing.state == state and package in missing.message and "pip install" in missing.action
    assert other.state == "warning" and "numpy 0.1 (wanted: ==" in other.message


def test_a_store_that_cannot_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PRUNESCOPE_SCHEDULER", raising=False)
    (good,) = findings("Store")
    assert good.state == "ok" and "mode 700" in good.message and list((tmp_path / "home").iterdir()) == []
    monkeypatch.setenv("PRUNESCOPE_SCHEDULER", "tcp://10.0.0.7:8786")
    assert states("Store") == ["ok", "warning"]
    (tmp_path / "file").touch()
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(diagnosis, "CHECKS", {"Store": CHECKS["Store"]})
    (bad,) = diagnose()
    assert bad.state == "failure" and "is a file" in bad.message and "PRUNESCOPE_HOME" in bad.message


def test_an_unreachable_hub_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (silent,) = findings("Hub")
    assert silent.state == "warning" and "http://127.0.0.1:9" in silent.message and silent.action
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert states("Hub") == ["ok"]


@pytest.mark.parametrize(("free", "state"), [(1e9, "warning"), (8e9, "ok")])
def test_little_memory_or_disk_is_reported(free: float, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.hardware.memory.host_free", lambda: int(free))
    monkeypatch.setattr("engine.hardware.memory.disk_free", lambda directory: int(free))
    assert states("Memory") == [state] and states("Disk") == [state] * 2


def test_the_processor_is_found_to_compute() -> None:
    assert "ok" in states("Device") and "torch" in findings("Device")[0].message


def test_missing_symbols_of_fonts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = [f":charset={ord(symbol):x}" for symbol in "▶✗"]

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(command, 0, b"" if command[1] in lacking else b"Some Font")

    monkeypatch.setattr(diagnosis.shutil, "which", lambda name: name)
    monkeypatch.setattr(diagnosis.subprocess, "run", run)
    *_, last = findings("Fonts")
    assert last.state == "warning" and " ▶✗ " in last.message


def test_every_symbol_of_the_charts_is_checked() -> None:
    """From the arrows on, where text fonts have gaps."""
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "engine" / "charts").rglob("*.py"))
    assert {letter for letter in text if ord(letter) >= 0x2190} - set("−≤≥≈√∞Σ∈…") <= set(SYMBOLS)


def test_the_supported_pythons_are_those_of_the_package() -> None:
    (first, last) = (".".join(map(str, version)) for version in PYTHON)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={first},<{last}"
    assert [finding.state for finding in findings("Python")] == ["ok"]
