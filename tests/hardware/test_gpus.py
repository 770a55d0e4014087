"""Which GPUs a process sees, and what pins another one to each."""

import pytest
import torch

from engine.hardware.gpus import CUDA, gpu_labels, visible_gpus

NAMED = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"


@pytest.mark.parametrize(
    ("seen", "count", "expected"),
    [
        (None, 0, ()),
        (None, 3, ("0", "1", "2")),
        ("", 0, ()),
        ("-1", 0, ()),
        ("2", 1, ("2",)),
        ("3, 1", 2, ("3", "1")),
        ("0,1,-1,2", 2, ("0", "1")),  # CUDA stops at what is no GPU
        (f"{NAMED},0", 2, (NAMED, "0")),
        ("MIG-a,MIG-b", 1, ("MIG-a", "MIG-b")),  # CUDA shows one MIG part per process
        ("MIG-a,MIG-a,1,MIG-b", 1, ("MIG-a",)),
        ("MIG-a", 0, ()),  # torch finds no driver
    ],
)
def test_each_visible_gpu_has_the_name_by_which_the_user_selected_it(
    seen: str | None, count: int, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"Card {index}")
    monkeypatch.delenv(CUDA, raising=False)
    if seen is not None:
        monkeypatch.setenv(CUDA, seen)
    assert visible_gpus() == tuple(gpu_labels()) == expected


def test_a_label_says_which_gpu_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"Card {index}")
    monkeypatch.setenv(CUDA, f"5,{NAMED}")
    assert gpu_labels() == {"5": "GPU 5 · Card 0", NAMED: "GPU-8932f937 · Card 1"}
