"""The report in a real browser without a network: charts, requests and console, theme colors, printing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from engine.charts.report import LabelledRun, report, runs_report
from engine.recipe import Recipe, pin
from engine.store.runs import Store
from tests.browser.accessibility import violations
from tests.charts.records import NEUROAL, record
from tests.charts.reports import hostile

RUNS = {
    "search": record(**NEUROAL),
    "2:4": record(pruner="wanda-dsnot", pattern="2:4"),
    "hostile": hostile(),
}
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@dataclass
class MonitoredPage:
    """A page with its recorded requests and console messages."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def open(self, file: Path) -> Page:
        """Record requests and messages, open the file, and wait until all charts are drawn."""
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-drawn]", state="attached")
        return self.page


@pytest.fixture(scope="module")
def offline(browser: Browser) -> Iterator[BrowserContext]:
    """A context without a network; its tabs stay open and share the report's scripts, compiled once."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, offline=True)
    yield context
    context.close()


def expect_all_charts(page: Page, html: str) -> None:
    plots = page.locator(".plot").count()
    assert plots == html.count('class="plot"') >= 4
    for place in range(plots):
        box = page.locator(".plot").nth(place).locator(".main-svg").first.bounding_box()
        assert box is not None and box["width"] > 300 and box["height"] > 100
        assert page.locator(".plot").nth(place).locator(".trace, .hm, .point").count() > 0


@pytest.mark.parametrize("name", RUNS)
def test_all_charts_are_drawn_without_requests(offline: BrowserContext, tmp_path: Path, name: str) -> None:
    file, text = tmp_path / "report.html", report(RUNS[name])
    file.write_text(text, encoding="utf-8")
    monitored = MonitoredPage(offline.new_page())
    page = monitored.open(file)
    expect_all_charts(page, text)
    assert page.title().endswith("· Prunescope") and page.locator("img").count() == 0
    for width in (1440, 900, 400):
        page.set_viewport_size({"width": width, "height": 900})
        expect(page.locator("html")).to_have_js_property("scrollWidth", width)
    assert monitored.requests == [file.as_uri()] and monitored.messages == []


def test_a_section_of_several_runs_opens_offline_and_then_has_its_charts(
    offline: BrowserContext, tmp_path: Path
) -> None:
    file, runs = tmp_path / "runs.html", [LabelledRun(record()), LabelledRun(hostile(), name="<b>Mine</b>")]
    file.write_text(runs_report(runs), encoding="utf-8")
    monitored = MonitoredPage(offline.new_page())
    page = monitored.open(file)
    expect(page.locator("html")).to_have_attribute("data-drawn", "0")  # no two runs of one protocol
    section = page.locator("#run2")
    expect(section).not_to_have_attribute("open", "")
    page.get_by_role("link", name="Wanda").nth(1).press("Enter")
    expect(section).to_have_attribute("open", "")
    expect(section.locator(".plot .main-svg").first).to_be_visible()
    expect(section.get_by_role("heading", level=3)).to_have_text("<b>Mine</b>")
    assert page.locator("#run1 .main-svg").count() == 0, "a closed section is not drawn"
    assert not list(violations(page))
    page.emulate_media(color_scheme="dark")  # only colours differ
    assert not list(violations(page, runOnly=["color-contrast"]))
    for width in (1440, 900):
        page.set_viewport_size({"width": width, "height": 900})
        expect(page.locator("html")).to_have_js_property("scrollWidth", width)
    assert monitored.requests[0] == file.as_uri() and monitored.messages == []
    assert {request.split("#")[0] for request in monitored.requests} == {file.as_uri()}


def test_it_follows_the_theme_and_prints_on_white(offline: BrowserContext, tmp_path: Path) -> None:
    """The report of a bundled run."""
    run = Store(tmp_path / "home").find(pin(Recipe.build(pruner="wanda")).key).record()
    file = tmp_path / "report.html"
    file.write_text(report(run), encoding="utf-8")
    monitored = MonitoredPage(offline.new_page())
    monitored.page.emulate_media(color_scheme="dark")
    page = monitored.open(file)
    expect(page.get_by_role("heading", level=1)).to_have_text("Wanda 50% on demo")
    expect_all_charts(page, file.read_text(encoding="utf-8"))
    assert monitored.requests == [file.as_uri()]

    figure = page.get_by_role("figure", name="Sparsity per linear, %")
    table = figure.get_by_role("table")
    expect(table).to_be_hidden()
    figure.get_by_text("Table", exact=True).click()
    expect(table).to_be_visible()
    figure.locator(".plot").hover()
    with page.expect_download() as download:
        figure.locator(".modebar-btn").first.click()
    assert download.value.suggested_filename == "sparsity.svg"

    colors = [_text_color(page)]
    assert _brightness(colors[0]) > 200 and _brightness(page.evaluate(BACKGROUND)) < 50
    page.emulate_media(color_scheme="light")
    colors.append(_text_color(page))
    assert _brightness(colors[1]) < 50 and _brightness(page.evaluate(BACKGROUND)) > 200
    page.emulate_media(color_scheme="dark", media="print")
    colors.append(_text_color(page))
    assert colors[2] == "rgb(0, 0, 0)" and _brightness(page.evaluate(BACKGROUND)) > 200
    assert len(set(colors)) == 3
    expect(page.get_by_role("region", name="Recipe as JSON")).to_be_visible()
    assert monitored.messages == []


def _text_color(page: Page) -> str:
    """Return the text color once the charts use it too."""
    colour: str = page.evaluate("getComputedStyle(document.body).color")
    for title in page.locator(".plot .xtitle").all():
        expect(title).to_have_css("fill", colour)
    return colour


def _brightness(colour: str) -> float:
    """Return the mean of red, green and blue of `rgb(...)`, 0 to 255."""
    channels = [float(value) for value in re.findall(r"[\d.]+", colour)[:3]]
    return sum(channels) / 3
