"""Turning the weights of a GGUF file into safetensors, once: quantised ones become bfloat16.

transformers reads the file, for which all weights are in memory, and undoes what llama.cpp does to them (the
order of the rows of query and key, the 1 added to norms). The result is an ordinary model directory in the
cache (`engine.models.gguf.unpacked`). It appears under its name when it is complete; one process unpacks a
file, and others wait for it.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.errors import ModelError
from engine.events import WeightSource
from engine.hardware import disk
from engine.hardware.memory import disk_free, host_free
from engine.hardware.memory_plan import is_out_of_memory
from engine.hub.cache import CONFIG
from engine.hub.failures import DISK_FULL, first_words
from engine.models.gguf import unpacked
from engine.models.gguf.configuration import (
    FACTORS,
    FREQUENCIES,
    LINK,
    checked_header,
    linked,
    read_gguf_config,
)
from engine.models.gguf.header import Header
from engine.models.gguf.types import dtype_of, source_of
from engine.models.library_warnings import silence
from engine.models.quantisation import FULL_PRECISION
from engine.numbers import size
from engine.progress import Progress, Report, in_background

FLOAT32 = 4  # bytes
SPARE = 200_000_000  # bytes of the disk that are left free
SOURCE = "gguf_source.json"
"""The file that says where the weights of a directory come from. Exports contain it, too."""


def unpack(file: Path, name: str) -> Generator[Progress, None, Path]:
    """Return the directory with the weights of a GGUF file as safetensors, unpacking them if necessary.

    Args:
        name: what error messages call the model.

    Raises:
        ModelError: the file cannot be read, or memory or disk space do not suffice.
    """
    place = unpacked.place_of(unpacked.content(file))
    if place.is_dir():
        return place
    return (
        yield from in_background(
            file.name, lambda report: _unpack(file, name, place, report), doing="unpacking"
        )
    )


def unpacked_bytes(header: Header) -> int:
    """Return the size of the unpacked weights."""
    return weights_in(header) * dtype_of(header).itemsize


def unpacking_memory(header: Header) -> int:
    """Return the peak of memory: all weights, and the largest tensor while it is dequantised to float32."""
    held = weights_in(header) * _reading_dtype(header).itemsize
    return held + FLOAT32 * max(tensor.weights for tensor in header.tensors)


def _reading_dtype(header: Header) -> torch.dtype:
    """Return the dtype in which transformers holds the weights while it reads them.

    Of these architectures it dequantises in the requested dtype, which rounds more often; of all others in
    float32, and then it rounds once.
    """
    # Imports the code that fills models with weights, which takes a second.
    from transformers.integrations.gguf.utils import is_gguf_arch_supported

    return torch.float32 if is_gguf_arch_supported(header.architecture) else dtype_of(header)


def weights_in(header: Header) -> int:
    """Return the number of weights in the tensors that belong to the model."""
    return sum(tensor.weights for tensor in header.tensors if tensor.name not in (FREQUENCIES, *FACTORS))


def weight_source(directory: Path) -> WeightSource | None:
    """Return the GGUF file that the weights in a model's directory come from, None for any other model."""
    try:
        return WeightSource.model_validate_json((directory / SOURCE).read_bytes())
    except (OSError, ValueError):
        return None


def _unpack(file: Path, name: str, place: Path, report: Report) -> Path:
    header = checked_header(file, name)
    report.total = header.size
    with _disk_errors(name, place):
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            if place.is_dir():  # whoever held the lock unpacked it
                return place
            disk.remove_leftovers(place)  # of a killed process
            _require_space(header, name, place)
            with disk.new_directory(place) as new:
                _fill(new, file, header, name, report)
    return place


def _fill(new: Path, file: Path, header: Header, name: str, report: Report) -> None:
    """Write the model into the directory `new`."""
    report.note = "Dequantising the weights."
    config = read_gguf_config(file, name)
    with linked(file, header, partial(_watched, report)) as source:
        module = _read(source, config, _reading_dtype(header), name)
        _save_tokenizer(source, new, name)
    require_all(module, header, name)
    report.note = "Writing them as safetensors."
    _save(module, dtype_of(header), new)
    (new / SOURCE).write_text(source_of(header, file).model_dump_json(indent=1), encoding="utf-8")


