"""A hub model: enter an id, see the cost, download, cancel, resume, prune, evaluate, save, prune again."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.layout import expect_drawn
from tests.hub.server import HubServer

FAST = "samples=4&length=64"


@pytest.fixture
def page(page: Page) -> Iterator[Page]:
    yield page
    assert not page.get_by_text("Traceback").count()


def test_from_a_hub_id_to_a_saved_model_that_is_pruned_again(
    page: Page, hub: HubServer, address: str, short: str
) -> None:
    page.goto(f"{address}/?{FAST}&{short}")
    box = page.get_by_role("combobox", name=re.compile("^Model")).first
    expect(box).to_be_visible()
    expect_drawn(page)  # what is typed into a page that is being drawn can be lost
    box.fill("tiny/large")
    box.press("Enter")
    expect(page.get_by_text("to download").first).to_be_visible()
    expect_drawn(page)  # a click into a page that is being drawn can be lost, too
    hub.bytes_per_second = 200_000
    page.get_by_role("button", name="Prune", exact=True).click()
    expect(page.get_by_text(re.compile(r"Fetching tiny/large: [1-9]"))).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("This run was cancelled")).to_be_visible()
    hub.bytes_per_second = None
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("All 2 blocks done")).to_be_visible()
    assert any(request.range for request in hub.requests if request.path.endswith("model.safetensors")), (
        "the download was not resumed"
    )
    expect(page.get_by_text("Bits per byte:")).to_be_visible()
    page.get_by_role("button", name="Save model as a directory").click()
    expect(page.get_by_text("Saved,")).to_be_visible()
    directory = Path(page.get_by_text(re.compile(r"^/.*/model$")).first.inner_text().strip())
    assert (directory / "README.md").is_file() and (directory / "model.safetensors").is_file()

    page.goto(f"{address}/?{FAST}&{short}&model={directory}&pruner=magnitude")
    expect(page.get_by_role("button", name="Prune", exact=True)).to_be_visible()
    expect_drawn(page)
    page.get_by_role("button", name="Prune", exact=True).click()
    title = f"Magnitude 50% on {directory.parent.name}/model"
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.get_by_text("All 2 blocks done")).to_be_visible()


def test_a_gated_model_links_to_its_terms(page: Page, address: str) -> None:
    page.goto(f"{address}/?{FAST}&model=tiny/gated")
    expect(page.get_by_role("link", name="https://huggingface.co/tiny/gated").first).to_be_visible()
    expect(page.get_by_role("button", name="Prune", exact=True)).to_be_disabled()


def test_a_damaged_file_fails_the_run_with_a_message(page: Page, address: str) -> None:
    page.goto(f"{address}/?{FAST}&model=tiny/damaged")
    start = page.get_by_role("button", name="Prune", exact=True)
    expect(start).to_be_visible()
    expect_drawn(page)
    start.click()
    expect(page.get_by_text("is damaged").first).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
