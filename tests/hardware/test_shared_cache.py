"""The one limit of all caches of a process: least recently used first, and back when memory gets short."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.hardware import shared_cache
from engine.hardware.shared_cache import SharedCache, size_of
from engine.jobs.questions import SHOWN, Answer, Questions

Set = Callable[[int], None]


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Set:
    """Sets what the machine has free, besides what the cache holds."""

    def set_free(count: int) -> None:
        monkeypatch.setattr(shared_cache, "host_free", lambda: count)

    set_free(10_000)
    return set_free


def filled(cache: SharedCache, count: int, size: int = 100) -> SharedCache:
    for number in range(count):
        cache.put("owner", number, number, {"host": size})
    return cache


def test_the_least_recently_used_goes_first(free: Set) -> None:
    cache = filled(SharedCache(share=1, spare=300), 3)
    cache.put("owner", 0, cache.take("owner", 0), {"host": 100})
    cache.put("owner", 3, 3, {"host": 100})
    assert cache.values() == [2, 0, 3]


def test_what_nobody_needed_lately_is_limited_on_any_machine(free: Set) -> None:
    free(10**12)
    assert filled(SharedCache(spare=500), 200).size == 500


def test_what_a_recent_use_needed_stays_beyond_that(free: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = SharedCache(share=1, spare=500)
    cache.count_use(1000)
    assert filled(cache, 40).size == 1500
    later = shared_cache.time.monotonic() + shared_cache.RECENT
    monkeypatch.setattr(shared_cache, "time", SimpleNamespace(monotonic=lambda: later))
    cache.trim()
    assert cache.size == 500


def test_memory_is_given_back_when_it_gets_short(free: Set) -> None:
    cache = filled(SharedCache(share=0.5, spare=10**6), 10)
    assert cache.size == 1000
    free(200)
    cache.trim()
    assert cache.size == 600 and cache.values() == [4, 5, 6, 7, 8, 9]


def test_what_does_not_fit_drops_nothing(free: Set) -> None:
    cache = filled(SharedCache(share=0.5, spare=10**6), 3)
    assert not cache.put("owner", "large", 0, {"host": 9000}) and len(cache.values()) == 3


def test_an_accelerator_has_its_own_room(free: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = filled(SharedCache(share=0.5, spare=10**6), 3)
    monkeypatch.setattr(shared_cache, "device_free", lambda: 250)
    for number in range(5):
        cache.put("owner", f"cuda {number}", number, {"cuda": 100})
    assert cache.values() == [0, 1, 2, 3, 4], "the host's entries are none of its memory"


def test_an_owner_takes_its_values_along(free: Set) -> None:
    cache = filled(SharedCache(), 3)
    cache.put("other", 0, "stays", {"host": 1})
    cache.drop("owner")
    assert cache.values() == ["stays"]


def test_shared_memory_is_measured_once() -> None:
    tensor = torch.zeros(1000)
    assert 4000 <= size_of([tensor, tensor[10:], {"view": tensor.view(10, 100)}])["host"] < 5000
    assert size_of(SimpleNamespace(one=tensor, two=torch.zeros(500)), beyond=[tensor])["host"] < 3000
    assert size_of(np.zeros((100, 100))[:1])["host"] > 80_000, "a view keeps all of its array"


def test_answers_beyond_those_on_display_take_part(free: Set) -> None:
    cache = SharedCache(share=1, spare=20_000)
    free(10**9)
    questions = Questions(lambda: None, cache)
    cluster = SimpleNamespace(
        ask=lambda function, number: SimpleNamespace(done=lambda: True, number=number),
        result=lambda task: Answer("x" * 1000 + str(task.number)),
    )
    for number in range(100):
        questions.ask(abs, number)
        questions.drive(cluster)  # type: ignore[arg-type]
        questions.drive(cluster)  # type: ignore[arg-type]
    assert 10_000 < cache.size <= 20_000
    kept = [number for number in range(100) if not questions.ask(abs, number).pending]
    assert kept[-1] == 99 and SHOWN < len(kept) < 60
