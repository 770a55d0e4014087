"""A class in real browsers: a teacher opens a step and reveals an answer, two students follow."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, Request, expect

from tests.browser.accessibility import RULES, violations
from tests.browser.layout import NARROW, expect_drawn, expect_to_fit

RIGHT = "It loses all of its weights."
LONG, POLL = 2000, 500  # milliseconds: a while, and between two questions of a part that follows the class


def answer(student: Page, choice: str) -> None:
    expect(student.get_by_text(choice)).to_be_visible()
    expect_drawn(student)  # the step has just been opened, or its answer revealed
    student.get_by_text(choice).click()


def questions(tab: Page) -> list[Request]:
    """Return the requests by which a tab asks for a while what has changed."""
    expect_drawn(tab)
    asked: list[Request] = []
    tab.on("request", lambda request: asked.append(request) if "class-state" in request.url else None)
    tab.wait_for_timeout(LONG)
    assert asked
    return asked


def test_two_students_follow_their_teacher(new_tab: Callable[..., Page], address: str) -> None:
    teacher, ann, bob = new_tab(), new_tab(**NARROW), new_tab()
    teacher.goto(f"{address}/learn?class=journey&teacher=1&lesson=groups")
    teacher.get_by_role("button", name="Create the class").click()
    expect(teacher.get_by_text("0 students present")).to_be_visible()
    for student in (ann, bob):
        student.goto(f"{address}/learn?class=journey&lesson=groups")
        expect(student.get_by_text("has not opened this step yet")).to_be_visible()
    expect(teacher.get_by_text("2 students present")).to_be_visible()

    teacher.get_by_text("Step is open for the class").click()
    for student, choice in ((ann, RIGHT), (bob, "like the other rows")):
        answer(student, choice)
        expect(student.get_by_text("Your answer is counted")).to_be_visible()
    bars = teacher.locator(".st-key-chart-class-groups-row .bartext")
    expect(bars).to_have_text(["1", "1", "0"])
    answer(bob, RIGHT)
    expect(bars).to_have_text(["0", "2", "0"])
    expect_to_fit(ann)

    teacher.get_by_role("button", name="Reveal the answer").click()
    for student in (ann, bob):
        expect(student.get_by_text("Find out how low the sparsity must be")).to_be_visible()
    expect(teacher.get_by_text("✓ It loses all")).to_be_visible()
    answer(ann, "because only these few")
    expect(bars).to_have_text(["0", "2", "0", "0", "0", "1"])
    ann.reload()  # a new session: its answer is counted already
    expect(ann.get_by_text("2 answers so far, 1 after the reveal")).to_be_visible()
    expect(teacher.get_by_role("button", name="Leave the class")).to_be_visible()
    expect_to_fit(teacher)
    for tab, parts in ((teacher, 2), (bob, 1)):  # each has been redrawn for what the teacher did
        assert len(questions(tab)) <= parts * (LONG // POLL + 1)
    assert not [line for tab in (teacher, bob) for line in violations(tab, rules=RULES)]
