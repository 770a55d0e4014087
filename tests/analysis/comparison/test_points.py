"""Runs as points and curves, protocols, and hand-computed cliffs and leaderboards."""

from dataclasses import replace
from math import inf, log, sqrt

import pytest

from engine.analysis.comparison.differences import ABSENT, differences
from engine.analysis.comparison.leaderboard import budgets, leaderboard
from engine.analysis.comparison.points import cliff, curve, family, points
from engine.analysis.comparison.protocols import by_protocol, finished_runs, protocol, titles
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.record.parts import SparsityFacts
from tests.analysis.comparison.records import DENSE, made


def test_seeds_are_one_point_with_a_spread() -> None:
    runs = [made(value, sparsity=0.5, seed=seed) for seed, value in enumerate((30.0, 32.0, 37.0))]
    (point,) = points(runs)["Wanda"]
    assert point.perplexity == pytest.approx(33)
    assert point.deviation == pytest.approx(sqrt((9 + 1 + 16) / 2))
    assert point.ratio == pytest.approx(33 / DENSE)
    assert [run.recipe.seed for run in point.runs] == [0, 1, 2]


def test_one_seed_has_no_spread() -> None:
    assert points([made(30.0)])["Wanda"][0].deviation is None


def test_points_are_ordered_and_patterns_are_no_part_of_the_line() -> None:
    runs = [
        made(60.0, sparsity=0.7),
        made(40.0, pattern="2:4"),
        made(30.0, sparsity=0.5),
        made(35.0, pattern="4:8"),
    ]
    found = points(runs)["Wanda"]
    assert [(point.shape, point.sparsity) for point in found] == [
        ("unstructured", 0.5),
        ("unstructured", 0.7),
        ("2:4", 0.5),
        ("4:8", 0.5),
    ]
    assert [point.perplexity for point in curve(found)] == [30.0, 60.0]


def test_an_own_run_marks_its_point() -> None:
    assert not points([made(30.0, own=False)])["Wanda"][0].own
    assert points([made(30.0, own=False), made(31.0, seed=1)])["Wanda"][0].own


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": "0" * 16},
        {"samples": 8},
        {"dtype": "bfloat16", "model": "demo", "revision": "x"},
        {"calibration": "wikitext2"},
    ],
    ids=["other evaluation windows", "fewer windows", "another revision", "another text"],
)
def test_runs_of_different_protocols_are_never_put_together(changes: dict[str, str]) -> None:
    groups = by_protocol([made(30.0), made(31.0, sparsity=0.6), made(32.0, **changes)])
    assert [len(runs) for runs in groups.values()] == [2, 1]


def test_the_same_file_under_another_path_is_the_same_model() -> None:
    here, elsewhere = (
        {"model": f"{place}.gguf", "revision": "gguf:0123456789abcdef"} for place in ("/a/x", "y")
    )
    (group,) = by_protocol([made(30.0, **here), made(31.0, sparsity=0.6, **elsewhere)]).values()
    assert len(group) == 2
    other = {**here, "revision": "gguf:0000000000000000"}
    assert len(by_protocol([made(30.0, **here), made(31.0, **other)])) == 2


def test_the_seed_is_no_part_of_the_protocol() -> None:
    assert protocol(made(30.0)) == protocol(made(31.0, seed=9, sparsity=0.9))


def test_only_finished_runs_with_a_perplexity_count() -> None:
    run = made(30.0)
    others = [
        RunRecord(),
        run.record.model_copy(update={"state": "failed"}),
        run.record.model_copy(update={"pruned": None}),
        None,
    ]
    assert [
        one.key for one in finished_runs([(run.record, True), *((record, True) for record in others)])
    ] == [run.key]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_as_it_is_has_its_own_name(name: str) -> None:
    recipe = Recipe.build(pruner=name)
    assert family(recipe) == (recipe.scoring.label or PRESETS[name].title)  # a formula is its own name


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"allocation": "owl"}, "Wanda with OWL"),
        ({"allocation": "neuroal", "settings": {"neuroal.step": "block"}}, "Wanda with NeuroAL (step block)"),
        (
            {"pruner": "sparsegpt", "allocation": "neuroal", "settings": {"neuroal.step": "block"}},
            "SparseGPT with NeuroAL (step block)",
        ),
        ({"group": "layer"}, "Wanda (per layer)"),
        ({"pruner": "ria", "pattern": "2:4", "permutation": "zigzag"}, "RIA (zigzag)"),
        ({"score": "ria", "update": "obs"}, "ria + obs"),
        (
            {"allocation": "manual", "settings": {"manual.ratios": (0.4, 0.6)}},
            "Wanda with Manual (ratios 0.4,0.6)",
        ),
        (
            {"pruner": "sparsegpt", "allocation": "neuroal", "settings": {"neuroal.step": "block"}},
            "SparseGPT with NeuroAL (step block)",
        ),
    ],
)
def test_unusual_settings_are_in_the_name(fields: dict[str, object], name: str) -> None:
    assert family(Recipe.build(fields)) == name


