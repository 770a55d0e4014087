"""`bench --shape memory`: peak memory of pruning a model of about a billion parameters, streamed or resident.

The model is random, has TinyLlama's shape in bfloat16, and is written to disk layer by layer. Each run has
its own process, because the peak is that of a whole process; the baseline only imports the libraries.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

from engine.hub.cache import INDEX
from engine.models.identity import ROOT
from engine.models.streaming import without_weights

WIDTH, INNER, BLOCKS, HEADS, KEYS, VOCABULARY = 2048, 5632, 22, 32, 4, 32_000  # as TinyLlama-1.1B
WINDOWS, LENGTH = 8, 512
CHILD = """
import json, sys
from engine.hardware.memory import peak_host
if len(sys.argv) > 1:
    from engine.recipe import Recipe
    from engine.record import RunRecord
    from engine.run import run
    from engine.store.blocks import Blocks
    from pathlib import Path
    folder = Path(sys.argv[1])
    recipe = Recipe.build(json.loads(sys.argv[2]))
    record = RunRecord.fold(run(recipe, Blocks(folder / recipe.residence)))
    perplexity = record.pruned and record.pruned.perplexity
    print(json.dumps([record.error, record.peak_host, record.elapsed, perplexity]))
else:
    import engine.run
    print(json.dumps([None, peak_host(), 0, None]))
"""


def bench_memory() -> None:
    """Print peak memory and time, streamed and resident."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = _write_model(folder / "model")
        ids = folder / "ids.npy"
        np.save(ids, np.random.default_rng(0).integers(0, VOCABULARY, (WINDOWS, LENGTH)))
        # Three streams `[windows, tokens, width]`: calibration, and evaluation dense and pruned.
        hidden = 3 * WINDOWS * LENGTH * WIDTH * 2  # bfloat16: 2 bytes
        base = int(_child()[1])
        print(
            f"random model of TinyLlama's shape: {weights / 1e9:.2f} GB of bfloat16; {WINDOWS} windows of "
            f"{LENGTH} tokens for each of calibration"
        )
        print(
            f"and evaluation, their hidden states {hidden / 1e6:.0f} MB; the program alone {base / 1e6:.0f} "
            "MB; Wanda at 50 %"
        )
        for residence in ("streamed", "resident"):
            recipe = {
                "model": str(folder / "model"),
                "calibration": str(ids),
                "evaluation": str(ids),
                "dtype": "bfloat16",
                "residence": residence,
            }
            error, peak, seconds, perplexity = _child(str(folder), json.dumps(recipe))
            if error:
                print(f"  {residence:<9} failed: {error}")
                continue
            share = (peak - base - hidden) / weights
            above_base = (
                f"{(peak - base) / 1e6:6,.0f} MB more than the program alone "
                f"(hidden states plus {share:.0%} of the weights' size)"
            )
            print(
                f"  {residence:<9} peak {peak / 1e6:6,.0f} MB, {above_base}; {seconds:5.1f} s; "
                f"perplexity {perplexity:.6g}",
                flush=True,
            )


def _child(*arguments: str) -> Any:
    process = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(process.stdout.splitlines()[-1])  # libraries may print before it


def _write_model(directory: Path) -> int:
    """Write a random model, one file per block; return the size of its weights in bytes."""
    directory.mkdir()
    config = transformers.LlamaConfig(
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=BLOCKS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEYS,
        vocab_size=VOCABULARY,
        dtype="bfloat16",
        architectures=["LlamaForCausalLM"],
    )
    config.save_pretrained(directory)
    # The shapes come from a model on the meta device: its weights would take memory.
    with without_weights():
        shapes = {
            name: weight.shape for name, weight in transformers.LlamaForCausalLM(config).named_parameters()
        }
    generator = torch.Generator().manual_seed(0)
    where: dict[str, str] = {}
    total = 0
    for number in range(-1, BLOCKS):  # -1: everything outside the blocks
        names = [
            name
            for name in shapes
            if (f"layers.{number}." in name if number >= 0 else ".layers." not in name)
        ]
        tensors = {name: _random(shapes[name], generator) for name in names}
        file = f"model-{number + 2:05d}-of-{BLOCKS + 1:05d}.safetensors"
        save_file(tensors, directory / file, metadata={"format": "pt"})
        where |= dict.fromkeys(names, file)
        total += sum(tensor.nbytes for tensor in tensors.values())
    (directory / INDEX).write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": where}))
    return total


def _random(shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    if len(shape) == 1:  # the weights of norms
        return torch.ones(shape, dtype=torch.bfloat16)
    # 0.02 is the usual standard deviation of an initialisation.
    return (torch.randn(shape, generator=generator) * 0.02).to(torch.bfloat16)
