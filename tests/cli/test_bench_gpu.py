"""`bench --shape gpu` without a GPU: every line is JSON, and what fails does not end the rest."""

import json

import pytest
import torch

from engine.cli.bench import gpu

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def without_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may end the process of the tests."""
    monkeypatch.setattr(gpu.faulthandler, "dump_traceback_later", lambda *_, **__: None)


def test_a_failed_measurement_is_reported_and_the_others_continue(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = {"broken": {"pruner": "no such pruner"}, "wanda": gpu.METHODS["wanda"]}
    monkeypatch.setattr(gpu, "METHODS", methods)
    assert gpu.bench_gpu(1, CPU) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    whats = [line["what"] for line in lines if line["what"] != "parts"]
    assert whats == ["machine", "peak", "model", "floor", "broken", "wanda", "2:4 kernels", "end"]
    found = {line["what"]: line for line in lines}
    assert "no pruner named" in found["broken"]["error"] and "error" not in found["wanda"]
    assert found["wanda"]["complete"] and found["wanda"]["ratio"] > 0
    assert {line["part"] for line in lines if line["what"] == "parts"} > {"2:4 mask", "inverse factor"}
    assert sum("error" in line for line in lines) == 1


def test_without_time_only_the_machine_and_the_floor_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "measure_parts", lambda *_: iter(()))
    assert gpu.bench_gpu(0, CPU) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["what"] for line in lines if "skipped" in line] == list(gpu.METHODS)
