"""Log-likelihoods of continuations against a slow computation: one request, one row, no padding."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from engine.errors import ModelError, TaskError
from engine.evaluation.tasks import likelihood
from engine.evaluation.tasks.likelihood import Encoder, Request, likelihoods
from engine.models.language_model import LanguageModel
from tests.evaluation.task_models import FAMILIES, LENGTH, VOCABULARY, tiny

TEXTS = [
    ("One day a girl went", " to the park."),
    ("One day a girl went", " home"),
    ("One day a girl went", " to a very big house in the wood with her two dogs."),
    ("The cat ", "sat"),
    ("", "Once upon a time"),
    ("Tom and his friend liked to play with the red ball every day. " * 4 + "They were", " happy"),
    ("He said", " yes" * 50),
]


def plainly(model: LanguageModel, text: str, continuation: str) -> tuple[float, bool]:
    """Token by token from the logits of one unpadded row; of a long text its last tokens."""
    longest = (
        model.module.config.max_position_embeddings
        if hasattr(model.module.config, "max_position_embeddings")
        else 512
    )
    whole = model.tokenizer(text + continuation)["input_ids"]
    count = len(whole) - len(model.tokenizer(text.rstrip())["input_ids"])
    whole = ([] if text else [model.tokenizer.bos_token_id]) + whole
    row = whole[-(longest + 1) :]
    with torch.no_grad():
        logits = model.module(torch.tensor([row[:-1]])).logits[0].double()
    log, greedy = 0.0, True
    for place in range(max(1, len(row) - count), len(row)):
        chances = logits[place - 1].softmax(-1)
        log += chances[row[place]].log().item()
        greedy &= chances.argmax().item() == row[place]
    return log, greedy


def answered(model: LanguageModel, requests: list[Request]) -> list[likelihood.Likelihood]:
    answers: dict[int, likelihood.Likelihood] = {}
    for batch in likelihoods(model, requests):
        answers |= batch
    return [answers[place] for place in range(len(requests))]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tokens", [1, 64, 1024])
def test_batches_give_the_same_as_single_rows(family, tokens, monkeypatch):
    monkeypatch.setattr(likelihood, "TOKENS_AT_ONCE", {"cpu": tokens})
    model = tiny(family)
    encode = Encoder(model)
    found = answered(model, [encode(*pair) for pair in TEXTS])
    expected = [plainly(model, *pair) for pair in TEXTS]
    assert [answer.log for answer in found] == pytest.approx([log for log, _ in expected], rel=1e-4, abs=1e-4)
    assert [answer.greedy for answer in found] == [greedy for _, greedy in expected]


def test_a_greedy_continuation_is_recognised():
    model = tiny()
    text = "One day a girl went"
    row = model.tokenizer(text)["input_ids"]
    with torch.no_grad():
        likeliest = model.module(torch.tensor([row])).logits[0, -1].argmax().item()
    requests = [Request(tuple(row), (token,), False) for token in (likeliest, (likeliest + 1) % VOCABULARY)]
    assert [answer.greedy for answer in answered(model, requests)] == [True, False]


def test_a_long_text_is_truncated_on_the_left_and_counted():
    model = tiny()
    encode = Encoder(model)
    requests = [encode(*pair) for pair in TEXTS]
    assert [request.truncated for request in requests] == [False] * 5 + [True, True]
    assert max(len(request.inputs) for request in requests) == LENGTH
    assert requests[5].targets == tuple(model.tokenizer(" happy")["input_ids"])
    assert len(requests[6].targets) == LENGTH


def test_choices_of_one_token_share_a_row(monkeypatch):
    model = tiny()
    widths = []
    forward = likelihood._logits
    monkeypatch.setattr(
        likelihood,
        "_logits",
        lambda model, ids, last: widths.append(list(ids.shape)) or forward(model, ids, last),
    )
    inputs = tuple(range(5, 15))
    requests = [Request(inputs, (7,), False), Request(inputs, (8,), False), Request(inputs[:4], (9,), False)]
    found = answered(model, requests)
    assert widths == [[2, 10]]
    with torch.no_grad():
        logs = model.module(torch.tensor([inputs])).logits[0, -1].log_softmax(-1)
    assert [found[0].log, found[1].log] == pytest.approx([logs[7].item(), logs[8].item()], rel=1e-4)


def test_the_head_computes_only_the_last_positions():
    model = tiny()
    ids = torch.arange(20)[None]
    assert likelihood._logits(model, ids, 3).shape == (1, 3, VOCABULARY)


def test_a_batch_is_bounded_by_its_tokens_and_its_logits(monkeypatch):
    model = tiny()
    requests = [Request(tuple(range(1 + place, 11 + place)), (3,), False) for place in range(30)]
    shapes = []
    forward = likelihood._logits
    monkeypatch.setattr(
        likelihood, "_logits", lambda model, ids, last: shapes.append(len(ids)) or forward(model, ids, last)
    )
    monkeypatch.setattr(likelihood, "TOKENS_AT_ONCE", {"cpu": 120})
    answered(model, requests)
    assert shapes == [12, 12, 6]
    monkeypatch.setattr(likelihood, "LOGITS_AT_ONCE", 4 * VOCABULARY)
    answered(model, requests)
    assert max(shapes[3:]) == 4


def test_a_batch_that_does_not_fit_is_halved(monkeypatch):
    model = tiny()
    requests = [Request(tuple(range(1 + place, 11 + place)), (3,), False) for place in range(20)]
    expected = answered(model, requests)
    forward, most = likelihood._logits, 3

    def narrow(model, ids, last):
        if len(ids) > most:
            raise torch.OutOfMemoryError("no room")
        return forward(model, ids, last)

    monkeypatch.setattr(likelihood, "_logits", narrow)
    assert [answer.log for answer in answered(model, requests)] == pytest.approx(
        [answer.log for answer in expected], rel=1e-4
    )
    most = 0
    with pytest.raises(ModelError, match="A single text of 10 tokens does not fit") as refused:
        answered(model, requests)
    assert refused.value.kind == "memory"


def test_gradients_stay_enabled_in_other_code():
    model = tiny()
    batches = likelihoods(model, [Encoder(model)(*pair) for pair in TEXTS])
    next(batches)
    assert torch.is_grad_enabled()
    batches.close()


class Letters:
    """A tokenizer of single characters that begins a text with the start token, unless it is told not to."""

    bos_token_id, eos_token_id, model_max_length = 1, 2, 10**30

    def __call__(
        self, text: str, add_special_tokens: bool = True, verbose: bool = True
    ) -> dict[str, list[int]]:
        plain = text.replace("^", "\x01")
        return {"input_ids": [1] * add_special_tokens + [ord(letter) for letter in plain]}

    def decode(self, token: int) -> str:
        return "^"


def lettered(longest: int | None = 100) -> Encoder:
    config = SimpleNamespace(max_position_embeddings=longest)
    config.get_text_config = lambda: config
    return Encoder(SimpleNamespace(tokenizer=Letters(), module=SimpleNamespace(config=config)))


def ids(text: str) -> tuple[int, ...]:
    return tuple(map(ord, text))


def test_the_start_token_is_there_exactly_once():
    assert lettered()("ab", " c") == Request((1, *ids("ab ")), ids(" c"), False)
    assert lettered()("^ab", " c").inputs == (1, *ids("ab "))
    assert lettered()("", "abc") == Request((1, *ids("ab")), ids("abc"), False)
    assert lettered()("", "^bc") == Request((1, *ids("b")), ids("bc"), False)


def test_spaces_at_the_end_of_a_text_belong_to_the_continuation():
    assert lettered()("ab  ", "c") == lettered()("ab", "  c")


def test_a_model_without_a_stated_length_takes_2048_tokens():
    assert len(lettered(None)("a" * 3000, "b").inputs) == 2048


def test_texts_need_a_tokenizer_and_empty_ones_a_token_to_begin_with(monkeypatch):
    with pytest.raises(TaskError, match="need a tokenizer"):
        Encoder(SimpleNamespace(tokenizer=None, tokenizer_fault=""))
    monkeypatch.setattr(Letters, "bos_token_id", None)
    monkeypatch.setattr(Letters, "eos_token_id", None)
    with pytest.raises(TaskError, match="no start token"):
        lettered()("", "abc")
