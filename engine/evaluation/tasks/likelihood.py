"""How likely a model finds a continuation of a text: what a choice, or a last word, is judged by. Knows
nothing of lm-eval.

Texts become tokens as lm-eval's own Hugging Face model does it: text and continuation are tokenised as one
and parted where the text alone ends; what is longer than the model loses its beginning. Requests that feed
the model the same tokens (the yes and the no of one question) share one row; rows go longest first in batches
of about one length, padded at the right, which a causal model cannot see. The head is asked for the last
positions only where the model's forward can be told so. A batch that does not fit into the device's memory is
halved. Does not share the passage's work among the choices of one example.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.errors import ModelError, TaskError
from engine.models.language_model import LanguageModel
from engine.models.summary import context_length

TOKENS_AT_ONCE = {"cpu": 1024}
MANY_TOKENS = 16_384  # on an accelerator
"""Tokens a batch: enough to keep the device busy, few enough to be cancelled soon."""
LOGITS_AT_ONCE = 64_000_000
"""Most logits a batch asks the head for (256 MB in float32)."""
LONGEST = 2048
"""Tokens that a model is taken to bear which does not say (lm-eval's own choice)."""


@dataclass(frozen=True)
class Request:
    """A row for the model and what is asked of it.

    Attributes:
        inputs: token ids that the model reads.
        targets: ids that its last predictions are held against.
        truncated: whether the text lost its beginning.
    """

    inputs: tuple[int, ...]
    targets: tuple[int, ...]
    truncated: bool

    @property
    def start(self) -> int:
        """The first position whose prediction counts."""
        return len(self.inputs) - len(self.targets)


@dataclass(frozen=True)
class Likelihood:
    """The answer: summed log probability in nats, and whether each token was the likeliest one."""

    log: float
    greedy: bool


class Encoder:
    """Makes requests of texts.

    Raises:
        TaskError: the model has no tokenizer.
    """

    def __init__(self, model: LanguageModel) -> None:
        if model.tokenizer is None:
            raise TaskError(
                "Zero-shot tasks are texts, but this model has no tokenizer, so they cannot be measured."
            )
        self._tokenizer = model.tokenizer
        self._longest = _longest(model)
        start = model.tokenizer.bos_token_id
        self._prefix: int | None = model.tokenizer.eos_token_id if start is None else start
        self._start_text = "" if self._prefix is None else str(model.tokenizer.decode(self._prefix))
        self._last: tuple[str, list[int]] = ("", [])

    def __call__(self, text: str, continuation: str) -> Request:
        """The request for a continuation that begins where `text` ends; spaces at the text's end count as the
        continuation's.
        """
        kept = text.rstrip()
        before = self._of_text(kept) if kept else []
        whole = self._ids(text + continuation, special=None if kept else False)
        if not before and whole[:1] != [self._prefix]:
            whole = [self._first(), *whole]
        split = max(1, min(len(before), len(whole) - 1))
        room = whole[-(self._longest + 1) :]
        targets = whole[split:][-(len(room) - 1) :]
        return Request(tuple(room[:-1]), tuple(targets), len(room) < len(whole))

    def _first(self) -> int:
        if self._prefix is None:
            raise TaskError(
                "A text of this task is empty, and the model has no token to begin with, so it cannot be "
                "measured."
            )
        return self._prefix

    def _of_text(self, text: str) -> list[int]:
        """The ids of a text; the choices of one example ask for the same one after another."""
        if self._last[0] != text:
            self._last = (text, self._ids(text, special=None))
        return self._last[1]

    def _ids(self, text: str, *, special: bool | None) -> list[int]:
        """Special tokens as the tokenizer adds them, unless the text begins with its start token already."""
        if special is None and self._start_text and text.startswith(self._start_text):
            special = False
        options = {} if special is None else {"add_special_tokens": special}
        return list(self._tokenizer(text, verbose=False, **options)["input_ids"])


@dataclass(frozen=True)
class _Row:
    """Requests that feed the model the same tokens, and their places among all."""

    places: list[int]
    requests: list[Request]

    @property
    def inputs(self) -> tuple[int, ...]:
        return self.requests[0].inputs

    @property
    def start(self) -> int:
        return min(request.start for request in self.requests)


def likelihoods(model: LanguageModel, requests: Sequence[Request]) -> Iterator[dict[int, Likelihood]]:
    """The answers, a batch at a time, by the requests' places.

    Raises:
        ModelError: not even one row fits into the device's memory.
    """
    waiting = _rows(requests)
    most = len(waiting)
    while waiting:
        rows = waiting[: min(most, _fitting(model, waiting))]
        try:
            answers = _answers(model, rows)
        except torch.OutOfMemoryError as error:
            if len(rows) == 1:
                raise ModelError(_too_long(rows[0]), kind="memory") from error
            most = len(rows) // 2
            continue
        yield dict(zip((place for row in rows for place in row.places), answers, strict=True))
        waiting = waiting[len(rows) :]


def _rows(requests: Sequence[Request]) -> list[_Row]:
    """The rows that the requests need, longest first."""
    rows: dict[tuple[int, ...], _Row] = {}
    for place, request in enumerate(requests):
        row = rows.setdefault(request.inputs, _Row([], []))
        row.places.append(place)
        row.requests.append(request)
    return sorted(rows.values(), key=lambda row: (-len(row.inputs), row.inputs))


def _fitting(model: LanguageModel, rows: Sequence[_Row]) -> int:
    """How many of the first rows, longest first, make a batch; at least one."""
    width = len(rows[0].inputs)
    tokens, kept = TOKENS_AT_ONCE.get(model.device.type, MANY_TOKENS), 0
    for count, row in enumerate(rows):
        kept = max(kept, width - row.start)
        if count and ((count + 1) * width > tokens or (count + 1) * kept * model.vocabulary > LOGITS_AT_ONCE):
            return count
    return len(rows)


@torch.no_grad()
def _answers(model: LanguageModel, rows: Sequence[_Row]) -> list[Likelihood]:
    """The answers of a batch, row after row."""
    width, start = max(len(row.inputs) for row in rows), min(row.start for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(row.inputs)] = torch.tensor(row.inputs)
    logits = _logits(model, ids.to(model.device), width - start)
    asked = [(place, request) for place, row in enumerate(rows) for request in row.requests]
    at = torch.tensor([place for place, request in asked for _ in request.targets], device=model.device)
    position = torch.tensor(
        [position for _, request in asked for position in range(request.start, len(request.inputs))],
        device=model.device,
    )
    target = torch.tensor([token for _, request in asked for token in request.targets], device=model.device)
    logs = (
        logits[at, position - (width - logits.shape[1])].float().log_softmax(-1)
    )  # [targets of all, vocabulary]
    chosen = logs.gather(1, target[:, None])[:, 0].double().cpu()
    likeliest = (logs.argmax(-1) == target).cpu()
    lengths = [len(request.targets) for _, request in asked]
    return [
        Likelihood(log.sum().item(), bool(hit.all()))
        for log, hit in zip(chosen.split(lengths), likeliest.split(lengths), strict=True)
    ]


def _logits(model: LanguageModel, ids: Tensor, last: int) -> Tensor:
    """Logits `[rows, positions, vocabulary]` of at least the `last` positions."""
    module: Any = model.module
    options = (
        {"logits_to_keep": last} if "logits_to_keep" in inspect.signature(module.forward).parameters else {}
    )
    logits: Tensor = module(input_ids=ids, use_cache=False, **options).logits
    return logits


def _longest(model: LanguageModel) -> int:
    """Tokens that the model reads at once: of its configuration, else of its tokenizer."""
    module: Any = model.module
    named = context_length(module.config)
    if named is not None:
        return named
    length = int(getattr(model.tokenizer, "model_max_length", LONGEST))
    return length if length < 10**9 else LONGEST


def _too_long(row: _Row) -> str:
    return (
        f"A single text of {len(row.inputs)} tokens does not fit into the device's memory beside the model. "
        "Choose a smaller model or a smaller dtype, free some memory, or leave out the tasks."
    )
