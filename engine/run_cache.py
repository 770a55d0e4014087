"""The models of one process that stay loaded between uses, with what has been derived from each: the windows
of a text at the first block, the dense model's pass over the evaluation text and its perplexity.

All of it follows from the model and the texts alone, so a run that finds it here gives the same result, to
the last bit, as one that computes it. Runs and texts share the cache `MODELS`. A model is leased to one user
at a time, because pruning overwrites its weights; a second user at the same time loads another copy. Between
two uses a model and each derived result are entries of `engine.hardware.shared_cache`, which says how much
memory they may take. All are dropped before another model is loaded, and a model that is read block by block
is never kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from engine.hardware.shared_cache import SHARED, SharedCache, Sizes, sizes_of
from engine.models.block import Block
from engine.models.language_model import LanguageModel, Stream

MODEL = "model"
"""The name of a model's own entry; those of derived results are up to their users."""

Derived = TypeVar("Derived")


@dataclass(eq=False)
class CachedModel:
    """A loaded model, the owner of what is derived from it.

    Attributes:
        identity: what determines it: directory, dtype, device, residence.
        weights: the dense weights of its prunable linears, by path.
        biases: their dense biases, None for a linear without one.
        sizes: bytes that it takes with its second copy of the weights.
        derived: how many results the last user left in the cache.
    """

    identity: Hashable
    model: LanguageModel
    weights: dict[str, Tensor]
    biases: dict[str, Tensor | None]
    sizes: Sizes
    derived: int = 0


class ModelCache:
    """Loaded models and their derived results, in a cache that others may share."""

    def __init__(self, cache: SharedCache | None = None) -> None:
        self.cache = cache or SharedCache()

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Use a model exclusively; it returns to the cache at the end."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            lease.end()

    def clear(self) -> None:
        """Drop all that is not leased."""
        self.cache.clear()

    @property
    def count(self) -> int:
        """How many models are here and not leased."""
        return sum(isinstance(value, CachedModel) for value in self.cache.values())

    def take(self, identity: Hashable) -> CachedModel | None:
        """Lease an idle model, the one with most derived results; if there is none, make room for it."""

        def rank(value: Any) -> int:
            return 1 + value.derived if isinstance(value, CachedModel) and value.identity == identity else 0

        cached: CachedModel | None = self.cache.take_best(rank)
        if cached is None:
            self.clear()
        return cached

    def add(self, identity: Hashable, model: LanguageModel) -> CachedModel | None:
        """Prepare a dense model for the cache, leased to the caller; None if it does not fit."""
        # Twice: the model and a copy of its weights. Only linears are copied, so this is an upper bound.
        sizes = {kind_of(model): 2 * sum(parameter.nbytes for parameter in model.module.parameters())}
        if model.residence == "streamed" or not self.cache.fits(sizes):
            return None
        # Copied before a run prunes the model in place.
        weights = {path: linear.weight.clone() for path, linear in model.linears.items()}
        biases = {path: linear.bias for path, linear in model.linears.items()}  # replaced, never changed
        return CachedModel(identity, model, weights, biases, sizes)


class Lease:
    """The exclusive use of one model at a time, cached if it fits."""

    def __init__(self, models: ModelCache) -> None:
        self._models = models
        self._cached: CachedModel | None = None
        self._derived: dict[Hashable, Any] = {}  # what was recalled, and is in the cache again at the end

    def model(self, identity: Hashable, load: Callable[[], LanguageModel]) -> LanguageModel:
        """Return the dense model, loaded or with its weights restored; `identity` determines it."""
        if self._cached is None or self._cached.identity != identity:
            self.end()
            self._cached = self._models.take(identity)
        if self._cached is None:
            model = load()
            self._cached = self._models.add(identity, model)
            return model
        # The previous user may have pruned it.
        for path, linear in self._cached.model.linears.items():
            linear.write(self._cached.weights[path])
            if linear.expert is None:
                linear.write_bias(self._cached.biases[path])
        return self._cached.model

    @property
    def caches(self) -> bool:
        """Whether the model and what is derived from it outlive this lease."""
        return self._cached is not None

    def recall(self, name: Hashable, make: Callable[[], Derived]) -> Derived:
        """Return a result derived from the dense model, made unless it is cached under this name."""
        if self._cached is None:
            return make()
        if name not in self._derived:
            cached = self._models.cache.take(self._cached, name)
            self._derived[name] = make() if cached is None else cached
        derived: Derived = self._derived[name]
        return derived

    def remembered(self, stream: Stream) -> Stream:
        """Return a stream that remembers its hidden states at every block, if memory suffices for them."""
        needed = sum(hidden.nbytes for hidden in stream.hidden) * len(stream.calls)  # one copy per block
        if self._cached is None or not self._models.cache.fits({kind_of(self._cached.model): needed}):
            return stream
        return Remembered(stream.ids, stream.hidden, stream.calls, stream.states, stream.offloaded)

    def clear(self) -> None:
        """Free the memory of this model and of all that is not in use."""
        if self._cached is not None:
            self._models.cache.drop(self._cached)
            self._cached = None
            self._derived = {}
        self._models.clear()

    def end(self) -> None:
        """Return the model and what was derived from it to the cache."""
        cached, derived = self._cached, self._derived
        self._cached, self._derived = None, {}
        if cached is None:
            return
        cache, needed = self._models.cache, Counter(cached.sizes)
        sizes = sizes_of(derived, beyond=cached.model)
        for each in sizes.values():
            needed += each
        cache.count_use(needed.total())
        # The model last, so that it is not dropped before its results.
        fitting = cache.put_all(cached, {**derived, MODEL: cached}, {**sizes, MODEL: cached.sizes})
        cached.derived = len(fitting) - 1
        if MODEL not in fitting:
            cache.drop(cached)


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


MODELS = ModelCache(SHARED)
"""The cache that the runs and texts of this process share."""


def kind_of(model: LanguageModel) -> str:
    """Return the kind of memory that a model is in, as `Sizes` call it."""
    return "cuda" if model.device.type == "cuda" else "host"
