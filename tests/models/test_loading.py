"""What config.json says about another machine is ignored; what transformers warns about becomes a note."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from torch import nn

from engine.errors import CorpusError, ModelError
from engine.events import Noted
from engine.inputs import read_windows
from engine.models.checkpoint import Checkpoint
from engine.models.identity import DEMO_DIRECTORY
from engine.models.library_warnings import collected, silence
from engine.models.loading import load, read_config
from engine.models.streaming import BUILDING
from engine.models.summary import context_length, summarise
from engine.progress import drain
from engine.recipe import Recipe
from engine.run import run
from tests.models.families import FAMILIES, SHAPE, SMALL, TOKENS, VOCABULARY, built, windows, write_checkpoint

LOAD: dict[str, Any] = {"dtype": torch.float32, "device": torch.device("cpu")}


def edit(directory: Path, file: str = "config.json", **entries: object) -> None:
    path = directory / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


# ---- choices of another machine ----------------------------------------------------------------------------

FOREIGN: list[tuple[str, dict[str, object]]] = [
    ("llama", {"attn_implementation": "flash_attention_2"}),
    ("llama", {"_attn_implementation": "flash_attention_3"}),
    ("llama", {"attn_implementation": "someone/flash-kernels"}),
    ("llama", {"experts_implementation": "deepgemm"}),
    ("llama", {"pad_token_id": VOCABULARY}),
    ("llama", {"pad_token_id": -1}),
    ("llama", {"quantization_config": {}}),
    ("gemma2", {"attn_implementation": "sdpa"}),  # which Gemma 2 does not have
]


@pytest.mark.parametrize(("family", "foreign"), FOREIGN, ids=str)
def test_choices_of_another_machine_change_nothing(
    family: str, foreign: dict[str, object], tmp_path: Path
) -> None:
    if family == "gemma2":
        torch.manual_seed(0)
        module = hf.AutoModelForCausalLM.from_config(hf.Gemma2Config(**SHAPE, head_dim=8))
    else:
        module = built(family).module
    module.save_pretrained(tmp_path)
    ids = windows(1)
    before = load(tmp_path, **LOAD).forward(ids)
    edit(tmp_path, **foreign)
    for residence in ("resident", "streamed"):
        model = load(tmp_path, residence=residence, **LOAD)
        stream = model.record(ids, 1)
        for block in model.blocks:
            with model.present(block):
                stream.advance(block)
        assert torch.equal(model.logits(stream.hidden[0], ids), before)


def test_a_nested_choice_of_another_machine(tmp_path: Path) -> None:
    text = FAMILIES["gemma3"]().to_dict() | {"attn_implementation": "flash_attention_2"}
    hf.Gemma3Config(text_config=FAMILIES["gemma3"]()).save_pretrained(tmp_path)
    edit(tmp_path, text_config=text)
    config = read_config(tmp_path)
    assert config._attn_implementation is config.text_config._attn_implementation is None
    edit(tmp_path, attn_implementation="eager")  # which every machine has
    assert read_config(tmp_path).text_config._attn_implementation == "eager"


def test_a_configuration_without_a_type(tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["model_type"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"no `model_type` in its config\.json"):
        summarise(str(tmp_path), measure_speed=False)
    edit(tmp_path, model_type="brand_new")
    with pytest.raises(ModelError, match="version of transformers does not know"):
        summarise(str(tmp_path), measure_speed=False)


# ---- the length of windows ---------------------------------------------------------------------------------

LENGTHS = [
    hf.MptConfig(**SMALL, d_model=32, n_layers=2, n_heads=4, max_seq_len=TOKENS),
    hf.GPT2Config(**SMALL, n_embd=32, n_layer=2, n_head=4, n_positions=TOKENS),
    hf.WhisperConfig(max_target_positions=TOKENS),
    hf.RwkvConfig(context_length=TOKENS),
    hf.DbrxConfig(max_seq_len=TOKENS),
    hf.CTRLConfig(n_positions=TOKENS),
    hf.LlamaConfig(max_position_embeddings=TOKENS),
]


@pytest.mark.parametrize("config", LENGTHS, ids=lambda config: config.model_type)
def test_the_most_tokens_of_a_window(config: Any) -> None:
    assert context_length(config) == TOKENS
    assert Recipe.build(model="elsewhere", calibration="c4").window(context_length(config)) == TOKENS


def test_longer_windows_than_the_model_takes_are_named(tmp_path: Path) -> None:
    torch.manual_seed(0)
    hf.AutoModelForCausalLM.from_config(LENGTHS[0]).save_pretrained(tmp_path)
    np.save(tmp_path / "ids.npy", np.zeros((2, TOKENS + 1), dtype=np.int64))
    recipe = Recipe.build(model=str(tmp_path), calibration=str(tmp_path / "ids.npy"), evaluation=None)
    with pytest.raises(CorpusError, match=f"have {TOKENS + 1} tokens.* takes at most {TOKENS}"):
        drain(read_windows(recipe, load(tmp_path, **LOAD), None))


# ---- warnings of transformers ------------------------------------------------------------------------------


def test_a_warning_about_the_tokenizer_is_a_note(tmp_path: Path) -> None:
    directory = Path(shutil.copytree(DEMO_DIRECTORY, tmp_path / "model"))
    edit(directory, model_type="mistral", architectures=["MistralForCausalLM"], sliding_window=None)
    edit(directory, transformers_version="4.50.0")
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    # transformers looks at vocabularies above 100,000, and at this pattern of Mistral's first tokenizers
    tokenizer["model"]["vocab"] |= {f"<unused{number}>": number for number in range(2048, 100_500)}
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    tokenizer["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        ],
    }
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = {"bos_token": "<|endoftext|>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    fields = {"samples": 2, "length": 16, "evaluation": None, "pruner": "magnitude"}
    notes = [
        event.message
        for event in run(Recipe.build(model=str(directory), **fields))
        if isinstance(event, Noted)
    ]
    assert [note for note in notes if "warns about this model" in note and "incorrect tokenization" in note]


def test_the_bundled_model_has_no_warnings() -> None:
    assert load(DEMO_DIRECTORY, **LOAD).warnings == []


def test_warnings_are_collected_each_time_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    logger = hf.logging.get_logger("transformers.anything")
    silence()
    for _ in range(2):
        with collected() as messages:
            logger.warning_once("Something  is\nwrong.")
            logger.warning("Something is wrong.")
            logger.warning("`this` is deprecated.")
            logger.info("Read.")
        assert messages == ["Something is wrong."]
    logger.warning("This is not collected.")
    assert messages == ["Something is wrong."]
    assert capsys.readouterr().err == ""


def test_a_model_is_checked_while_no_other_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers switches the tying of weights off for all threads while it builds a model."""
    check, locked = Checkpoint.check, []

    def watched(checkpoint: Checkpoint, skeleton: nn.Module) -> None:
        locked.append(BUILDING.locked())
        check(checkpoint, skeleton)

    monkeypatch.setattr(Checkpoint, "check", watched)
    load(DEMO_DIRECTORY, dtype=torch.float32, device=torch.device("cpu"))
    assert locked == [True]
