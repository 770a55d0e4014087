"""A talk by keyboard only, the replay of a run, and what is downloaded of it."""

import re
import secrets
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect

from engine.charts.report import report
from engine.recipe import Recipe, pin
from engine.store.default_talk import default_talk
from engine.store.runs import Store
from engine.store.talk import Talk, View
from engine.store.talks import Talks
from tests.browser import served
from tests.browser.accessibility import expect_accessible
from tests.browser.layout import expect_drawn, expect_to_fit

FOURTH = 4  # a view with a chart
KEY = pin(Recipe.build(pruner="wanda", sparsity=0.6)).key


def test_the_arrow_keys_move_through_the_default_talk(page: Page, address: str) -> None:
    page.goto(f"{address}/present")
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    expect_accessible(page)
    page.get_by_role("button", name="Start").click()
    views = default_talk().views
    for place, view in enumerate(views, start=1):
        expect(page.get_by_text(f"{place} of {len(views)} · {view.title}")).to_be_visible()
        assert not page.get_by_text("encountered an error").count()
        expect(page.get_by_test_id("stSidebar")).to_be_hidden()
        expect_drawn(page)
        if place == FOURTH:
            expect(page.locator(".js-plotly-plot").first).to_be_visible()
            expect_accessible(page)
        if place < len(views):
            page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text(f"{len(views) - 1} of {len(views)}")).to_be_visible()
    expect_drawn(page)
    page.keyboard.press("Escape")
    expect(page.get_by_text(f" of {len(views)} · ")).to_have_count(0)


def test_the_notes_and_the_presented_window_move_together(
    new_tab: Callable[..., Page], context: BrowserContext, address: str
) -> None:
    presented = new_tab()
    presented.goto(f"{address}/present?room={secrets.token_hex(4)}")  # a room remembers the view
    with context.expect_page() as opened:
        presented.get_by_text("Open the notes in another window").click()
    notes = opened.value
    first, second, third = default_talk().views[:3]
    expect(notes.get_by_text("One linear layer, 8 inputs")).to_be_visible()
    expect(notes.get_by_text(second.title)).to_be_visible()  # the next view
    presented.get_by_role("button", name="Start").click()
    expect(notes.get_by_text("not started")).to_have_count(0)
    expect(presented.get_by_text(f"1 of 9 · {first.title}")).to_be_visible()  # from now on it listens to keys
    for window, other, place, view in ((presented, notes, 2, second), (notes, presented, 3, third)):
        expect_drawn(window)
        window.keyboard.press("ArrowRight")
        for each in (window, other):
            expect(each.get_by_text(f"{place} of 9 · {view.title}")).to_be_visible()
    expect(presented).to_have_url(re.compile(f"run={third.parameters['run']}"))
    expect_drawn(notes)
    notes.get_by_role("button", name="Back").click()
    expect(presented.get_by_text(f"2 of 9 · {second.title}")).to_be_visible()
    notes.set_viewport_size({"width": 900, "height": 800})
    cut = "[...document.querySelectorAll('button p, a p')].filter((one) => one.scrollWidth > one.clientWidth)"
    notes.wait_for_function(f"{cut}.length === 0")
    notes.close()
    expect_drawn(presented)
    presented.keyboard.press("Escape")
    expect(presented.get_by_text(" of 9 · ")).to_have_count(0)


def test_views_of_one_page_follow_each_other(browser: Browser, tmp_path: Path) -> None:
    """Compare's widgets own the parameters of its address."""
    limits = ["20 × dense", "3 × dense", None]
    views = [
        View(title=limit or "All", page="compare", parameters={"upto": limit} if limit else {})
        for limit in limits
    ]
    Talks(tmp_path).save(Talk(name="Limits", views=tuple(views)))
    with served.app(tmp_path, {}) as own:
        tab = browser.new_page()
        tab.goto(f"{own}/?talk=Limits&present=1")
        for place, view in enumerate(views, start=1):
            expect(tab.get_by_text(f"{place} of 3 · {view.title}")).to_be_visible()
            expect(tab).to_have_url(f"{own}/{view.link}")
            expect_drawn(tab)
            tab.get_by_text("Pruners and y-axis").click()
            expect(tab.get_by_role("radio", name=limits[place - 1] or "Everything")).to_be_checked()
            expect_drawn(tab)
            tab.keyboard.press("ArrowRight")
        tab.close()


def test_a_replay_reaches_the_end_of_the_run_and_its_charts_and_report_are_downloaded(
    page: Page, address: str, tmp_path: Path
) -> None:
    events = len(Store(tmp_path).find(KEY).events())
    page.goto(f"{address}/?run={KEY}&replay=3")
    expect(page.get_by_text(f"Event 3 of {events}")).to_be_visible()
    page.get_by_role("button", name="Step").click()
    expect(page.get_by_text(f"Event 4 of {events}")).to_be_visible()
    page.get_by_text("16×").click()
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_text(f"Event {events} of {events}")).to_be_visible()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.get_by_role("button", name="Close replay").click()
    expect(page.get_by_text("All 8 blocks done")).to_be_visible()
    expect_to_fit(page)

    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    expect_drawn(page)  # a page that is still being drawn closes the menu again
    for name, signature in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        page.get_by_role("button", name=re.compile("Table")).first.click()
        with page.expect_download() as download:
            page.get_by_role("button", name=name, exact=True).click()
        download.value.save_as(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(signature)

    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile(r"Report \(html, [\d.]+ MB\)")).click()
    assert download.value.suggested_filename == f"{KEY}.html"
    assert download.value.path().read_text(encoding="utf-8") == report(Store(tmp_path).find(KEY).record())
