"""Windows of token ids: cut from the concatenated documents without overlap, or given as an `.npy` file and used exactly as they are.

Calibration takes a seeded choice of the windows, evaluation all of them in order; what does not fill a window is dropped.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from engine.corpora.documents import corpus_path, read_documents
from engine.errors import CorpusError

Role = Literal["calibration", "evaluation"]


@dataclass(frozen=True)
class Windows:
    """Token ids `[windows, length]`, int64, and where they come from.

    Attributes:
        available: windows that the corpus holds.
        documents: documents it holds, None for given ids.
        seed: what chose among them, None where all are used in order.
    """

    ids: Tensor
    available: int
    documents: int | None
    seed: int | None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the ids (int64, little endian, row-major), 16 hex digits."""
        return hashlib.sha256(self.ids.numpy().astype("<i8").tobytes()).hexdigest()[:16]


def calibration_windows(name: str, tokenizer: Any, vocabulary: int, *, samples: int, length: int, seed: int) -> Windows:
    """`samples` windows of `length` tokens, chosen by the seed; an `.npy` file is used as it is.

    Raises:
        CorpusError: the corpus cannot be read, or holds fewer windows than asked.
    """
    if _is_ids(name):
        return _given(name, vocabulary)
    cut, documents = _cut(name, "calibration", tokenizer, length)
    if len(cut) < samples:
        raise CorpusError(
            f"{samples} calibration windows of {length} tokens were asked of {name}, but {len(cut)} fit. "
            f"Ask for at most {len(cut)}, or for shorter windows, or give more text."
        )
    chosen = torch.randperm(len(cut), generator=torch.Generator().manual_seed(seed))[:samples]
    return Windows(cut[chosen], len(cut), documents, seed)


def evaluation_windows(name: str, tokenizer: Any, vocabulary: int, *, length: int) -> Windows:
    """All windows of `length` tokens in order; an `.npy` file is used as it is.

    Raises:
        CorpusError: the corpus cannot be read, or holds not even one window.
    """
    if _is_ids(name):
        return _given(name, vocabulary)
    cut, documents = _cut(name, "evaluation", tokenizer, length)
    if not len(cut):
        raise CorpusError(f"Windows of {length} tokens were asked of {name}, but the text is shorter than one. Ask for shorter windows.")
    return Windows(cut, len(cut), documents, None)


def _is_ids(name: str) -> bool:
    return Path(name).suffix == ".npy"


def _cut(name: str, role: Role, tokenizer: Any, length: int) -> tuple[Tensor, int]:
    """All whole windows `[windows, length]` of a text, and its number of documents."""
    documents = read_documents(name, role)
    if tokenizer is None:
        raise CorpusError(f"The text {name} needs a tokenizer, but the model has none. Give token ids as an .npy file.")
    ids = torch.tensor(_token_ids(documents, tokenizer), dtype=torch.int64)
    whole = len(ids) // length
    return ids[: whole * length].view(whole, length), len(documents)


def _token_ids(documents: list[str], tokenizer: Any) -> list[int]:
    """The ids of all documents in one row; a lone document is tokenised as the tokenizer does it, of several each begins with the start token."""
    if len(documents) == 1:
        return list(tokenizer(documents[0], verbose=False)["input_ids"])
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    rows = tokenizer(documents, add_special_tokens=False, verbose=False)["input_ids"]
    return [token for row in rows for token in ([start] if start is not None else []) + row]


def _given(name: str, vocabulary: int) -> Windows:
    path = corpus_path(name, "calibration")
    try:
        ids = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CorpusError(f"The token ids {path} cannot be read: {error}. Give a NumPy file of int64 [windows, length].") from error
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or ids.shape[0] < 1 or ids.shape[1] < 2:
        raise CorpusError(f"The token ids {path} are {ids.dtype} {list(ids.shape)}; expected int64 [windows, length], length at least 2.")
    if ids.min() < 0 or ids.max() >= vocabulary:
        raise CorpusError(f"The token ids {path} run from {ids.min()} to {ids.max()}, but the model has ids 0 to {vocabulary - 1}.")
    windows = torch.from_numpy(ids.astype(np.int64))
    return Windows(windows, len(windows), None, None)
