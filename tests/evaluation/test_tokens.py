"""A text token by token: against a float64 loop over plain lists, against the perplexity that the engine
measures, and by laws.
"""

from collections.abc import Mapping
from math import exp, inf, log
from typing import Any

import pytest
import torch

from engine.analysis import text as text_module
from engine.analysis.text import MOST_TOKENS, Reader
from engine.errors import ModelError, PrunescopeError
from engine.evaluation import perplexity as measured
from engine.evaluation.text_types import GUESSES, Guess, Reading, Token, Writing, first_difference
from engine.evaluation.tokens import compare, hidden_after_blocks, predictions
from engine.hardware.shared_cache import SharedCache
from engine.inputs import dense_model
from engine.models.language_model import LanguageModel
from engine.models.tokenizer import ReadTokenizer
from engine.pruning.weights import BlockWeights, restore
from engine.recipe import Recipe, pin
from engine.run_cache import ModelCache
from engine.store.runs import Store

TEXT = 'One day, a little girl found a red ball. "Oh no," she said, «café» naïve 🙂 end.'
PROMPT = "Once upon a time"
RECIPE = pin(Recipe.build(pruner="wanda", sparsity=0.6))
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ALONE = Writing()


class Letters:
    """Spells a token as a letter."""

    def pieces(self, ids: list[int]) -> list[str]:
        return [LETTERS[number] for number in ids]

    def name(self, number: int) -> str:
        return LETTERS[number]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, BlockWeights]:
    return Store(tmp_path_factory.mktemp("home")).find(RECIPE.key).blocks


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(ModelCache())


def softmax(row: list[float]) -> list[float]:
    most = max(row)
    powers = [exp(value - most) for value in row]
    return [power / sum(powers) for power in powers]


