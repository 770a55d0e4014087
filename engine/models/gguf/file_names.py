"""GGUF files by their names."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".gguf"
SAFETENSORS = (".safetensors", ".safetensors.index.json")


def has_gguf_suffix(name: str) -> bool:
    """Return whether a name ends like that of a GGUF file."""
    return name.lower().endswith(SUFFIX)


def gguf_files(directory: Path) -> list[Path]:
    """Return the GGUF files that a directory stands for: those in it, unless it also has safetensors."""
    try:
        paths = sorted(directory.iterdir())
    except OSError:
        return []
    if any(path.name.endswith(SAFETENSORS) for path in paths):
        return []
    return [path for path in paths if has_gguf_suffix(path.name) and path.is_file()]
