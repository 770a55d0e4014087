"""Which tensors of a checkpoint a text model may do without."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from transformers import DeepseekV3Config

from engine.models.parts import COMPUTED, IGNORED, PREDICTION, VISION, left_out


def model(**config: Any) -> Any:
    return SimpleNamespace(
        config=DeepseekV3Config(num_hidden_layers=4, **config),
        _keys_to_ignore_on_load_unexpected=[r"^auxiliary\."],
    )


KNOWN = [
    ("model.layers.0.self_attn.rotary_emb.inv_freq", (8,), COMPUTED),
    ("transformer.h.0.attn.bias", (1, 1, 8, 8), COMPUTED),
    ("transformer.h.0.attn.attention.masked_bias", (), COMPUTED),
    ("model.embed_positions.weights", (64, 32), COMPUTED),
    ("transformer.h.0.attn.causal_mask", (1, 1, 8, 8), COMPUTED),
    ("model.visual.blocks.0.attn.qkv.weight", (96, 32), VISION),
    ("mtp.layers.0.mlp.up_proj.weight", (48, 32), PREDICTION),
    ("model.layers.4.mlp.up_proj.weight", (48, 32), PREDICTION),
    ("auxiliary.weight", (4, 4), IGNORED),
    ("model.layers.5.mlp.up_proj.weight", (48, 32), None),
    ("transformer.h.0.attn.bias", (96,), None),
    ("model.layers.0.self_attn.q_proj.bias", (32,), None),
    ("v_head.weight", (1, 32), None),
    ("model.layers.0.self_attn.q_proj.lora_A.weight", (8, 32), None),
]


@pytest.mark.parametrize(("name", "shape", "kind"), KNOWN)
def test_what_may_be_left_out(name: str, shape: tuple[int, ...], kind: str | None) -> None:
    assert left_out(name, shape, model(num_nextn_predict_layers=1)) == kind


def test_further_layers_without_a_word_in_the_configuration_are_missing_from_it() -> None:
    assert left_out("model.layers.4.mlp.up_proj.weight", (48, 32), model(num_nextn_predict_layers=0)) is None
