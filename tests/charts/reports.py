"""A report as a reader's program sees it: elements, headings, texts and the data of its figures."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

from engine.record import RunRecord
from tests.charts.records import record

HOSTILE = "<img src=x onerror=\"document.title='taken'\">\"'&</script><script>document.title='taken'</script>"
VOID = {"meta", "img", "br", "hr", "link", "input"}


@dataclass
class Element:
    """An element with what stands in it."""

    name: str
    attributes: dict[str, str]
    parents: tuple[str, ...] = ()
    parts: list[str] = field(default_factory=list)

    @cached_property
    def text(self) -> str:
        return "".join(self.parts)


@dataclass
class Reader(HTMLParser):
    """Reads a page into its elements, in order; fails where one is not closed."""

    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        found = Element(
            name,
            {key: value or "" for key, value in attributes},
            tuple(element.name for element in self.open),
        )
        self.elements.append(found)
        if name not in VOID:
            self.open.append(found)

    def handle_startendtag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(name, attributes)
        if name not in VOID:
            self.handle_endtag(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop().name == name

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.parts.append(data)

    def all(self, name: str) -> list[Element]:
        return [element for element in self.elements if element.name == name]

    def one(self, name: str) -> Element:
        (found,) = self.all(name)
        return found

    @property
    def figures(self) -> dict[str, dict[str, Any]]:
        """The figures' data by name."""
        data = (
            element for element in self.all("script") if element.attributes.get("type") == "application/json"
        )
        return {
            element.attributes["id"].removeprefix("figure-"): json.loads(element.text) for element in data
        }


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def expect_nothing_loaded(page: Reader) -> None:
    for element in page.elements:
        assert "src" not in element.attributes and "srcset" not in element.attributes
        assert element.name not in {"link", "iframe", "object", "embed", "img", "base"}
        assert "href" not in element.attributes or element.name == "a"
    style = page.one("style").text
    assert "url(" not in style and "@import" not in style and "http" not in style
    assert "url(" not in "".join(element.attributes.get("style", "") for element in page.elements)
    (policy,) = [
        item.attributes["content"]
        for item in page.all("meta")
        if item.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none';") and "http" not in policy and "*" not in policy


def expect_order_and_names(page: Reader) -> None:
    """Headings are in order; ids, regions and charts have names of their own, and links lead to ids."""
    levels = [int(item.name[1]) for item in page.elements if re.fullmatch(r"h[1-6]", item.name)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(deeper <= level + 1 for level, deeper in pairwise(levels))
    names = [item.attributes["id"] for item in page.elements if "id" in item.attributes]
    assert len(names) == len(set(names))
    labelled = [item for item in page.elements if "aria-labelledby" in item.attributes]
    assert all(item.attributes["aria-labelledby"] in names for item in labelled)
    regions = [
        item.attributes["aria-label"] for item in page.elements if item.attributes.get("role") == "region"
    ]
    assert len(regions) == len(set(regions))
    inside = [item.attributes["href"] for item in page.all("a") if item.attributes["href"].startswith("#")]
    assert inside and all(link[1:] in names for link in inside)
    plots = [item.attributes["id"] for item in page.all("div") if item.attributes.get("class") == "plot"]
    assert sorted(plots) == sorted(f"plot-{name}" for name in page.figures)


def expect_one_drawing_library(page: Reader) -> None:
    assert len([item for item in page.all("script") if len(item.text) > 1_000_000]) == 1


def expect_no_foreign_markup(page: Reader) -> None:
    """Nothing of `HOSTILE` has become an element or an attribute."""
    scripts = [item for item in page.all("script") if "type" not in item.attributes]
    assert page.all("img") == [] and len(scripts) == 2
    assert {key for item in page.elements for key in item.attributes if key.startswith("on")} == set()


def hostile(found: RunRecord | None = None) -> RunRecord:
    """A run whose model, linears and warnings are named by someone who wishes ill."""
    found = found or record()
    assert found.recipe and found.model and found.environment
    model = found.model.model_copy(update={"name": HOSTILE, "architecture": HOSTILE})
    renamed = [_renamed(block.linears) for block in found.blocks]
    shapes = tuple(map(_renamed, model.linears))
    changes: dict[str, object] = {
        "recipe": found.recipe.model_copy(update={"model": HOSTILE}),
        "model": model.model_copy(update={"linears": shapes}),
        "environment": found.environment.model_copy(update={"device_name": HOSTILE}),
        "blocks": tuple(
            block.model_copy(update={"linears": new})
            for block, new in zip(found.blocks, renamed, strict=True)
        ),
        "warnings": (HOSTILE,),
    }
    return found.model_copy(update=changes)


def _renamed(linears: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        one.model_copy(update={"name": HOSTILE}) if one.name == "mlp.down_proj" else one for one in linears
    )
