"""Learn: guided lessons, each with controls to try and a question to answer before the answer is shown."""

from pages.widgets.learn.classroom.membership import join_class
from pages.widgets.learn.layout import draw_contents, draw_lesson
from pages.widgets.learn.lesson import lesson_in_address
from pages.widgets.learn.lessons import LESSONS
from pages.widgets.page_setup import enter_through_app

enter_through_app("learn")
join_class()
# No engine here: importing it takes seconds, and only some steps need it.
lesson, warning = lesson_in_address(LESSONS)
if lesson is None:
    draw_contents(LESSONS, warning)
else:
    draw_lesson(LESSONS, lesson)
