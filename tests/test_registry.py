"""The registry, and the description of every method in it."""

from itertools import chain
from math import inf, nan

import pytest

from engine.pruning.axes import AXES
from engine.pruning.presets import PRESETS
from engine.registry import Method, Parameter, Registry

REGISTRIES = {**AXES, "pruner": PRESETS}
METHODS = {
    f"{axis}-{name}": method for axis, registry in REGISTRIES.items() for name, method in registry.items()
}
PARAMETERS = {
    f"{name}.{parameter.name}": parameter
    for name, method in METHODS.items()
    for parameter in method.parameters
}


def method(name: str) -> Method:
    return Method(name=name, title=name.title(), explanation="It does something.")


def parameter(kind: str, default: object = 0, **more: object) -> Parameter:
    return Parameter(name="it", kind=kind, default=default, explanation="what it does", **more)  # type: ignore[arg-type]


def test_a_second_method_with_the_same_name_is_rejected() -> None:
    registry: Registry[Method] = Registry("score")
    first = registry.add(method("wanda"))
    assert registry.add(first) is first  # a module imported twice adds nothing new
    with pytest.raises(ValueError, match="wanda") as error:
        registry.add(method("wanda"))
    assert "score" in str(error.value)
    assert list(registry) == ["wanda"] and registry["wanda"] is first


def test_an_unknown_name_is_answered_with_similar_names() -> None:
    registry: Registry[Method] = Registry("score")
    for name in ("magnitude", "wanda", "sparsegpt"):
        registry.add(method(name))
    assert "wanda" in registry.unknown("wnada") and "magnitude" not in registry.unknown("wnada")
    with pytest.raises(KeyError, match="sparsegpt"):
        registry["spaesegpt"]
    for name in ("magnitude", "wanda", "sparsegpt"):
        assert name in registry.unknown("xyzzy")
    assert "score" in registry.unknown("xyzzy") and "xyzzy" in registry.unknown("xyzzy")


@pytest.mark.parametrize("name", [None, 3, 1.5, ("a",)])
def test_a_name_that_is_not_a_string_is_unknown(name: object) -> None:
    registry: Registry[Method] = Registry("score")
    registry.add(method("wanda"))
    assert name not in registry
    assert "wanda" in registry.unknown(name)


def test_methods_keep_the_order_in_which_they_were_added() -> None:
    registry: Registry[Method] = Registry("score")
    for name in ("c", "a", "b"):
        registry.add(method(name))
    assert list(registry) == ["c", "a", "b"] and len(registry) == 3


def test_the_axes() -> None:
    assert set(AXES) == {"score", "allocation", "update", "refinement"}
    assert all(registry.axis == axis for axis, registry in REGISTRIES.items())
    assert {"magnitude", "wanda", "sparsegpt"} <= set(PRESETS)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_described(name: str) -> None:
    described = METHODS[name]
    assert described.name == described.name.lower().strip() and " " not in described.name and described.name
    assert described.title and described.title[0].isupper()
    assert (
        described.explanation[0].isupper()
        and described.explanation.endswith(".")
        and len(described.explanation.split()) >= 4
    )
    assert described.formula or described.name in PRESETS
    assert described.parameter("no such") is None
    assert all(described.parameter(own.name) is own for own in described.parameters)
    assert len({own.name for own in described.parameters}) == len(described.parameters)


@pytest.mark.parametrize("name", METHODS)
def test_every_paper_has_an_address(name: str) -> None:
    paper = METHODS[name].paper
    if paper is not None:
        assert paper.title and 1985 < paper.year < 2100
        assert paper.url == (
            f"https://arxiv.org/abs/{paper.arxiv}" if paper.arxiv else paper.link
        ) and paper.url.startswith("https://")


@pytest.mark.parametrize("name", list(AXES))
def test_titles_are_unique(name: str) -> None:
    titles = [described.title for described in AXES[name].values()]
    assert len(set(titles)) == len(titles)