def _watched(report: Report, tensors: Iterable[Any]) -> Iterator[Any]:
    """Yield tensors of the package gguf, and report how much of the file is read."""
    for tensor in tensors:
        report.check()
        yield tensor
        report.done += int(tensor.n_bytes)


def _require_space(header: Header, name: str, place: Path) -> None:
    needed, free = unpacking_memory(header), host_free()
    if free is not None and needed > free:
        raise ModelError(
            f"The weights of {name} do not fit in memory while they are unpacked from the GGUF file: that "
            f"needs {size(needed)}, and {size(free)} are free. Close other programs, or choose a smaller "
            "model.",
            kind="memory",
        )
    needed, free = unpacked_bytes(header) + SPARE, disk_free(place)
    if free is not None and needed > free:
        raise _disk_full(name, place, f"that needs {size(needed)}, and {size(free)} are free")


@contextmanager
def _disk_errors(name: str, place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise _disk_full(name, place, "it is full") from error
        raise ModelError(
            f"The weights of {name} could not be unpacked into {place.parent} ({first_words(error)})."
        ) from error


def _disk_full(name: str, place: Path, why: str) -> ModelError:
    return ModelError(
        f"The weights of {name} do not fit on the disk that holds {place.parent}: {why}. Free some space, or "
        "set PRUNESCOPE_HOME to a directory on another disk.",
        kind="disk-full",
    )


def _read(directory: Path, config: Any, dtype: torch.dtype, name: str) -> nn.Module:
    """Return the model in a dtype."""
    silence()
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            directory,
            gguf_file=LINK,
            config=config,
            dtype=dtype,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are rejected below, by name
        )
    except Exception as error:  # transformers and gguf raise many types here
        if is_out_of_memory(error):
            raise
        raise _unreadable(name, first_words(error, 200)) from error
    module, info = loaded
    # transformers initialises these weights at random
    if info["missing_keys"]:
        raise _unreadable(name, f"it lacks {min(info['missing_keys'])}")
    if info["mismatched_keys"]:
        weight, stored, expected = min(info["mismatched_keys"])
        raise _unreadable(name, f"{weight} has the shape {list(stored)} instead of {list(expected)}")
    result: nn.Module = module
    return result


def require_all(module: nn.Module, header: Header, name: str) -> None:
    """Check that a model has the weights of the file, because transformers leaves out those it does not know.

    Args:
        module: may be on the meta device.

    Raises:
        ModelError: it has others.
    """
    config: Any = module.config
    tied = config.get_text_config().tie_word_embeddings
    beyond = f"blk.{config.get_text_config().num_hidden_layers}."  # a head that predicts further tokens
    used = [
        tensor
        for tensor in header.tensors
        if tensor.name not in (FREQUENCIES, *FACTORS)
        and not tensor.name.startswith(beyond)
        and not (tied and tensor.name == "output.weight")
    ]
    there, read = sum(tensor.weights for tensor in used), sum(each.numel() for each in module.parameters())
    if there != read:
        raise _unreadable(name, f"its class {type(module).__name__} has {read:,} weights, the file {there:,}")


def _unreadable(name: str, why: str) -> ModelError:
    return ModelError(
        f"The model {name} cannot be read from the GGUF file by transformers ({why.rstrip('.')}). "
        f"{FULL_PRECISION}",
        kind="damaged",
    )


def _save_tokenizer(directory: Path, new: Path, name: str) -> None:
    try:
        AutoTokenizer.from_pretrained(directory, gguf_file=LINK, trust_remote_code=False).save_pretrained(new)
    except Exception as error:
        raise _unreadable(name, f"its tokenizer: {first_words(error, 160)}") from error


def _save(module: Any, dtype: torch.dtype, new: Path) -> None:
    """Write the model like one that never was in a GGUF file."""
    module.hf_quantizer = None
    module.is_quantized = False
    module.config.quantization_config = None
    del module.config.quantization_config
    module.to(dtype).save_pretrained(new)
    # Without the release of transformers, so that the files of the same model have the same hash.
    path = new / CONFIG
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings.pop("transformers_version", None)
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
