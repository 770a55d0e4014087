"""The models of one process that stay loaded between uses, with what has been derived from each: the windows
of a text at the first block, the dense model's pass over the evaluation text and its perplexity.

All of it follows from the model and the texts alone, so a run that finds it here gives the same result, to
the last bit, as one that computes it. Runs and texts share the cache `MODELS`. A model is leased to one user
at a time, because pruning overwrites its weights; a second user at the same time loads another copy. All
models together take at most `SHARE` of the free memory, idle ones are dropped before another model is loaded,
and a model that is read block by block is never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

from torch import Tensor

from engine.hardware.memory import device_free, host_free
from engine.models.block import Block
from engine.models.language_model import LanguageModel, Stream

SHARE = 0.25  # of the free memory: the most that the cached models may take, and again one remembered pass

Derived = TypeVar("Derived")


@dataclass(eq=False)
class CachedModel:
    """A loaded model.

    Attributes:
        identity: what determines it: directory, dtype, device, residence.
        weights: the dense weights of its prunable linears, by path.
        derived: what users have computed from the dense model.
        size: bytes that it takes with its second copy of the weights.
    """

    identity: Hashable
    model: LanguageModel
    weights: dict[str, Tensor]
    size: int
    derived: dict[Hashable, Any] = field(default_factory=dict)
    leased: bool = True


class ModelCache:
    """Loaded models. `share` is the share of the free memory that they may take; 0 caches nothing."""

    def __init__(self, share: float = SHARE) -> None:
        self._share = share
        self._lock = Lock()  # guards `_models`; a leased model belongs to its user alone
        self._models: list[CachedModel] = []

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Use a model exclusively; it returns to the cache at the end."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            lease.end()

    def clear(self) -> None:
        """Drop all models that are not leased."""
        with self._lock:
            self._models = [cached for cached in self._models if cached.leased]

    @property
    def count(self) -> int:
        """How many models are cached."""
        return len(self._models)

    def take(self, identity: Hashable) -> CachedModel | None:
        """Lease an idle model, the one with most derived results; if there is none, make room for it."""
        with self._lock:
            idle = [cached for cached in self._models if not cached.leased and cached.identity == identity]
            if idle:
                best = max(idle, key=lambda cached: len(cached.derived))
                best.leased = True
                return best
        # Outside the `with`, because the lock is not reentrant.
        self.clear()
        return None

    def add(self, identity: Hashable, model: LanguageModel) -> CachedModel | None:
        """Cache a dense model, leased to the caller; None if it does not fit."""
        # Twice: the model and a copy of its weights. Only linears are copied, so this is an upper bound.
        size = 2 * sum(parameter.nbytes for parameter in model.module.parameters())
        device = model.device.type
        with self._lock:
            held = sum(cached.size for cached in self._models if cached.model.device.type == device)
            # What the cache holds would be free without it.
            fits = held + size <= self._share * (_free(model) + held)
            if model.residence == "streamed" or not fits:
                return None
            # Copied before a run prunes the model in place.
            weights = {path: linear.weight.clone() for path, linear in model.linears.items()}
            cached = CachedModel(identity, model, weights, size)
            self._models.append(cached)
            return cached

    def remove(self, cached: CachedModel) -> None:
        with self._lock:
            self._models.remove(cached)


class Lease:
    """The exclusive use of one model at a time, cached if it fits."""

    def __init__(self, cache: ModelCache) -> None:
        self._cache = cache
        self._cached: CachedModel | None = None

    def model(self, identity: Hashable, load: Callable[[], LanguageModel]) -> LanguageModel:
        """Return the dense model, loaded or with its weights restored; `identity` determines it."""
        if self._cached is None or self._cached.identity != identity:
            self.end()
            self._cached = self._cache.take(identity)
        if self._cached is None:
            model = load()
            self._cached = self._cache.add(identity, model)
            return model
        # The previous user may have pruned it.
        for path, linear in self._cached.model.linears.items():
            linear.write(self._cached.weights[path])
        return self._cached.model

    @property
    def caches(self) -> bool:
        """Whether the model and what is derived from it outlive this lease."""
        return self._cached is not None

    def recall(self, name: Hashable, make: Callable[[], Derived]) -> Derived:
        """Return a result derived from the dense model, made unless it is cached under this name."""
        if self._cached is None:
            return make()
        if name not in self._cached.derived:
            self._cached.derived[name] = make()
        derived: Derived = self._cached.derived[name]
        return derived

    def remembered(self, stream: Stream) -> Stream:
        """Return a stream that remembers its hidden states at every block, if memory suffices for them."""
        needed = sum(hidden.nbytes for hidden in stream.hidden) * len(stream.calls)  # one copy per block
        if self._cached is None or needed > SHARE * _free(self._cached.model):
            return stream
        return Remembered(stream.ids, stream.hidden, stream.calls, stream.states, stream.offloaded)

    def clear(self) -> None:
        """Free the memory of this model and of all idle ones."""
        if self._cached is not None:
            self._cache.remove(self._cached)
            self._cached = None
        self._cache.clear()

    def end(self) -> None:
        """Return the model to the cache."""
        if self._cached is not None:
            self._cached.leased = False
            self._cached = None


@dataclass
class Remembered(Stream):
    """Dense windows that remember what each block made of them, for all forks.

    Attributes:
        trace: streams at the input of a block, by the block's index.
    """

    trace: dict[int, Stream] = field(default_factory=dict)

    def again(self) -> Remembered:
        """Return the same windows at the same block, sharing the trace: a later pass finds what this one
        computes.
        """
        start = self.fork()
        return Remembered(start.ids, start.hidden, start.calls, start.states, start.offloaded, self.trace)

    def advance(self, block: Block) -> None:
        """Replace the hidden states by the block's outputs. Tensors are shared between runs, which is safe
        because a block never changes its input.
        """
        following = block.index + 1  # as `trace` is indexed: by the block that takes these hidden states
        if following not in self.trace:
            super().advance(block)
            self.trace[following] = self.fork()
            return
        traced = self.trace[following].fork()
        self.hidden, self.states = traced.hidden, traced.states


MODELS = ModelCache()
"""The cache that the runs and texts of this process share."""


def _free(model: LanguageModel) -> int:
    """Return the free bytes on the model's device, 0 if unknown."""
    return device_free(model.device) if model.device.type == "cuda" else host_free() or 0