def test_names_of_methods_with_parameters_are_unique_across_axes() -> None:
    """`settings` are `method.parameter`: two methods with parameters may not share a name across axes."""
    with_parameters = [
        described.name
        for described in chain(*(axis.values() for axis in AXES.values()))
        if described.parameters
    ]
    assert len(set(with_parameters)) == len(with_parameters)


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_default_is_valid(name: str) -> None:
    described = PARAMETERS[name]
    assert described.fault(described.default) is None
    assert described.explanation and described.name.isidentifier()
    if described.kind == "choice":
        assert described.default in described.choices
    if described.kind in {"int", "float"}:
        assert described.minimum is not None and described.maximum is not None, (
            "forms and the command line show a range"
        )


TYPABLE = [name for name, one in PARAMETERS.items() if one.kind != "ratios" or one.default]
"""An empty list cannot be typed."""


@pytest.mark.parametrize("name", TYPABLE)
def test_every_default_can_be_typed_on_the_command_line(name: str) -> None:
    described = PARAMETERS[name]
    text = ",".join(map(str, described.default)) if described.kind == "ratios" else str(described.default)
    assert described.parse(text) == described.default


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "7", 7),
        ("int", "-3", -3),
        ("float", "0.25", 0.25),
        ("float", "1e-3", 0.001),
        ("float", "3", 3.0),
        ("choice", "yes", "yes"),
        ("ratios", "0.1,0.2", (0.1, 0.2)),
        ("ratios", "0.1, 0.2", (0.1, 0.2)),
        ("ratios", "0.5", (0.5,)),
        ("int", "7.5", "7.5"),  # what does not parse stays as it is, for `fault` to refuse
        ("float", "many", "many"),
        ("ratios", "0.1,,0.2", "0.1,,0.2"),
        ("ratios", "", ""),
    ],
)
def test_parse(kind: str, text: str, value: object) -> None:
    got = parameter(kind, choices=("yes", "no")).parse(text)
    assert got == value and type(got) is type(value)


RANGED = {"minimum": 1, "maximum": 5}


@pytest.mark.parametrize(
    ("described", "value"),
    [
        (parameter("int", **RANGED), 1),
        (parameter("int", **RANGED), 5),
        (parameter("float", **RANGED), 1.0),
        (parameter("float", **RANGED), 3),
        (parameter("float"), -1e300),
        (parameter("choice", "a", choices=("a", "b")), "b"),
        (parameter("ratios", (), **RANGED), (1.0, 5.0)),
        (parameter("ratios", (), **RANGED), [2]),
        (parameter("ratios", ()), ()),
    ],
)
def test_valid_values(described: Parameter, value: object) -> None:
    assert described.fault(value) is None


@pytest.mark.parametrize(
    ("described", "value"),
    [
        (parameter("int", **RANGED), 0),
        (parameter("int", **RANGED), 6),
        (parameter("int", **RANGED), 2.5),
        (parameter("int", **RANGED), "2"),
        (parameter("int", **RANGED), None),
        (parameter("int", **RANGED), True),
        (parameter("int", **RANGED), (1,)),
        (parameter("int", **RANGED), nan),
        (parameter("int", **RANGED), inf),
        (parameter("int"), inf),
        (parameter("float", **RANGED), 5.001),
        (parameter("float", **RANGED), "x"),
        (parameter("float", **RANGED), nan),
        (parameter("float", **RANGED), -inf),
        (parameter("float"), nan),
        (parameter("choice", "a", choices=("a", "b")), "c"),
        (parameter("choice", "a", choices=("a", "b")), None),
        (parameter("choice", "a", choices=("a", "b")), ["a"]),
        (parameter("ratios", (), **RANGED), (1.0, 6.0)),
        (parameter("ratios", (), **RANGED), (nan,)),
        (parameter("ratios", (), **RANGED), 2.0),
        (parameter("ratios", (), **RANGED), "0.1,x"),
        (parameter("ratios", (), **RANGED), (1.0, None)),
    ],
)
def test_invalid_values(described: Parameter, value: object) -> None:
    fault = described.fault(value)
    assert isinstance(fault, str) and len(fault.split()) >= 3


def test_a_fault_names_the_value_and_the_limits() -> None:
    assert all(part in str(parameter("float", **RANGED).fault(7.25)) for part in ("7.25", "1", "5"))
    assert all(
        part in str(parameter("choice", "a", choices=("up", "down")).fault("left"))
        for part in ("left", "up", "down")
    )
