"""The Methods page: complete, drawn only from the registries, and each entry can be tried."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from engine.pruning.axes import AXES
from engine.pruning.pattern_choices import GROUPS, LAYOUTS, PERMUTATIONS
from engine.pruning.patterns import Group
from engine.pruning.recommendations import all_pruners, resolve
from engine.recipe import Recipe
from pages.widgets.explore import address as addresses
from pages.widgets.explore.fields import check, defaults
from pages.widgets.methods.method_card import anchor, one_part_per_line
from pages.widgets.methods.reference import SECTIONS, trial_fields
from pages.widgets.page_setup import PAGE
from tests.pages.conftest import address, healthy, visit, words
from tests.pages.fakes import SUMMARY

REGISTRIES = {"pruner": all_pruners(), **AXES, **LAYOUTS}
ENTRIES = {
    f"{axis} {method.name}": (axis, method)
    for axis, registry in REGISTRIES.items()
    for method in registry.values()
}


@pytest.fixture
def page(engine) -> AppTest:
    """Return the page, opened directly on a fresh server."""
    return visit("methods")


def headings(app):
    return [item.value for item in app.subheader]


def test_every_choice_of_a_recipe_is_listed(page):
    assert page.title[0].value == "Methods"
    assert [item.value for item in page.header] == [SECTIONS[axis].title for axis in REGISTRIES]
    assert headings(page) == [method.title for _, method in ENTRIES.values()]


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_is_complete(name):
    axis, method = ENTRIES[name]
    assert method.explanation.endswith((".", "?")) and method.helps.endswith(".")
    assert axis in ("pruner", "permutation") or method.formula
    assert method.paper is None or method.paper.url
    assert method.paper is not None or not method.sources


def test_the_reference_says_which_papers_could_not_be_read():
    unread = {method.name for _, method in ENTRIES.values() if "be read" in method.sources}
    assert unread == {"thanos", "stade", "evopress", "sparseswaps"}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_formula_has_one_part_per_line(name):
    formula = ENTRIES[name][1].formula
    assert all(part.count("{") == part.count("}") for part in formula.split(r"\quad"))
    assert one_part_per_line(r"a = b, \quad c") == r"\begin{gathered} a = b, \\[0.6em] c \end{gathered}"


def test_the_page_shows_every_entry(page):
    text, formulas = words(page), [item.value.strip("$\n ") for item in page.latex]
    tables = "\n".join(table.value.to_string() for table in page.table)
    for _, method in ENTRIES.values():
        assert method.explanation in text and method.helps in text and method.sources in text
        assert not method.formula or one_part_per_line(method.formula) in formulas
        assert method.paper is None or (str(method.paper.year) in text and str(method.paper.url) in text)
        assert all(f"{method.name}.{parameter.name}" in tables for parameter in method.parameters)
    assert "default 8" in tables and "0.001 to 1" in tables


def test_the_contents_link_to_every_entry(page):
    contents = "\n".join(item.value for item in page.sidebar.markdown)
    anchors = [item.proto.anchor for item in page.subheader]
    assert len(set(anchors)) == len(ENTRIES)
    assert all(f"(#{place})" in contents for place in anchors)
    assert all(f"(#{axis})" in contents for axis in REGISTRIES)


def test_a_pruner_links_to_its_choices(page):
    assert f"score [{AXES['score']['ria'].title}](#{anchor('score', 'ria')})" in words(page)
    assert "pattern 2:4" in words(page)


@pytest.mark.parametrize(
    ("query", "first", "count"),
    [
        ("apt-m", "APT-MM", 2),
        ("NEUROAL", "MultiFlow", None),
        ("2411.07066", None, 0),
        ("zig zag", "Zig-zag", None),
        ("Symmetric Pruning", "StochRIA", None),
    ],
)
def test_the_search(page, query, first, count):
    page.text_input(key="methods.find").set_value(query)
    found = headings(healthy(page.run()))
    assert found[:1] == ([first] if first else []) and len(found) < len(ENTRIES)
    assert count is None or len(found) == count
    assert ("No method has" in words(page) + str([item.value for item in page.info])) == (not found)


def test_a_link_can_search(engine):
    assert 0 < len(headings(visit("methods", **{"methods.find": "Wanda"}))) < len(ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_method_can_be_tried(name):
    axis, method = ENTRIES[name]
    fields, complaints = addresses.read(trial_fields(axis, method), defaults())
    assert not complaints
    recipe = check(fields, SUMMARY if method.name != "manual" else None).recipe
    assert recipe is not None, "the form has errors"
    if axis in AXES:
        assert getattr(recipe, axis) == method.name
    elif axis == "pruner":
        assert recipe.pruner == resolve(method.name, fields).name
    elif axis in ("group", "permutation"):
        assert getattr(recipe, axis) == method.name


def test_the_trial_link_sets_the_method_and_keeps_the_model(page, engine, open_app):
    links = {link.proto.query_string for link in page.get("page_link")}
    assert {
        "pruner=wanda",
        "allocation=neuroal",
        "score=joint&pattern=2%3A4",
        "permutation=zigzag&pattern=2%3A4",
    } <= links
    app = open_app(model="some/model", samples="8").switch_page("pages/methods.py")
    links = {link.proto.query_string for link in healthy(app.run()).get("page_link")}
    assert "model=some%2Fmodel&pruner=wanda" in links


def test_a_visit_to_the_page_keeps_the_form_of_explore(open_app):
    app = open_app(pruner="ria", sparsity="0.65")
    healthy(app.switch_page("pages/methods.py").run())
    app.session_state[PAGE] = "methods"  # as the frame notes, which this driver leaves out
    for name in list(app.query_params):
        del app.query_params[name]
    healthy(app.switch_page("pages/explore.py").run())
    assert address(app) == {"pruner": "ria", "sparsity": "0.65"}


def test_the_listed_groups_and_permutations_are_those_of_a_recipe():
    assert set(GROUPS) == {group.value for group in Group}
    for name in PERMUTATIONS:
        assert Recipe.build(pattern="2:4", permutation=name).permutation == name
    literal = next(
        kind for kind in Recipe.model_fields["permutation"].annotation.__args__ if kind is not type(None)
    )
    assert set(PERMUTATIONS) == set(literal.__args__)
