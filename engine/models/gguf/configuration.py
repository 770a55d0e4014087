"""The configuration of the model in a GGUF file, as transformers makes it from the file's settings.

What transformers does not take over from a file would give another model. So the scaling of rotary positions
of Llama 3 is restored here, and a file with any other scaling is rejected.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
from transformers import AutoConfig, modeling_gguf_pytorch_utils

from engine.errors import ModelError
from engine.hub.failures import first_words
from engine.models.gguf.faults import TOKENS, UnreadableFile, sound_header
from engine.models.gguf.header import Header
from engine.models.gguf.types import dtype_of
from engine.models.library_warnings import silence
from engine.models.loading import without_foreign_choices
from engine.models.quantisation import FULL_PRECISION
from engine.models.streaming import BUILDING

Watch = Callable[[Iterable[Any]], Iterator[Any]]
LINK = "model.gguf"
ARRAY = 9  # a type of values
VOCABULARY = (TOKENS, "tokenizer.ggml.scores", "tokenizer.ggml.token_type", "tokenizer.ggml.merges")
EMBEDDING = "token_embd.weight"
FREQUENCIES = "rope_freqs.weight"
"""What the wavelengths of rotary positions are multiplied by; the tensor's name in GGUF files."""
FACTORS = ("rope_factors_long.weight", "rope_factors_short.weight")
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
"""What the models of Llama 3.1 to 3.3 have in common; only the factor differs."""


def read_gguf_config(file: Path, name: str) -> Any:
    """Return the configuration of the model in a GGUF file, with the dtype of its unpacked weights.

    Args:
        name: what error messages call the model.

    Raises:
        ModelError: the file is damaged, or transformers cannot read a model like this.
    """
    silence()
    header = checked_header(file, name)
    with linked(file, header) as directory:
        try:
            config = AutoConfig.from_pretrained(directory, gguf_file=LINK, trust_remote_code=False)
        except Exception as error:  # transformers raises many types here
            raise ModelError(
                f"The model {name} has the architecture {header.architecture}, which transformers does not "
                f"read from GGUF files ({first_words(error, 120)}). {FULL_PRECISION}",
                kind="not-causal",
            ) from error
    embedding = next((tensor for tensor in header.tensors if tensor.name == EMBEDDING), None)
    if embedding is not None:
        config.vocab_size = embedding.shape[0]  # [tokens, width]
    without_foreign_choices(config)
    config.dtype = dtype_of(header)
    _restore_scaling(config, file, header, name)
    return config


def checked_header(file: Path, name: str) -> Header:
    """Return the header of a GGUF file that can be read.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return sound_header(file)
    except UnreadableFile as error:
        raise ModelError(f"The model {name} was requested, but {error}.", kind="damaged") from error


@contextmanager
def linked(file: Path, header: Header, watch: Watch = iter) -> Iterator[Path]:
    """Yield a directory from which transformers reads a GGUF file as `LINK`: without its neighbours, which
    might describe another model, and without the vocabulary, which it reads again for the tokenizer.

    Args:
        watch: iterates over the tensors that are dequantised, in place of a progress bar.
    """
    import gguf

    class Reader(gguf.GGUFReader):  # type: ignore[misc, unused-ignore]
        """Skips the vocabulary, whose elements the package reads one by one: 20 s for 128,000 tokens."""

        def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
            if raw_type == ARRAY and orig_offs in skipped:
                return skipped[orig_offs] - orig_offs, [], [], []
            return super()._get_field_parts(orig_offs, raw_type)

    skipped = dict(header.spans[name] for name in VOCABULARY if name in header.spans)
    with ExitStack() as stack:
        stack.enter_context(BUILDING)  # because the patches are of the whole process
        # transformers makes the table of names again for every module of the model.
        names = cache(gguf.get_tensor_name_map)
        stack.enter_context(patch.multiple(gguf, GGUFReader=Reader, get_tensor_name_map=names))
        bar = patch.object(modeling_gguf_pytorch_utils, "tqdm", lambda tensors, **_: watch(tensors))
        stack.enter_context(bar)
        directory = Path(stack.enter_context(TemporaryDirectory()))
        try:
            (directory / LINK).symlink_to(file.absolute())
        except OSError:  # Windows, without the right to make links
            shutil.copyfile(file, directory / LINK)
        yield directory


def _restore_scaling(config: Any, file: Path, header: Header, name: str) -> None:
    """Set the scaling of rotary positions that the file states.

    Raises:
        ModelError: it is of another kind than Llama 3's.
    """
    tensors = {tensor.name: tensor for tensor in header.tensors}
    kind = header.settings.get(f"{header.architecture}.rope.scaling.type", "none")
    if kind != "none" or any(factors in tensors for factors in FACTORS):
        raise _unknown_scaling(name)
    if FREQUENCIES not in tensors:
        return
    tensor = tensors[FREQUENCIES]
    stated = np.fromfile(file, np.float32, tensor.weights, offset=header.data + tensor.offset)
    rope = dict(config.rope_parameters, rope_type="llama3", factor=float(stated.max()), **LLAMA3)
    if not np.allclose(stated, _multipliers(rope, tensor.weights), rtol=1e-3):
        raise _unknown_scaling(name)
    config.rope_parameters = rope


def _multipliers(rope: dict[str, Any], count: int) -> np.ndarray[Any, Any]:
    """Return by how much Llama 3 lengthens each wavelength: short ones not at all, long ones by the factor,
    with a smooth transition.
    """
    wavelengths = 2 * np.pi * rope["rope_theta"] ** (np.arange(count) / count)
    old = rope["original_max_position_embeddings"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = np.clip((old / wavelengths - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / rope["factor"] + smooth)


def _unknown_scaling(name: str) -> ModelError:
    return ModelError(
        f"The model {name} scales its rotary positions in a way that transformers does not read from GGUF "
        f"files, so it would be another model. {FULL_PRECISION}",
        kind="not-causal",
    )
