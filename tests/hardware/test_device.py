"""How many threads a model computes with, whichever thread it is computed in."""

import threading

import pytest
import torch

from engine.hardware import device
from engine.hardware.device import available_threads, share_threads, threads, threads_for


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


@pytest.mark.parametrize(("workers", "each"), [(1, 4), (2, 2), (3, 1), (8, 1)])
def test_items_share_the_threads(workers: int, each: int) -> None:
    found: list[tuple[int, int, bool]] = []

    def note(item: int) -> None:
        found.append((item, torch.get_num_threads(), torch.is_grad_enabled()))

    with threads(4), torch.no_grad():
        share_threads(note, range(5), workers)
        assert torch.get_num_threads() == 4
    assert sorted(found) == [(item, each, False) for item in range(5)]


def test_an_error_in_one_of_the_threads_is_raised() -> None:
    def refuse(item: int) -> None:
        if item == 2:
            raise ValueError(item)

    with threads(2), pytest.raises(ValueError, match="2"):
        share_threads(refuse, range(5), 2)
