"""Learn as students and teachers use it: a lesson by hand, its link in another browser, locked controls."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.layout import NARROW, expect_drawn, expect_to_fit


def metric(page: Page, name: str) -> str:
    return page.get_by_test_id("stMetric").filter(has_text=name).get_by_test_id("stMetricValue").inner_text()


def weight(page: Page, place: int) -> object:
    """Return the button of a weight, numbered in row-major order."""
    return page.locator(f".st-key-by_hand-removed-{place} button")


def test_a_lesson_from_the_list_to_the_next_lesson(new_tab: Callable[..., Page], address: str) -> None:
    page = new_tab(**NARROW)
    page.goto(f"{address}/learn")
    expect(page.get_by_text("Lesson 4")).to_be_visible()
    expect_to_fit(page)
    expect_accessible(page)
    page.get_by_role("button", name="Prune a matrix by hand").click()
    expect(page.get_by_text("Weights removed", exact=True)).to_be_visible()
    expect_to_fit(page)
    expect_accessible(page)
    expect_drawn(page)
    for count, place in enumerate((3, 12, 60), start=1):
        weight(page, place).click()
        expect(page.get_by_text(f"{count} of 64", exact=True)).to_be_visible()
    expect_drawn(page)
    weight(page, 12).focus()
    page.keyboard.press("Enter")  # restored by the keyboard
    expect(page.get_by_text("2 of 64", exact=True)).to_be_visible()
    error = metric(page, "Output error")
    assert error != "0.0 %"

    page.get_by_role("button", name="Next: The inputs").click()
    costs = page.get_by_text("Output error when only this weight is removed")
    expect(page.get_by_text("The weights and the strengths of their inputs")).to_be_visible()
    assert not costs.count()
    page.get_by_text("because its input is twenty times as strong").click()
    expect(costs).to_be_visible()
    page.get_by_role("button", name="Next: Three scores").click()
    page.get_by_role("button", name="Next: Leaderboard").click()
    expect(page.get_by_text("Can you improve your mask?")).to_be_visible()
    expect(page.get_by_test_id("stMetric").filter(has_text="Output error")).to_contain_text(error)

    query = parse_qs(urlparse(page.url).query)
    assert (query["step"], query["q.by_hand.cost"]) == (["leaderboard"], ["b"])
    other = new_tab()
    other.goto(page.url)
    expect(other.get_by_text("2 of 64", exact=True)).to_be_visible()
    assert metric(other, "Output error") == error

    page.get_by_role("button", name="Next lesson: One outlier feature").click()
    expect(page.get_by_role("heading", name="One outlier feature")).to_be_visible()
    assert parse_qs(urlparse(page.url).query) == {"lesson": ["outlier"]}
    expect(page.get_by_role("button", name=re.compile("Next: "))).to_be_visible()
    expect_to_fit(page)
    assert not page.get_by_text("Traceback").count()


def test_a_control_is_in_the_address_and_a_teacher_can_lock_it(page: Page, address: str) -> None:
    page.goto(f"{address}/learn?lesson=survivors&step=columns")
    slider = page.get_by_role("slider", name="Columns done")
    expect(slider).to_be_visible()
    expect_drawn(page)
    slider.focus()
    for _ in range(3):
        slider.press("ArrowRight")
    expect(page.get_by_text("After column 4 of 8")).to_be_visible()
    expect(page).to_have_url(re.compile(r"survivors\.columns=4"))
    page.goto(f"{page.url}&lock=all")
    expect(page.get_by_text("After column 4 of 8")).to_be_visible()
    expect(page.get_by_text("A teacher has locked the controls")).to_be_visible()
    expect(page.get_by_role("button", name="Next: All columns together")).to_be_disabled()
    page.get_by_text("None.", exact=True).click()
    expect(page.get_by_text("There is no column to its right")).to_be_visible()
    expect_to_fit(page)


def test_the_bundled_model_has_an_outlier_feature(new_tab: Callable[..., Page], address: str) -> None:
    page = new_tab(**NARROW)
    page.goto(f"{address}/learn?lesson=outlier&step=model")
    page.get_by_text("in many layers it is the same one").click()
    expect(
        page.get_by_text(re.compile(r"Feature \d+ is the strongest input of \d+ of the 56 linears"))
    ).to_be_visible()
    expect(page.locator(".js-plotly-plot")).to_have_count(2)
    expect_to_fit(page)


@pytest.mark.parametrize(
    "place",
    [
        "groups&step=neighbours&q.groups.neighbours=b",
        "symmetric&q.symmetric.rows=c",
        "swapping&step=swaps&q.swapping.real=b",
        "explosion&step=time",
    ],
)
def test_a_lesson_fits_in_a_narrow_window(new_tab: Callable[..., Page], address: str, place: str) -> None:
    page = new_tab(**NARROW)
    page.goto(f"{address}/learn?lesson={place}")
    expect(page.get_by_text(re.compile(r"Step \d of \d"))).to_be_visible()
    expect_to_fit(page)


def test_a_formula_goes_from_step_to_step_and_with_the_link(
    new_tab: Callable[..., Page], address: str
) -> None:
    page = new_tab(**NARROW)
    page.goto(f"{address}/learn?lesson=invent&step=formula&q.invent.b=c")
    field = page.get_by_role("textbox", name="Your formula")
    expect(field).to_be_visible()
    expect_drawn(page)
    expect_to_fit(page)
    field.fill("abs(W) * A")
    expect(page.get_by_text("the nearest name is a")).to_be_visible()
    field.fill("abs(W) * a")
    expect(page.get_by_text("The same mask as that of Wanda.")).to_be_visible()
    page.get_by_role("button", name="× b", exact=True).click()
    expect(field).to_have_value("abs(W) * a * b")
    page.get_by_role("button", name="Next: A local win").click()
    expect(page.get_by_text("Better than Wanda")).to_be_visible()
    expect(page).to_have_url(re.compile("step=local"))
    page.reload()  # another session, which knows the address only
    expect(field).to_have_value("abs(W) * a * b")
