"""Learn: the guided lessons, each with something to move and a question to answer before the answer is shown."""

from pages.widgets.learn.frame import draw_contents, draw_lesson
from pages.widgets.learn.lesson import chosen
from pages.widgets.learn.lessons import LESSONS
from pages.widgets.page_setup import enter_through_app

enter_through_app("learn")
lesson, complaint = chosen(LESSONS)
if lesson is None:
    draw_contents(LESSONS, complaint)
else:
    draw_lesson(LESSONS, lesson)