def drawn(seed: int, tokens: int = 5, vocabulary: int = 26) -> torch.Tensor:
    return 3 * torch.randn(tokens, vocabulary, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_losses_divergences_and_predictions_match_a_plain_loop(at_once: int) -> None:
    dense, pruned = drawn(0), drawn(1)
    ids = torch.tensor([3, 1, 4, 1, 5, 9])
    found = compare(Letters(), ids, zip(dense.split(at_once), pruned.split(at_once), strict=True))
    assert found[0] == Token(3, "d", "d") and found[0].gained is None
    for place in range(1, 6):
        first, second, token = (
            softmax(dense[place - 1].tolist()),
            softmax(pruned[place - 1].tolist()),
            found[place],
        )
        assert token.dense == pytest.approx(-log(first[ids[place]]))
        assert token.pruned == pytest.approx(-log(second[ids[place]]))
        assert token.gained == pytest.approx(token.pruned - token.dense)
        assert token.divergence == pytest.approx(
            sum(p * log(p / q) for p, q in zip(first, second, strict=True))
        )
        for shares, mine in ((first, token.expected("dense")), (second, token.expected("pruned"))):
            best = sorted(range(26), key=lambda number: -shares[number])[:GUESSES]
            assert [guess.id for guess in mine] == best
        for guess in token.guesses:
            assert (guess.dense, guess.pruned) == (
                pytest.approx(first[guess.id]),
                pytest.approx(second[guess.id]),
            )
        assert ids[place] in [guess.id for guess in token.guesses]
        assert len({guess.id for guess in token.guesses}) == len(token.guesses)


def test_a_model_compared_with_itself_has_no_divergence() -> None:
    for token in compare(Letters(), torch.arange(6), [(drawn(1), drawn(1))])[1:]:
        assert token.gained == 0 and token.divergence == 0
        assert token.expected("dense") == token.expected("pruned")


def test_the_divergence_is_never_negative() -> None:
    close = drawn(2) + 1e-7 * drawn(3)
    assert all(
        token.divergence >= 0 for token in compare(Letters(), torch.arange(6), [(drawn(2), close)])[1:]
    )


def test_tokens_that_the_dense_model_rules_out_do_not_count() -> None:
    dense = torch.tensor([[0.0, -inf, -inf]])
    token = compare(Letters(), torch.tensor([0, 0]), [(dense, torch.zeros(1, 3))])[1]
    assert token.dense == pytest.approx(0) and token.divergence == pytest.approx(log(3))


def test_predictions_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(PrunescopeError, match="not finite"):
        compare(Letters(), torch.tensor([0, 1]), [(torch.zeros(1, 3), torch.full((1, 3), torch.nan))])


def own_score(model: LanguageModel, ids: torch.Tensor) -> float:
    """The engine's own mean loss of a window."""
    stream = model.record(ids[None], 1)
    for block in model.blocks:
        stream.advance(block)
    return measured.perplexity(model, stream, which="dense").nll


def test_the_mean_loss_is_that_of_the_engines_perplexity(
    reader: Reader, kept: Mapping[int, BlockWeights]
) -> None:
    reading = reader.read(RECIPE, kept, TEXT, ALONE, losses=True)
    model = dense_model(RECIPE)
    ids = torch.tensor([token.id for token in reading.tokens])
    with torch.no_grad():
        assert sum(token.dense for token in reading.tokens[1:]) / (len(ids) - 1) == pytest.approx(
            own_score(model, ids), rel=1e-5
        )
        assert reading.perplexity("dense") == pytest.approx(exp(own_score(model, ids)), rel=1e-4)
        for block in model.blocks:
            restore(block, kept[block.index])
        assert sum(token.pruned for token in reading.tokens[1:]) / (len(ids) - 1) == pytest.approx(
            own_score(model, ids), rel=1e-5
        )
    assert "".join(token.text for token in reading.tokens) == TEXT


def test_losses_match_the_models_own_forward_pass(reader: Reader, kept: Mapping[int, BlockWeights]) -> None:
    """Against the module called as a whole, float64 from the logits on."""
    reading = reader.read(RECIPE, kept, TEXT, ALONE, losses=True)
    ids = torch.tensor([[token.id for token in reading.tokens]])
    with torch.no_grad():
        logs = dense_model(RECIPE).module(input_ids=ids).logits[0].double().log_softmax(-1)
    expected = [-logs[place - 1, ids[0, place]].item() for place in range(1, ids.shape[1])]
    assert [token.dense for token in reading.tokens[1:]] == pytest.approx(expected, abs=1e-4)


@torch.no_grad()
def test_logits_stay_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = dense_model(RECIPE), torch.arange(20)
    monkeypatch.setattr(measured, "LOGITS_AT_ONCE", 6 * model.vocabulary)
    hidden = hidden_after_blocks(model, ids)
    parts = [one.shape[0] for one, _ in predictions(model, ids, hidden, hidden)]
    assert sum(parts) == 19 and max(parts) <= 6


class TestReader:
    def test_each_model_continues_with_its_own_tokens(
        self, reader: Reader, kept: Mapping[int, BlockWeights]
    ) -> None:
        dense, pruned = (
            reader.read(RECIPE, kept, PROMPT, Writing(which, 20), losses=True)
            for which in ("dense", "pruned")
        )
        assert dense.continuation != pruned.continuation
        place = first_difference(dense, pruned)
        assert place is not None and dense.given <= place
        assert [token.id for token in dense.tokens[:place]] == [token.id for token in pruned.tokens[:place]]
        assert dense.tokens[place].id != pruned.tokens[place].id
        for reading, which in ((dense, "dense"), (pruned, "pruned")):
            assert len(reading.tokens) == reading.given + 20
            for token in reading.tokens[reading.given :]:
                assert token.id == token.expected(which)[0].id, "greedy: each is what its model expected most"

    def test_earlier_requests_change_no_answer(
        self, reader: Reader, kept: Mapping[int, BlockWeights]
    ) -> None:
        """One module plays both models in turn, and an answer must not depend on whose turn it was."""
        questions = [
            (PROMPT, Writing(which, 8), losses)
            for which in ("pruned", "dense", "pruned")
            for losses in (True, False)
        ]
        alone: dict[tuple[str, Writing, bool], Reading] = {}
        for question in questions:
            text, writing, losses = question
            if question not in alone:
                fresh = Reader(ModelCache(SharedCache(share=0)))
                alone[question] = fresh.read(RECIPE, kept, text, writing, losses=losses)
            assert reader.read(RECIPE, kept, text, writing, losses=losses) == alone[question]

    def test_a_sampled_text_depends_only_on_its_seed(
        self, reader: Reader, kept: Mapping[int, BlockWeights]
    ) -> None:
        one, again, other = (
            reader.read(RECIPE, kept, PROMPT, Writing("dense", 12, 1.0, seed), losses=False)
            for seed in (0, 0, 1)
        )
        assert one == again and first_difference(one, other) is not None
        assert all(token.gained is None for token in one.tokens) and one.perplexity("dense") is None

    def test_of_runs_with_one_dense_model_it_continues_a_prompt_once(
        self, reader: Reader, kept: Mapping[int, BlockWeights], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written, write = [], text_module.generate

        def note(*asked: Any, **how: Any) -> str:
            written.append(write(*asked, **how))
            return written[-1]

        monkeypatch.setattr(text_module, "generate", note)
        other = RECIPE.model_copy(update={"sparsity": 0.7})
        first, second = (reader.continue_prompt(one, kept, PROMPT, tokens=4) for one in (RECIPE, other))
        assert (first.dense, first.pruned, second.pruned) == tuple(written) and first.dense == second.dense
        again = reader.continue_prompt(RECIPE, kept, PROMPT, tokens=5)
        assert again.dense == written[3] != first.dense, "another question"

    def test_the_dense_model_needs_no_pruned_weights(self, reader: Reader) -> None:
        assert reader.read(RECIPE, None, PROMPT, Writing("dense", 4), losses=False).continuation

    @pytest.mark.parametrize(
        ("text", "writing", "words"),
        [
            ("", ALONE, "fewer than two tokens"),
            ("word " * MOST_TOKENS, ALONE, f"the limit is {MOST_TOKENS}. Shorten it"),
            ("a " * MOST_TOKENS, Writing("pruned", 20), f"the limit is {MOST_TOKENS - 1}"),
        ],
    )
    def test_an_unreadable_text_is_reported(
        self, reader: Reader, kept: Mapping[int, BlockWeights], text: str, writing: Writing, words: str
    ) -> None:
        with pytest.raises(PrunescopeError, match=words):
            reader.read(RECIPE, kept, text, writing, losses=True)

    def test_a_model_without_a_tokenizer_is_reported(
        self, kept: Mapping[int, BlockWeights], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.models.loading.read_tokenizer", lambda _: ReadTokenizer(None, ""))
        with pytest.raises(ModelError, match="no tokenizer"):
            Reader(ModelCache()).read(RECIPE, kept, PROMPT, ALONE, losses=True)

    def test_a_text_may_fill_the_whole_context(
        self, reader: Reader, kept: Mapping[int, BlockWeights], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.analysis.text.MOST_TOKENS", 10)
        reading = reader.read(RECIPE, kept, PROMPT, Writing("pruned", 50), losses=True)
        assert len(reading.tokens) == 10 > reading.given


def told(*ids: int, given: int = 1, gained: float = 0.0) -> Reading:
    return Reading(
        tuple(
            Token(number, LETTERS[number], LETTERS[number], 1.0, 1.0 + gained * place)
            for place, number in enumerate(ids)
        ),
        given,
    )


@pytest.mark.parametrize(
    ("one", "other", "place"),
    [
        ((0, 1, 2), (0, 1, 2), None),
        ((0, 1, 2), (0, 1, 3), 2),
        ((0, 1), (0, 1, 2), 2),
        ((0, 1, 2), (0, 3, 2), 1),
    ],
)
def test_the_first_difference_of_two_texts(
    one: tuple[int, ...], other: tuple[int, ...], place: int | None
) -> None:
    assert first_difference(told(*one), told(*other)) == place == first_difference(told(*other), told(*one))


def test_written_tokens_count_before_predicted_ones() -> None:
    written, given = told(0, 1, 2, 3, given=2, gained=1.0), told(0, 1, 2, 3, given=4, gained=-1.0)
    assert (written.first, written.worst, written.continuation) == (2, 3, "cd")
    assert (given.first, given.worst, given.continuation) == (1, 1, "")
    assert written.perplexity("pruned") == pytest.approx(exp((3.0 + 4.0) / 2)) and given.perplexity(
        "dense"
    ) == pytest.approx(exp(1))


def test_an_overflowing_perplexity_is_infinite() -> None:
    assert Reading((Token(0, "a", "a"), Token(1, "b", "b", 1.0, 2000.0)), 2).perplexity("pruned") == inf


def test_the_likeliest_tokens_are_in_the_models_order() -> None:
    token = Token(
        0,
        "a",
        "a",
        1.0,
        1.0,
        0.1,
        (Guess(0, "a", 0.5, 0.1), Guess(1, "b", 0.2, 0.6), Guess(2, "c", 0.1, 0.2)),
    )
    assert [guess.text for guess in token.expected("dense")] == ["a", "b", "c"]
    assert [guess.text for guess in token.expected("pruned")] == ["b", "c", "a"]
