"""What pages do with the classes on Learn. A class is meant for a shared server, so visitors of a public app
may do all of it; its operator limits the number of classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from engine.jobs import messages
from engine.jobs.messages import message
from engine.lessons.classroom import ClassView
from engine.store.classes import MOST_CLASSES, Classes

if TYPE_CHECKING:
    from engine.jobs.public import PublicMode


class ClassMessages:
    """The classes as pages use them. Each message returns the class as the session that asks may see it, and
    raises ClassError if there is no such class or it refuses.

    Attributes:
        classes: the classes.
        visitor: returns the identity of the session whose message is being answered.
        public: the rights of visitors; None if the app is its user's own.
    """

    classes: Classes
    visitor: Callable[[], str]
    public: PublicMode | None

    @message(messages.classes_on)
    def create_class(self, name: str, guided: bool = True) -> str:
        """Create a class and return the teacher's code, which nothing returns again."""
        most = self.public.policy.classes if self.public else MOST_CLASSES
        return self.classes.create(name, self.visitor(), guided=guided, most=most)

    @message(messages.anyone)
    def find_class(self, name: str) -> ClassView | None:
        """Return the class without taking part; None if there is no such class."""
        return self.classes.find(name, self.visitor())

    @message(messages.anyone)
    def attend_class(self, name: str) -> ClassView:
        """Note that the session's page is open."""
        return self.classes.attend(name, self.visitor())

    @message(messages.anyone)
    def answer_question(self, name: str, question: str, choice: int) -> ClassView:
        """Count the session's answer in place of its earlier one."""
        return self.classes.answer(name, self.visitor(), question, choice)

    @message(messages.anyone)
    def enter_class(self, name: str, code: str) -> ClassView:
        """Make the session a teacher's, if the code is right."""
        return self.classes.enter(name, self.visitor(), code)

    @message(messages.anyone)
    def set_steps(self, name: str, steps: Iterable[str], opened: bool) -> ClassView:
        """Open or lock steps for all students; for teachers."""
        return self.classes.set_steps(name, self.visitor(), steps, opened)

    @message(messages.anyone)
    def reveal_answer(self, name: str, question: str) -> ClassView:
        """Show the explanation of a question to all students; for teachers."""
        return self.classes.reveal(name, self.visitor(), question)

    @message(messages.anyone)
    def clear_class(self, name: str) -> ClassView:
        """Delete all counts of a class; for teachers."""
        return self.classes.clear(name, self.visitor())
