"""A text token by token: against a float64 loop over plain lists, against the perplexity that the engine measures, and for odd tokenizers."""

from math import exp, log

import pytest
import torch

from engine.errors import PrunescopeError
from engine.evaluation.perplexity import perplexity
from engine.evaluation.tokens import GUESSES, compare, pieces, predictions
from engine.inputs import dense_model
from engine.jobs.store import Store
from engine.pin import pin
from engine.pruning.weights import restore
from engine.reading import MOST_TOKENS, common_length, continue_dense, encoded, read
from engine.recipe import Recipe

TEXT = 'One day, a little girl found a red ball. "Oh no," she said, «café» naïve 🙂 end.'
RECIPE = pin(Recipe.build(pruner="wanda", sparsity=0.6))


class Bytes:
    """A tokenizer whose tokens are bytes, so that a character may need four of them."""

    bos_token_id = None

    def decode(self, ids: list[int], **_: object) -> str:
        return bytes(ids).decode("utf-8", errors="replace")


class Words:
    """A tokenizer of words of ten letters."""

    def decode(self, ids: list[int], **_: object) -> str:
        return "".join("abcdefghij"[number] for number in ids)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory):
    return Store(tmp_path_factory.mktemp("home")).find(RECIPE.key).kept


def test_pieces_join_to_the_text_and_a_character_belongs_to_its_last_token() -> None:
    ids = list("a🙂é!".encode())
    found = pieces(Bytes(), ids)
    assert found == ["a", "", "", "", "🙂", "", "é", "!"]


def test_a_text_that_ends_in_the_middle_of_a_character_loses_nothing() -> None:
    ids = list("a🙂".encode())[:-1]
    assert "".join(pieces(Bytes(), ids)) == Bytes().decode(ids)


def test_pieces_of_the_bundled_tokenizer_join_to_the_text() -> None:
    model = dense_model(RECIPE)
    ids = encoded(model, TEXT).tolist()
    assert "".join(pieces(model.tokenizer, ids)) == model.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def softmax(row: list[float]) -> list[float]:
    most = max(row)
    powers = [exp(value - most) for value in row]
    return [power / sum(powers) for power in powers]


def test_losses_divergences_and_guesses_are_those_of_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    dense, pruned = torch.randn(6, 10, generator=generator) * 3, torch.randn(6, 10, generator=generator) * 3
    ids = torch.tensor([3, 1, 4, 1, 5, 9])
    found = compare(Words(), ids, dense, pruned)
    assert found[0].gained is None and found[0].text == "d"
    for place in range(1, 6):
        first, second = softmax(dense[place - 1].tolist()), softmax(pruned[place - 1].tolist())
        token = found[place]
        assert token.dense == pytest.approx(-log(first[ids[place]]))
        assert token.pruned == pytest.approx(-log(second[ids[place]]))
        assert token.gained == pytest.approx(token.pruned - token.dense)
        assert token.divergence == pytest.approx(sum(p * log(p / q) for p, q in zip(first, second, strict=True)))
        best = sorted(range(10), key=lambda number: -first[number])[:GUESSES]
        assert [name for name, _ in token.dense_guesses] == ["abcdefghij"[number] for number in best]
        assert [share for _, share in token.dense_guesses] == pytest.approx([first[number] for number in best])


def test_a_model_beside_itself_gains_nothing() -> None:
    logits = torch.randn(4, 10, generator=torch.Generator().manual_seed(1))
    for token in compare(Words(), torch.tensor([0, 1, 2, 3]), logits, logits)[1:]:
        assert token.gained == 0 and token.divergence == 0 and token.dense_guesses == token.pruned_guesses


def test_a_prediction_that_is_certain_is_no_nonsense() -> None:
    dense, pruned = torch.full((2, 3), -1e9), torch.zeros(2, 3)
    dense[:, 0] = 0.0
    token = compare(Words(), torch.tensor([0, 0]), dense, pruned)[1]
    assert token.dense == pytest.approx(0) and token.divergence == pytest.approx(log(3))


def test_the_mean_loss_is_the_perplexity_that_the_engine_measures(kept) -> None:
    model = dense_model(RECIPE)
    ids = encoded(model, TEXT)
    stream = model.record(ids[None], 1)
    for block in model.blocks:
        stream.advance(block)
    reading = read(RECIPE, kept, TEXT)
    assert reading.dense_perplexity == pytest.approx(perplexity(model, stream).perplexity, rel=1e-4)
    for block in model.blocks:
        restore(block, kept[block.index])
    pruned = model.record(ids[None], 1)
    for block in model.blocks:
        pruned.advance(block)
    assert reading.pruned_perplexity == pytest.approx(perplexity(model, pruned).perplexity, rel=1e-4)
    assert predictions(model.module, ids).shape == (len(ids), model.vocabulary)


def test_the_worst_token_is_the_one_that_gained_most(kept) -> None:
    reading = read(RECIPE, kept, TEXT)
    assert reading.tokens[reading.worst].gained == max(token.gained for token in reading.tokens[1:])


def test_a_continuation_is_the_models_own_and_the_dense_one_is_another(kept) -> None:
    prompt = "Once upon a time"
    pruned = read(RECIPE, kept, prompt, tokens=20, losses=False)
    dense = continue_dense(RECIPE, prompt, tokens=20, temperature=0.0, seed=0)
    assert pruned.tokens == () and pruned.continuation and dense.continuation != pruned.continuation
    assert read(RECIPE, kept, prompt, tokens=20, losses=False) == pruned


@pytest.mark.parametrize(("text", "words"), [("", "fewer than two tokens"), ("word " * MOST_TOKENS, "Shorten it")])
def test_a_text_that_cannot_be_read_is_a_sentence(text: str, words: str, kept) -> None:
    with pytest.raises(PrunescopeError, match=words):
        read(RECIPE, kept, text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("the cat sat", "the cat sat", 11),
        ("the cat sat", "the cat ran", 8),
        ("the cat sat", "the car sat", 4),
        ("the cat", "the cat sat", 7),
        ("abc", "abd", 0),
        ("", "abc", 0),
    ],
)
def test_where_two_texts_part(one: str, other: str, same: int) -> None:
    assert common_length(one, other) == same == common_length(other, one)
