"""The report in a real browser without a network: all charts are drawn without requests or console messages,
in the colors of the theme, and of paper when printed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from engine.charts.report import report
from engine.recipe import Recipe
from engine.store.runs import Store
from tests.charts.records import NEUROAL, record
from tests.charts.reports import hostile

MINUTE = 60_000
RUNS = {
    "plain": record(),
    "search": record(**NEUROAL),
    "2:4": record(pruner="wanda-dsnot", pattern="2:4"),
    "hostile": hostile(),
}
BACK = "getComputedStyle(document.body).backgroundColor"


@dataclass
class Watched:
    """A page, its requests, and its console messages."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def opened(self, file: Path) -> Page:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-drawn]", state="attached")
        return self.page


@pytest.fixture
def offline(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, offline=True)
    yield context
    context.close()


@pytest.mark.parametrize("name", RUNS)
def test_all_charts_are_drawn_from_the_file_alone(offline: BrowserContext, tmp_path: Path, name: str) -> None:
    file, text = tmp_path / "report.html", report(RUNS[name])
    file.write_text(text, encoding="utf-8")
    watched = Watched(offline.new_page())
    page = watched.opened(file)
    plots = page.locator(".plot").count()
    assert plots == text.count('class="plot"') >= 4
    for place in range(plots):
        box = page.locator(".plot").nth(place).locator(".main-svg").first.bounding_box()
        assert box is not None and box["width"] > 300 and box["height"] > 100
        assert page.locator(".plot").nth(place).locator(".trace, .hm, .point").count() > 0
    assert page.title().endswith("· Prunescope") and page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 1440
    assert watched.requests == [file.as_uri()] and watched.messages == []


def test_it_follows_the_theme_and_prints_on_white(offline: BrowserContext, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(report(RUNS["plain"]), encoding="utf-8")
    page = offline.new_page()
    page.emulate_media(color_scheme="dark")
    Watched(page).opened(file)
    inks = [_ink_as_the_text(page)]
    assert _brightness(inks[0]) > 200 and _brightness(page.evaluate(BACK)) < 50
    page.emulate_media(color_scheme="light")
    inks.append(_ink_as_the_text(page))
    assert _brightness(inks[1]) < 50 and _brightness(page.evaluate(BACK)) > 200
    page.emulate_media(color_scheme="dark", media="print")
    inks.append(_ink_as_the_text(page))
    assert inks[2] == "rgb(0, 0, 0)" and _brightness(page.evaluate(BACK)) > 200
    assert len(set(inks)) == 3
    expect(page.get_by_role("region", name="Recipe as JSON")).to_be_visible()


@pytest.mark.parametrize("width", [900, 400])
def test_a_narrow_window_does_not_scroll_sideways(
    offline: BrowserContext, tmp_path: Path, width: int
) -> None:
    file = tmp_path / "report.html"
    file.write_text(report(RUNS["search"]), encoding="utf-8")
    page = offline.new_page()
    page.set_viewport_size({"width": width, "height": 900})
    Watched(page).opened(file)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_tables_open_and_a_chart_is_saved(offline: BrowserContext, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(report(RUNS["plain"]), encoding="utf-8")
    watched = Watched(offline.new_page())
    page = watched.opened(file)
    figure = page.get_by_role("figure", name="Sparsity per linear, %")
    table = figure.get_by_role("table")
    expect(table).to_be_hidden()
    figure.get_by_text("Table", exact=True).click()
    expect(table).to_be_visible()
    figure.locator(".plot").hover()
    with page.expect_download() as download:
        figure.locator(".modebar-btn").first.click()
    assert download.value.suggested_filename == "sparsity.svg"
    assert watched.messages == []


def test_from_the_page_of_a_run_to_the_file(
    browser: Browser, offline: BrowserContext, address: str, tmp_path: Path
) -> None:
    """Open a recorded run, download its report, and open that without a network."""
    store = Store(tmp_path / "another")
    recorded = [
        run
        for run in store.recorded
        if run.recipe and run.recipe.pruner == "wanda" and run.state == "finished"
    ]
    run = next(
        run
        for run in recorded
        if run.recipe
        and run.recipe.allocation == "uniform"
        and run.recipe.sparsity == Recipe.build().sparsity
    )
    context = browser.new_context(viewport={"width": 1440, "height": 1200})
    page = context.new_page()
    page.set_default_timeout(MINUTE)
    page.goto(f"{address}/?run={run.key}")
    button = page.get_by_role("button", name=re.compile(r"Report \(html, [\d.]+ MB\)"))
    button.scroll_into_view_if_needed()
    with page.expect_download() as download:
        button.click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    context.close()
    assert file.name == f"{run.key}.html" and file.read_text(encoding="utf-8") == report(
        store.find(run.key).record()
    )
    watched = Watched(offline.new_page())
    expect(watched.opened(file).get_by_role("heading", level=1)).to_have_text(run.title)
    assert watched.requests == [file.as_uri()] and watched.messages == []


def _ink_as_the_text(page: Page) -> str:
    """Return the color of the text, once the charts have it too."""
    colour: str = page.evaluate("getComputedStyle(document.body).color")
    for title in page.locator(".plot .xtitle").all():
        expect(title).to_have_css("fill", colour)
    return colour


def _brightness(colour: str) -> float:
    """Return the mean of red, green and blue of `rgb(...)`."""
    channels = [float(value) for value in re.findall(r"[\d.]+", colour)[:3]]
    return sum(channels) / 3