class TestCliff:
    def test_between_two_points_the_logarithm_is_a_line(self) -> None:
        line = curve(points([made(20.0, sparsity=0.5), made(80.0, sparsity=0.7)])["Wanda"])
        found = cliff(line)
        assert found is not None and found.known
        assert found.sparsity == pytest.approx(0.6), (
            "from 1 to 4 times the dense one: twice is half of the way"
        )
        assert found.perplexity == pytest.approx(2 * DENSE)

    def test_the_first_crossing_counts(self) -> None:
        values = {0.1: 21.0, 0.2: 50.0, 0.3: 30.0, 0.4: 90.0}
        found = cliff(points([made(value, sparsity=sparsity) for sparsity, value in values.items()])["Wanda"])
        assert found is not None and 0.1 < found.sparsity < 0.2
        assert found.sparsity == pytest.approx(0.1 + 0.1 * log(40 / 21) / log(50 / 21))

    def test_a_curve_below_twice_the_dense_perplexity_has_no_cliff(self) -> None:
        assert cliff(points([made(21.0, sparsity=0.1), made(39.9, sparsity=0.2)])["Wanda"]) is None
        assert cliff([]) is None

    def test_a_curve_that_begins_beyond_it_says_that_it_is_not_known(self) -> None:
        found = cliff(points([made(90.0, sparsity=0.8)])["Wanda"])
        assert found is not None and not found.known and found.sparsity == 0.8

    def test_the_cliff_before_an_infinite_perplexity_is_at_the_last_finite_point(self) -> None:
        line = points([made(25.0, sparsity=0.5), made(1e300, sparsity=0.6)])["Wanda"]
        assert line[1].ratio < inf
        found = cliff(line)
        assert found is not None and found.sparsity == pytest.approx(0.5, abs=0.001)


class TestLeaderboard:
    families = points(
        [
            made(30.0, sparsity=0.5, seconds=3.0),
            made(45.0, sparsity=0.6),
            made(25.0, sparsity=0.5, pruner="sparsegpt", seconds=4.0),
            made(30.0, sparsity=0.5, pruner="magnitude", seconds=1.0),
            made(40.0, pattern="2:4"),
            made(38.0, pattern="2:4", pruner="ria"),
        ]
    )

    def test_the_best_comes_first_and_equals_share_a_place(self) -> None:
        board = leaderboard(self.families, "0.5")
        assert (board[0].place, board[0].point.family) == (1, "SparseGPT")
        assert sorted((one.place, one.point.family) for one in board[1:]) == [(2, "Magnitude"), (2, "Wanda")]
        assert [one.behind for one in board] == pytest.approx([1, 1.2, 1.2])

    def test_time_is_that_of_pruning_alone(self) -> None:
        assert {one.point.family: one.seconds for one in leaderboard(self.families, "0.5")} == {
            "SparseGPT": 4.0,
            "Wanda": 3.0,
            "Magnitude": 1.0,
        }

    def test_a_pattern_is_a_budget_of_its_own(self) -> None:
        assert [one.point.family for one in leaderboard(self.families, "2:4")] == ["RIA", "Wanda"]

    def test_budgets_are_those_that_two_can_compete_at(self) -> None:
        assert budgets(self.families) == ["0.5", "2:4"]

    def test_a_budget_without_runs_is_an_empty_leaderboard(self) -> None:
        assert leaderboard(self.families, "0.9") == []


class TestDifferences:
    def test_the_same_recipe_differs_in_nothing(self) -> None:
        assert differences(Recipe.build(), Recipe.build(residence="streamed")) == []

    def test_fields_and_parameters_by_their_names(self) -> None:
        found = {
            one.field: (one.one, one.other)
            for one in differences(Recipe.build(), Recipe.build(pruner="symwanda", sparsity=0.6, seed=2))
        }
        assert found["score"] == ("wanda", "symwanda")
        assert found["sparsity"] == ("0.5", "0.6") and found["seed"] == ("0", "2")
        assert found["symwanda.form"][0] == ABSENT and "model" not in found


class TestNames:
    def test_long_values_that_differ_have_different_names(self) -> None:
        ratios = [(0.5, 0.5, 0.5, 0.5, last) for last in (0.4, 0.6)]
        names = {
            family(
                Recipe.build(allocation="manual", settings={"manual.ratios": one, "manual.rescale": "yes"})
            )
            for one in ratios
        }
        assert len(names) == 2

    def test_protocols_with_equal_titles_get_fingerprints(self) -> None:
        one, other = (protocol(made(30.0, fingerprint=letter * 16)) for letter in "ab")
        third = protocol(made(30.0, samples=8))
        found = titles([one, other, third])
        assert list(found.values()) == [one, other, third] and len(found) == 3
        assert next(name for name, its in found.items() if its == third) == third.title
        assert all("[" in name for name, its in found.items() if its in (one, other))

    def test_a_point_has_a_title(self) -> None:
        found = points([made(30.0, sparsity=0.625), made(40.0, pattern="2:4")])["Wanda"]
        assert [point.title for point in found] == ["Wanda 62.5%", "Wanda 2:4"]


def test_the_same_seed_twice_is_one_draw_and_the_first_counts() -> None:
    one, again = made(30.0, tasks=("boolq",)), made(50.0)
    (point,) = points([one, again])["Wanda"]
    assert point.perplexity == 30.0 and point.deviation is None


def test_achieved_is_the_mean_and_unknown_where_one_is() -> None:
    one, other = made(30.0), made(31.0, seed=1)
    assert points([one, other])["Wanda"][0].achieved == pytest.approx(0.49)
    blind = replace(other, record=other.record.model_copy(update={"sparsity": SparsityFacts()}))
    assert points([one, blind])["Wanda"][0].achieved is None
