"""A model that cannot be pruned block by block is rejected with the reason, before anything is pruned."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from engine.errors import ModelError
from engine.events import BlockPruned, Failed
from engine.models.language_model import LanguageModel
from engine.models.suitability import require_suitable
from engine.recipe import Recipe
from engine.run import run
from tests.models.families import FAMILIES, built

WIDTH, VOCABULARY = 16, 32


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: Tensor, extra: Tensor | None = None) -> Tensor:
        return hidden + self.mlp(hidden if extra is None else hidden * extra)


class OverwritingLayer(Layer):
    def forward(self, hidden: Tensor) -> Tensor:
        return hidden.add_(self.mlp(hidden))


class RandomLayer(Layer):
    def forward(self, hidden: Tensor) -> Tensor:
        return super().forward(hidden + torch.randn_like(hidden))


class TupleLayer(Layer):
    def forward(self, hidden: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor, None]:
        return super().forward(hidden, extra), hidden, None


class ListLayer(Layer):
    def forward(self, hidden: Tensor) -> list[Tensor]:
        return [super().forward(hidden)]


class WideningLayer(Layer):
    def forward(self, hidden: Tensor) -> Tensor:
        return torch.cat([hidden, hidden], dim=-1)


class Toy(nn.Module):
    """A language model whose hidden states take a given way through its three layers."""

    def __init__(self, way: Callable[[Any, Tensor], Tensor], layer: type[Layer] = Layer) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(vocab_size=VOCABULARY))
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(layer() for _ in range(3))
        self.head = nn.Linear(WIDTH, VOCABULARY)
        self.way = way

    def forward(self, input_ids: Tensor, use_cache: bool) -> Any:
        hidden = self.way(self.layers, self.embedding(input_ids))

        class Output(tuple):  # as those of transformers: by place and by name
            logits = self.head(hidden)

        return Output((hidden,))


def through(layers: Any, hidden: Tensor) -> Tensor:
    for layer in layers:
        hidden = layer(hidden)
    return hidden


def unpacked(layers: Any, hidden: Tensor) -> Tensor:
    for layer in layers:
        hidden, _, _ = layer(hidden)
    return hidden


def first(layers: Any, hidden: Tensor) -> Tensor:
    for layer in layers:
        hidden = layer(hidden)[0]
    return hidden


def backwards(layers: Any, hidden: Tensor) -> Tensor:
    return through(list(layers)[::-1], hidden)


def twice(layers: Any, hidden: Tensor) -> Tensor:
    return through(layers, through(layers, hidden))


def without_the_last(layers: Any, hidden: Tensor) -> Tensor:
    return through(layers[:2], hidden)


def in_streams(layers: Any, hidden: Tensor) -> Tensor:
    return through(layers, hidden.expand(4, *hidden.shape)).mean(0)


def scaled(layers: Any, hidden: Tensor) -> Tensor:
    for layer in layers:
        hidden = layer(hidden) * 1.01
    return hidden


def summed(layers: Any, hidden: Tensor) -> Tensor:
    outputs = [hidden]
    for layer in layers:
        outputs.append(layer(outputs[-1]))
    return torch.stack(outputs).sum(0)


def with_the_block_before(layers: Any, hidden: Tensor) -> Tensor:
    before = hidden
    for layer in layers:
        before, hidden = hidden, layer(hidden, before)
    return hidden


def with_the_extra_of_the_block_before(layers: Any, hidden: Tensor) -> Tensor:
    extra = None
    for layer in layers:
        hidden, extra, _ = layer(hidden, extra)
    return hidden


def with_the_embeddings(layers: Any, hidden: Tensor) -> Tensor:
    first = hidden
    for layer in layers:
        hidden = layer(hidden, extra=first)
    return hidden


def failing(layers: Any, hidden: Tensor) -> Tensor:
    raise TypeError("an image is missing")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_suitable(family: str) -> None:
    require_suitable(built(family), family)


@pytest.mark.parametrize(
    "toy", [Toy(through), Toy(with_the_embeddings), Toy(unpacked, TupleLayer), Toy(first, ListLayer)]
)
def test_blocks_in_order_are_suitable(toy: Toy) -> None:
    require_suitable(LanguageModel(toy), "toy")


@pytest.mark.parametrize(
    ("toy", "reason"),
    [
        (Toy(backwards), "not called in their order: call 0 is of block 2"),
        (Toy(twice), "its 3 blocks are not called in their order: call 3 is of block 0"),
        (Toy(without_the_last), "it does not call its block 2"),
        (Toy(in_streams), r"for 3 windows of 8 tokens its blocks are given \[4, 3, 8, 16\]"),
        (Toy(scaled), "it changes the hidden states between its blocks 0 and 1"),
        (Toy(summed), "its predictions depend on more than the output of its last block"),
        (Toy(with_the_block_before), "the argument 1 of its block 2 depends on the blocks before it"),
        (
            Toy(with_the_extra_of_the_block_before, TupleLayer),
            "the argument 1 of its block 1 depends on the blocks before it",
        ),
        (Toy(through, OverwritingLayer), r"its blocks \(OverwritingLayer\) overwrite the hidden states"),
        (Toy(through, RandomLayer), r"its blocks \(RandomLayer\) return something else each time"),
        (Toy(through, WideningLayer), r"its blocks \(WideningLayer\) do not return hidden states like"),
        (Toy(failing), r"it fails on 8 tokens \(TypeError: an image is missing\)"),
    ],
    ids=lambda value: value.way.__name__ if isinstance(value, Toy) else "",
)
def test_any_other_way_is_rejected_with_the_reason(toy: Toy, reason: str) -> None:
    with pytest.raises(ModelError, match=f"(?s)The model toy .* block by block: .*{reason}.*Choose another"):
        require_suitable(LanguageModel(toy), "toy")
    assert all("forward" not in vars(layer) for layer in toy.layers), "a stub was left in place"


def test_windows_that_the_model_cannot_take_are_named_before_anything_is_pruned(tmp_path: Path) -> None:
    """RoBERTa's positions begin after the padding token, so it takes fewer tokens than it declares."""
    shape = {
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = hf.RobertaConfig(
        vocab_size=VOCABULARY, max_position_embeddings=24, is_decoder=True, pad_token_id=1, **shape
    )
    hf.RobertaForCausalLM(config).save_pretrained(tmp_path / "model")
    np.save(tmp_path / "ids.npy", np.full((2, 24), 5))
    files = {"model": str(tmp_path / "model"), "calibration": str(tmp_path / "ids.npy"), "evaluation": None}
    *events, end = run(Recipe.build(files))
    assert isinstance(end, Failed) and "it fails on 24 tokens (" in end.message
    assert end.message.endswith("Choose another model, or shorter windows.")
    assert not any(isinstance(event, BlockPruned) for event in events)
