"""Manage runs as a user does: import, find, compare, name, delete and restore one."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from engine.events import to_line
from engine.recipe import Recipe, pin
from engine.replay import Replay
from engine.store.runs import Store
from tests.browser.accessibility import expect_accessible
from tests.browser.layout import NARROW, expect_drawn, expect_to_fit


def select_run(page: Page, title: str) -> None:
    box = page.get_by_role("combobox", name="Run", exact=True)
    expect(box).to_be_visible()
    expect_drawn(page)
    box.click()
    box.fill(title)
    expect(page.get_by_role("option").first).to_contain_text(title)
    box.press("Enter")  # a click is lost if the list is drawn again between its press and its release


def test_a_run_is_imported_compared_named_deleted_and_restored(
    new_tab: Callable[..., Page], address: str, tmp_path: Path
) -> None:
    file = tmp_path / "colleague.jsonl"
    file.write_text(foreign_run(Store(tmp_path)))
    page = new_tab(**NARROW)
    page.goto(f"{address}/runs")
    expect(page.get_by_test_id("stExpander").first).to_be_visible()
    expect_accessible(page)
    expect_drawn(page)
    page.get_by_text("Import a run", exact=True).click()
    expect_to_fit(page)
    with page.expect_response(re.compile("/upload_file/")):
        page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("The run was imported.")).to_be_visible()
    page.get_by_role("link", name="Compare with another run").click()
    expect(page.get_by_text("Differences and results")).to_be_visible()

    page.goto(f"{address}/runs")
    select_run(page, "(imported)")
    page.get_by_role("textbox", name="Name").fill("The odd one")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The odd one").first).to_be_visible()
    expect_drawn(page)  # a page that is still being drawn closes the popover again
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_test_id("stPopoverBody").get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("1 run is in the trash")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("1 run is in the trash")).to_have_count(0)
    select_run(page, "The odd one")
    expect(page.get_by_role("button", name="Pin", exact=True)).to_be_visible()
    expect_to_fit(page)
    assert not page.get_by_text("encountered an error").count()


def foreign_run(store: Store) -> str:
    """Return the events of a bundled run with the recipe of another, as in a file from a colleague."""
    first, *others = store.find(pin(Recipe.build(sparsity=0.5)).key).events()
    other = pin(Recipe.build(sparsity=0.5, seed=4711))
    changed = {"key": other.key, "recipe": other.model_dump(mode="json")}
    events = [first.model_copy(update=changed), *others]
    assert Replay(events).record(len(events)).key == other.key
    return "".join(to_line(event) + "\n" for event in events)
