"""Recognising quantised checkpoints, whose files hold codes and scales in place of weights.

Most say so in config.json; others only through the names and dtypes of their tensors. Read as weights, codes
give a model that runs and means nothing, so both are checked before anything is read. No model library is
imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from engine.errors import ModelError

FULL_PRECISION = "Choose the full-precision model that it was made from, in safetensors."
ENTRIES = ("quantization_config", "compression_config")
"""Entries of config.json that say how the weights are quantised, for the whole model or for a part of it."""
BITS = ("bits", "num_bits", "nbits", "w_bit", "wbits", "weight_bits")
WORDS = ("quant_method", "quant_algo", "quant_type", "bnb_4bit_quant_type", "weights", "format", "fmt")
"""Entries of such an entry that may contain the number of bits in a word, for instance "int8"."""
TITLES = {
    "awq": "AWQ",
    "eetq": "EETQ",
    "fbgemm_fp8": "FBGEMM FP8",
    "fp8": "FP8",
    "gptq": "GPTQ",
    "hqq": "HQQ",
    "modelopt": "ModelOpt",
    "mxfp4": "MXFP4",
    "quanto": "Quanto",
}


class Quantisation(NamedTuple):
    """How weights are quantised: the method in words, and bits per weight, None if unknown."""

    method: str
    bits: int | None

    def error(self, name: str) -> ModelError:
        """Return the error for a model that is quantised like this."""
        bits = f", {self.bits} bits per weight" if self.bits else ""
        return ModelError(
            f"The model {name} is quantised ({self.method}{bits}). Its files hold codes and scales instead "
            f"of weights, which cannot be pruned here. {FULL_PRECISION}",
            kind="quantised",
        )


class Sign(NamedTuple):
    """What the tensors of a method are called, and their dtypes, as regular expressions."""

    name: str
    dtype: str
    quantisation: Quantisation


SIGNS = (
    Sign(r"\.q(weight|zeros)$", "", Quantisation("GPTQ or AWQ", None)),
    Sign(r"\.weight_packed$", "", Quantisation("compressed-tensors", None)),
    Sign(r"\.(absmax|quant_map)$|\.quant_state\.", "", Quantisation("bitsandbytes", 4)),
    Sign(r"\.SCB$", "", Quantisation("bitsandbytes", 8)),
    Sign(r"_blocks$", "U8", Quantisation("MXFP4", 4)),
    Sign(r"\.W_q$", "", Quantisation("HQQ", None)),
    Sign(r"\.codebooks$", "", Quantisation("AQLM", None)),
    Sign(r"\.weight_scale_2$", "", Quantisation("NVFP4", 4)),
    Sign(r"\bweight(\._data|:qdata|_qdata)$", "", Quantisation("Quanto or torchao", None)),
    Sign(r"", "F4.*", Quantisation("FP4", 4)),
    Sign(r"", "F8.*", Quantisation("FP8", 8)),
    Sign(r"weight$", "I8", Quantisation("INT8", 8)),
    Sign(r"weight$", "[IU].*", Quantisation("integer codes", None)),
    Sign(r"\.weight_scales?(_inv)?$", "", Quantisation("unknown method", None)),
)
"""The first one that a tensor shows decides."""


def named_in(config: Mapping[str, Any]) -> Quantisation | None:
    """Return the quantisation that the content of a config.json names, None if there is none."""
    entry = next(_entries(config), None)
    if entry is None:
        return None
    loaded = [key for key, value in entry.items() if re.fullmatch(r"load_in_[48]bit", key) and value]
    method = str(
        entry.get("quant_method")
        or entry.get("quant_algo")
        or ("bitsandbytes" if loaded else "unknown method")
    )
    values = list(_flattened(entry))
    numbers = [int(value) for key, value in values if key in BITS and isinstance(value, int)]
    words = " ".join(str(value).lower() for key, value in values if key in WORDS)
    numbers += [int(bits) for bits in re.findall(r"(?:fp|float|int|nf)(\d{1,2})(?!\d)", words)]
    numbers += [8 if "8" in key else 4 for key in loaded]
    return Quantisation(TITLES.get(method.lower(), method), next(iter(numbers), None))


def shown_by(dtypes: Mapping[str, str]) -> Quantisation | None:
    """Return the quantisation that tensors show, None if there is none.

    Args:
        dtypes: by the tensor's name, in the words of safetensors ("BF16").
    """
    for sign in SIGNS:
        name, dtype = re.compile(sign.name), re.compile(sign.dtype or ".*")
        if any(dtype.fullmatch(kind) and name.search(tensor) for tensor, kind in dtypes.items()):
            return sign.quantisation
    return None


def _entries(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict) and value:
            if key in ENTRIES:
                yield value
            else:
                yield from _entries(value)


def _flattened(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dictionaries and lists with their keys."""
    if isinstance(value, dict):
        for inner, entry in value.items():
            yield from _flattened(entry, inner)
    elif isinstance(value, list):
        for entry in value:
            yield from _flattened(entry, key)
    else:
        yield key, value
