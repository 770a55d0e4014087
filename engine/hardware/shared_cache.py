"""What the caches of one process hold, under one limit in bytes: the least recently used goes first.

Everything here can be made again, so it is given back whenever memory gets short. Two limits hold. All
entries together take at most a share of the memory that would be free without them, on the host and on each
accelerator; the limits of containers count. And what the recent uses did not need takes at most `SPARE`
bytes: a process that is left running stops growing, however much memory the machine has.

What is in use is not in here: a user takes a value out and puts it back. A value belongs to an owner, any
object, and is dropped with it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any, TypeVar

from engine.hardware.memory import device_free, host_free, trim_heap

SHARE = 0.25
"""Share of the free memory that all entries may take."""
SPARE = 64_000_000
"""Bytes of what the recent uses did not need."""
RECENT = 3600.0
"""Seconds for which a use counts as recent."""
CHECK = 10.0
"""Seconds between two looks at the free memory while something is cached."""
TRIMMED = 16_000_000
"""Bytes dropped at a time from which the allocator is told to return them to the system; it takes a while."""

Name = TypeVar("Name", bound=Hashable)
Sizes = Mapping[str, int]
"""Bytes by kind of memory: `cuda`, and `host` for any other."""


def size_of(value: Any, beyond: Any = None) -> Counter[str]:
    """Return the bytes that a value holds, without what `beyond` holds too."""
    return sizes_of({None: value}, beyond)[None]


def sizes_of(values: Mapping[Name, Any], beyond: Any = None) -> dict[Name, Counter[str]]:
    """Return the bytes that each value holds, without what `beyond` holds too, which is looked at once."""
    known: set[Hashable] = set()
    _measure(beyond, known)
    return {name: _measure(value, known.copy()) for name, value in values.items()}


def _measure(value: Any, known: set[Hashable]) -> Counter[str]:
    """Return the bytes of a value and all that it refers to, except what is `known`, and add that to it."""
    found: Counter[str] = Counter()
    todo = [value]
    while todo:
        each = todo.pop()
        if id(each) in known or isinstance(each, (type, ModuleType, FunctionType)):
            continue
        known.add(id(each))
        if hasattr(each, "untyped_storage"):  # a tensor; tensors may share their memory
            storage = each.untyped_storage()
            if (place := (storage.device, storage.data_ptr())) not in known:
                known.add(place)
                found["cuda" if storage.device.type == "cuda" else "host"] += storage.nbytes()
            continue
        found["host"] += sys.getsizeof(each)
        if isinstance(each, Mapping):
            todo += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple, set, frozenset, deque)):
            todo += each
        else:
            todo += getattr(each, "__dict__", {}).values()
            todo.append(getattr(each, "base", None))  # the array that a NumPy array is a view of
    return found


@dataclass(frozen=True)
class Entry:
    value: Any
    sizes: Sizes

    @property
    def size(self) -> int:
        return sum(self.sizes.values())


class SharedCache:
    """Values by owner and name.

    Args:
        share: the share of the free memory that all entries may take; 0 caches nothing.
        spare: bytes of what the recent uses did not need.
        watch: whether a thread gives memory back when it gets short while the cache is not in use.
    """

    def __init__(self, share: float = SHARE, spare: int = SPARE, *, watch: bool = False) -> None:
        self._share, self._spare, self._watch = share, spare, watch
        self._lock = threading.Lock()  # guards all below
        self._entries: OrderedDict[tuple[Any, Hashable], Entry] = OrderedDict()  # least recently used first
        self._uses: dict[int, float] = {}  # bytes that a recent use needed, and when it ended (monotonic)
        self._watched = False  # whether the thread is running

    def take(self, owner: Any, name: Hashable) -> Any:
        """Remove a value and return it; None if it is not here."""
        with self._lock:
            entry = self._entries.pop((owner, name), None)
        return None if entry is None else entry.value

    def take_best(self, rank: Callable[[Any], int]) -> Any:
        """Remove the value of the highest rank and return it; None if no rank is above 0."""
        with self._lock:
            ranks = {key: rank(entry.value) for key, entry in self._entries.items()}
            best = max(ranks, key=ranks.__getitem__, default=None)
            return self._entries.pop(best).value if best is not None and ranks[best] > 0 else None

    def put(self, owner: Any, name: Hashable, value: Any, sizes: Sizes | None = None) -> bool:
        """Store a value as the one used last, dropping others if necessary; return whether it fits.

        Args:
            sizes: the bytes that it takes, by default `size_of(value)`.
        """
        sizes = size_of(value) if sizes is None else sizes
        return name in self.put_all(owner, {name: value}, {name: sizes})

    def put_all(self, owner: Any, values: Mapping[Name, Any], sizes: Mapping[Name, Sizes]) -> set[Name]:
        """Store several values of an owner as those used last, in this order; return which of them fit.

        The free memory is read twice, however many they are.
        """
        with self._lock:
            for name in values:
                self._entries.pop((owner, name), None)
            rooms = {kind: self._room(kind) for kind in {kind for each in sizes.values() for kind in each}}
            for name, value in values.items():
                if all(size <= rooms[kind] for kind, size in sizes[name].items()):
                    self._entries[owner, name] = Entry(value, sizes[name])
            self._evict()
            if self._entries and self._watch and not self._watched:
                self._watched = True
                threading.Thread(target=self._give_back, name="prunescope-memory", daemon=True).start()
            return {name for name in values if (owner, name) in self._entries}

    def count_use(self, size: int) -> None:
        """Note how many bytes a use of the cache needed, which may stay beyond what is spare."""
        with self._lock:
            self._uses[size] = time.monotonic()
            self._evict()

    def fits(self, sizes: Sizes) -> bool:
        """Return whether a value could be stored if all others were dropped."""
        with self._lock:
            return self._fits(sizes)

    def trim(self) -> None:
        """Drop what is beyond the limits now."""
        with self._lock:
            self._evict()

    def drop(self, owner: Any) -> None:
        """Drop all values of an owner."""
        with self._lock:
            for key in [key for key in self._entries if key[0] is owner]:
                del self._entries[key]

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._entries.clear()

    def values(self) -> list[Any]:
        """Return all values, the least recently used first."""
        with self._lock:
            return [entry.value for entry in self._entries.values()]

    @property
    def size(self) -> int:
        """The bytes of all entries."""
        with self._lock:
            return sum(entry.size for entry in self._entries.values())

    # The methods below hold the lock.

    def _held(self, kind: str) -> int:
        return sum(entry.sizes.get(kind, 0) for entry in self._entries.values())

    def _room(self, kind: str) -> float:
        """Return the bytes that all entries may take of one kind of memory."""
        free = device_free() if kind == "cuda" else host_free() or 0
        # What the cache holds would be free without it.
        return self._share * (free + self._held(kind))

    def _fits(self, sizes: Sizes) -> bool:
        return all(size <= self._room(kind) for kind, size in sizes.items())

    def _evict(self) -> None:
        now = time.monotonic()
        self._uses = {size: ended for size, ended in self._uses.items() if now - ended < RECENT}
        kinds = {kind for entry in self._entries.values() for kind in entry.sizes}
        over = Counter({kind: int(self._held(kind) - self._room(kind)) for kind in kinds})
        total = sum(entry.size for entry in self._entries.values())
        total -= self._spare + max(self._uses, default=0)
        dropped = 0
        for key in list(self._entries):
            short = {kind for kind, excess in over.items() if excess > 0}
            sizes = self._entries[key].sizes
            # With none of the memory that is short, it can stay.
            if total > 0 or any(sizes.get(kind) for kind in short):
                over.subtract(sizes)
                total -= sum(sizes.values())
                dropped += sum(sizes.values())
                del self._entries[key]
        if dropped >= TRIMMED:
            trim_heap()

    def _give_back(self) -> None:
        while True:
            time.sleep(CHECK)
            self.trim()
            with self._lock:
                if not self._entries:
                    self._watched = False
                    return


SHARED = SharedCache(watch=True)
"""The cache of this process."""
