"""How many threads a model computes with, whichever thread it is computed in."""

import threading

import pytest
import torch

from engine.hardware import device
from engine.hardware.device import available_threads, threads, threads_for


def in_a_new_thread(found: list[int]) -> None:
    """Begin a thread that notes the threads of a large model, and of a small one next to others."""

    def note() -> None:
        for small in (False, True):
            with threads_for(small=small, alone=False):
                found.append(torch.get_num_threads())

    thread = threading.Thread(target=note)
    thread.start()
    thread.join()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not computed yet."""
    monkeypatch.setattr(device, "_numbers_before", set())


def test_a_thread_that_begins_during_a_small_run_has_all_threads() -> None:
    """PyTorch would give it one for ever, also for a large model."""
    found: list[int] = []
    with threads(3), threads(1):
        in_a_new_thread(found)
    assert found == [3, 1]


def test_the_main_thread_may_be_given_fewer_threads() -> None:
    with threads(3), threads(2):
        assert available_threads() == 2
