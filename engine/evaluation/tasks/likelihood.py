"""The likelihood of a continuation after a text, by which choices and last words are judged. Independent of
lm-eval.

Texts become tokens as in lm-eval's own Hugging Face model: text and continuation are tokenised together and
split where the tokens of the text alone end; what is longer than the model's context loses its beginning.
Requests that feed the model the same tokens (the yes and the no of one question) share one row; rows are
computed longest first, in batches of similar length, padded on the right, which a causal model cannot see. If
the model's forward can be told to, it computes logits for the last positions only. A batch that does not fit
into the device's memory is halved. Does not share the work on a passage among the choices of one example.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.errors import ModelError, NonFiniteError, TaskError
from engine.models.language_model import LanguageModel
from engine.models.summary import context_length

TOKENS_AT_ONCE = {"cpu": 1024}
MANY_TOKENS = 16_384  # on an accelerator
"""Tokens per batch: enough to keep the device busy, few enough to cancel quickly."""
LOGITS_AT_ONCE = 64_000_000
"""Maximum number of logits per batch (256 MB in float32)."""
LONGEST = 2048
"""Assumed context, in tokens, of a model that does not declare one (lm-eval's choice)."""


@dataclass(frozen=True)
class Request:
    """Tokens for the model, and the tokens to score.

    Attributes:
        inputs: ids that the model reads.
        targets: ids that the last predictions are scored on.
        truncated: whether the text lost its beginning.
    """

    inputs: tuple[int, ...]
    targets: tuple[int, ...]
    truncated: bool

    @property
    def start(self) -> int:
        """The first position whose prediction is scored."""
        # The prediction at a position is for the token after it, and the inputs end before the last target.
        return len(self.inputs) - len(self.targets)


@dataclass(frozen=True)
class Likelihood:
    """The summed log probability in nats, and whether every token was the likeliest one."""

    log: float
    greedy: bool


class Encoder:
    """Converts texts to requests.

    Raises:
        TaskError: the model has no tokenizer.
    """

    def __init__(self, model: LanguageModel) -> None:
        if model.tokenizer is None:
            why = model.tokenizer_fault or "This model has none."
            raise TaskError(f"Zero-shot tasks need a tokenizer. {why}")
        self._tokenizer = model.tokenizer
        self._longest = _longest(model)
        start = model.tokenizer.bos_token_id
        # As lm-eval's `prefix_token_id`.
        self._prefix: int | None = model.tokenizer.eos_token_id if start is None else start
        self._start_text = "" if self._prefix is None else str(model.tokenizer.decode(self._prefix))
        self._last: tuple[str, list[int]] = ("", [])

    def __call__(self, text: str, continuation: str) -> Request:
        """Return the request for a continuation that starts where `text` ends.

        Trailing spaces of the text count as part of the continuation.
        """
        stripped = text.rstrip()
        before = self._of_text(stripped) if stripped else []
        # After an empty text, the prefix below is the only special token, as in lm-eval.
        whole = self._ids(text + continuation, special=None if stripped else False)
        if not before and whole[:1] != [self._prefix]:
            whole = [self._first(), *whole]
        # At least one token is read and one scored, even if the tokenizer merges tokens across the boundary.
        split = max(1, min(len(before), len(whole) - 1))
        # The last token is only a target, so one more than the context fits.
        fitting = whole[-(self._longest + 1) :]
        # A continuation that is longer than the context loses its beginning too.
        targets = whole[split:][-(len(fitting) - 1) :]
        return Request(tuple(fitting[:-1]), tuple(targets), len(fitting) < len(whole))

    def _first(self) -> int:
        if self._prefix is None:
            raise TaskError(
                "A text of this task is empty, and the model has no start token, so it cannot be measured."
            )
        return self._prefix

    def _of_text(self, text: str) -> list[int]:
        """Return the ids of a text; the last text is cached, because the choices of one example share it."""
        if self._last[0] != text:
            self._last = (text, self._ids(text, special=None))
        return self._last[1]

    def _ids(self, text: str, *, special: bool | None) -> list[int]:
        """Return ids with the special tokens that the tokenizer adds, unless the text starts with the start
        token.
        """
        if special is None and self._start_text and text.startswith(self._start_text):
            special = False
        options = {} if special is None else {"add_special_tokens": special}
        # `verbose` would warn of a text that is longer than the context.
        return list(self._tokenizer(text, verbose=False, **options)["input_ids"])


@dataclass(frozen=True)
class _Row:
    """Requests that feed the model the same tokens, and their indices among all requests."""

    indices: list[int]
    requests: list[Request]

    @property
    def inputs(self) -> tuple[int, ...]:
        return self.requests[0].inputs

    @property
    def start(self) -> int:
        return min(request.start for request in self.requests)


def likelihoods(model: LanguageModel, requests: Sequence[Request]) -> Iterator[dict[int, Likelihood]]:
    """Yield the answers of one batch at a time, by the requests' indices.

    Raises:
        ModelError: not even one row fits into the device's memory.
        NonFiniteError: a likelihood is not finite.
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
            most = len(rows) // 2  # stays reduced: the next full batch would most likely fail too
            continue
        yield dict(zip((index for row in rows for index in row.indices), answers, strict=True))
        waiting = waiting[len(rows) :]


def _rows(requests: Sequence[Request]) -> list[_Row]:
    """Return the rows that the requests need, longest first."""
    rows: dict[tuple[int, ...], _Row] = {}
    for index, request in enumerate(requests):
        row = rows.setdefault(request.inputs, _Row([], []))
        row.indices.append(index)
        row.requests.append(request)
    # Ties are ordered by tokens, so that the batches do not depend on the order of the requests.
    return sorted(rows.values(), key=lambda row: (-len(row.inputs), row.inputs))


def _fitting(model: LanguageModel, rows: Sequence[_Row]) -> int:
    """Return how many of the first rows, longest first, fit into a batch; at least one."""
    width = len(rows[0].inputs)  # of all rows, after padding
    tokens, scored = TOKENS_AT_ONCE.get(model.device.type, MANY_TOKENS), 0
    for count, row in enumerate(rows):
        scored = max(scored, width - row.start)  # positions with logits, counted from the end
        if count and (
            (count + 1) * width > tokens or (count + 1) * scored * model.vocabulary > LOGITS_AT_ONCE
        ):
            return count
    return len(rows)


@torch.no_grad()
def _answers(model: LanguageModel, rows: Sequence[_Row]) -> list[Likelihood]:
    """Return the answers of a batch, row by row."""
    width, start = max(len(row.inputs) for row in rows), min(row.start for row in rows)
    # [rows, width]; the padding's id does not matter, because nothing before it can see it.
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(row.inputs)] = torch.tensor(row.inputs)
    logits = _logits(model, ids.to(model.device), width - start)  # [rows, width - start or more, vocabulary]
    # One entry per target of every request: its row, its position in the row, and its id.
    asked = [(index, request) for index, row in enumerate(rows) for request in row.requests]
    at = torch.tensor([index for index, request in asked for _ in request.targets], device=model.device)
    position = torch.tensor(
        [position for _, request in asked for position in range(request.start, len(request.inputs))],
        device=model.device,
    )
    target = torch.tensor([token for _, request in asked for token in request.targets], device=model.device)
    # The logits may cover only the last positions, so positions are shifted. [targets of all, vocabulary]
    logs = logits[at, position - (width - logits.shape[1])].float().log_softmax(-1)
    chosen = logs.gather(1, target[:, None])[:, 0].double().cpu()  # [targets of all], float64 for the sums
    if not chosen.isfinite().all():
        raise NonFiniteError("The likelihoods of a task's examples are not finite.")
    likeliest = (logs.argmax(-1) == target).cpu()
    lengths = [len(request.targets) for _, request in asked]
    return [
        Likelihood(log.sum().item(), bool(hit.all()))
        for log, hit in zip(chosen.split(lengths), likeliest.split(lengths), strict=True)
    ]


def _logits(model: LanguageModel, ids: Tensor, last: int) -> Tensor:
    """Return logits `[rows, positions, vocabulary]` of at least the `last` positions."""
    module: Any = model.module
    options = (
        {"logits_to_keep": last} if "logits_to_keep" in inspect.signature(module.forward).parameters else {}
    )
    # A cache of keys and values would only take memory.
    logits: Tensor = module(input_ids=ids, use_cache=False, **options).logits
    return logits


def _longest(model: LanguageModel) -> int:
    """Return the model's context in tokens, from its configuration or else its tokenizer."""
    module: Any = model.module
    declared = context_length(module.config)
    if declared is not None:
        return declared
    length = int(getattr(model.tokenizer, "model_max_length", LONGEST))
    return length if length < 10**9 else LONGEST  # tokenizers without a limit say 10**30


def _too_long(row: _Row) -> str:
    return (
        f"A single text of {len(row.inputs)} tokens does not fit into the device's memory next to the model. "
        "Choose a smaller model or a smaller dtype, free some memory, or omit the tasks."
    )
