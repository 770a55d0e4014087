"""One's own runs as a person keeps them: computed, found, named, deleted, taken back; and a colleague's taken
in.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from engine.events import to_line
from engine.recipe import Recipe, pin
from engine.replay import Replay
from engine.store.runs import Store


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1100})
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


def choose(page: Page, title: str) -> None:
    box = page.get_by_role("combobox", name="One run")
    box.click()
    box.fill(title)
    page.get_by_role("option", name=title).first.click()


def test_a_run_is_named_deleted_and_taken_back(page: Page, address: str) -> None:
    page.goto(f"{address}/?samples=9&length=40&seed=5&sparsity=0.44")
    button = page.get_by_role("button", name="Prune", exact=True)
    expect(button).to_be_enabled()
    button.click()
    expect(page.get_by_text("All 8 blocks done")).to_be_visible(timeout=120_000)

    page.goto(f"{address}/runs")
    choose(page, "Wanda 44% on demo")
    page.get_by_role("textbox", name="Name").fill("The odd one")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_text("The odd one").first).to_be_visible()

    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_test_id("stPopoverBody").get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("1 run is in the trash")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("1 run is in the trash")).to_have_count(0)
    choose(page, "The odd one")
    expect(page.get_by_role("button", name="Pin", exact=True)).to_be_visible()


def test_a_colleagues_run_is_taken_in(page: Page, address: str, tmp_path: Path) -> None:
    """Events of a recorded run, as if of another recipe."""
    events = Store(tmp_path).find(pin(Recipe.build(sparsity=0.5)).key).events()
    other = pin(Recipe.build(sparsity=0.5, seed=4711))
    lines = [
        event.model_copy(update={"key": other.key, "recipe": other.model_dump(mode="json")})
        if place == 0
        else event
        for place, event in enumerate(events)
    ]
    assert Replay(lines).record(len(lines)).key == other.key
    file = tmp_path / "colleague.jsonl"
    file.write_text("".join(to_line(event) + "\n" for event in lines))
    page.goto(f"{address}/runs")
    page.get_by_text("Take in a colleague's run").click()
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Take it in").click()
    expect(page.get_by_text("The run is taken in.")).to_be_visible()
    page.get_by_role("link", name="See what differs").click()
    expect(page.get_by_text("In what they differ, and what came of it")).to_be_visible()
    assert not page.get_by_text("encountered an error").count()


def test_nothing_is_wider_than_a_narrow_screen(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 900, "height": 900}, color_scheme="dark")
    page = context.new_page()
    page.goto(f"{address}/runs")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
