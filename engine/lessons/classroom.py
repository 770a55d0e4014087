"""A class that takes the lessons together: how many students chose which answer, which steps are open, and
which answers are revealed.

Students have no names. A student is a session of the server, which is known only while the app runs; what is
stored (`ClassState`) holds counts only. Each session has one answer per question before the answer is
revealed to it and one after, so changing an answer moves its count.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
import unicodedata
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.errors import ClassError
from engine.events import Facts
from engine.numbers import plural

MOST_STUDENTS = 300
MOST_CHANGES = 30  # answers of one session per minute
MOST_CODES = 5  # wrong codes of one session per minute
MOST_PLACES = 500  # questions, and steps, that one class knows
MINUTE = 60.0
PRESENT = 10.0  # seconds since a session was last seen during which it counts as present
AWAY = 600.0  # seconds after which a session gives up its place if the class is full

NAME = re.compile(r"[^\W_][\w-]{0,39}")
PLACE = re.compile(r"[a-z0-9_]{1,40}\.[a-z0-9_]{1,40}")
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Of the codes: 32, without those that look alike, so that 12 of them are 60 random bits."""

Phase = Literal["before", "after"]


class Tally(Facts):
    """The answers to one question: how many sessions chose each choice, before and after the reveal."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    def moved(self, phase: Phase, old: int | None, new: int) -> Tally:
        """Return the counts after a session has chosen `new` in place of `old`, None if it had no answer."""
        counts = list(getattr(self, phase))
        counts += [0] * (new + 1 - len(counts))
        counts[new] += 1
        if old is not None:
            counts[old] -= 1
        return self.model_copy(update={phase: tuple(counts)})

    def totals(self) -> tuple[int, int]:
        """Return the number of answers before and after the reveal."""
        return sum(self.before), sum(self.after)


class ClassState(Facts):
    """What is stored of a class.

    Attributes:
        name: its name as it is shown.
        code: the SHA-256 digest of the teacher's code. A slow hash would add nothing: the code is random.
        guided: whether the teacher opens the steps and reveals the answers. Otherwise all steps are open and
            an answer is revealed to a session when it has chosen.
        steps: whether a step `LESSON.STEP` is open, where the teacher has decided it.
        revealed: the questions that are revealed to everyone.
        tallies: the answers by question, `LESSON.QUESTION`.
        changed: Unix time of the last change.
    """

    name: str
    code: str
    guided: bool = True
    steps: dict[str, bool] = {}
    revealed: frozenset[str] = frozenset()
    tallies: dict[str, Tally] = {}
    changed: float = 0.0


@dataclass(frozen=True)
class ClassView:
    """A class as one session may see it.

    Attributes:
        name: its name.
        guided: as in `ClassState`.
        teaches: whether the session is a teacher's.
        ticket: what the session's open page asks with, outside of the session; see `session_of`.
        version: changes whenever the pages of the students have to be drawn again.
        changes: changes with the version and with every answer.
        ballot: names the session's answer fields. It changes when the class is cleared and with the session,
            so that what a browser still holds for an earlier one is not counted again.
        present: the number of students whose page is open.
        chosen: the session's latest answer by question.
        totals: the number of answers before and after the reveal, by question.
        tallies: the distributions, for teachers only.
    """

    name: str
    guided: bool
    teaches: bool
    ticket: str
    version: int
    changes: int
    ballot: str
    present: int
    chosen: Mapping[str, int]
    totals: Mapping[str, tuple[int, int]]
    steps: Mapping[str, bool]
    revealed: frozenset[str]
    tallies: Mapping[str, Tally]

    def describe(self, question: str) -> str:
        """Return a line about the class with the number of answers to a question, or to all if it is empty:
        `Class NAME: 23 answers so far`.
        """
        totals = [self.totals.get(question, (0, 0))] if question else list(self.totals.values())
        before, after = (sum(counts) for counts in zip(*totals, strict=True)) if totals else (0, 0)
        present = f"{plural(self.present, 'student')} present, " if self.teaches else ""
        later = f", {after:,} after the reveal" if after else ""
        return f"Class {self.name}: {present}{plural(before, 'answer')} so far{later}"

    def is_open(self, step: str) -> bool:
        """Return whether students see a step, `LESSON.STEP`."""
        return self.steps.get(step, not self.guided)

    def shows_answer(self, question: str, answered: bool) -> bool:
        """Return whether a session sees the explanation of a question, given whether it has chosen."""
        return question in self.revealed or (answered and not self.guided)


@dataclass
class Student:
    """A session: its answers by phase and question, and monotonic times."""

    seen: float
    ticket: str = field(default_factory=secrets.token_urlsafe)
    answers: dict[tuple[Phase, str], int] = field(default_factory=dict)
    changes: deque[float] = field(default_factory=deque)


class Classroom:
    """A class while the app runs. `now` is monotonic time; the caller serialises the calls."""

    def __init__(self, state: ClassState) -> None:
        self.state = state
        self._version, self._changes, self._round = 1, 0, secrets.token_hex(4)
        self._students: dict[str, Student] = {}
        self._teachers: dict[str, str] = {}  # tickets by session
        self._wrong_codes: dict[str, deque[float]] = {}

    def attend(self, session: str, now: float) -> None:
        """Note that a session's page is open.

        Raises:
            ClassError: the class is full.
        """
        if session not in self._teachers:
            self._student(session, now).seen = now

    def session_of(self, ticket: str) -> str | None:
        """Return the session that a ticket was given to; None if it takes no part any more."""
        tickets = {student.ticket: session for session, student in self._students.items()}
        tickets |= {own: session for session, own in self._teachers.items()}
        return tickets.get(ticket)

    def view(self, session: str, now: float) -> ClassView:
        """Return what a session sees."""
        state, student = self.state, self._students.get(session)
        answers = student.answers if student else {}
        teaches = session in self._teachers
        return ClassView(
            name=state.name,
            guided=state.guided,
            teaches=teaches,
            ticket=self._teachers.get(session) or (student.ticket if student else ""),
            version=self._version,
            changes=self._changes,
            ballot=hashlib.sha256(f"{self._round} {session}".encode()).hexdigest()[:8],
            present=self.present(now),
            # "before" sorts after "after", so the later answer overwrites the earlier one.
            chosen={question: answers[phase, question] for phase, question in sorted(answers, reverse=True)},
            totals={question: tally.totals() for question, tally in state.tallies.items()},
            steps=state.steps,
            revealed=state.revealed,
            tallies=state.tallies if teaches else {},
        )

    def present(self, now: float) -> int:
        """Return the number of students whose page is open."""
        return sum(now - student.seen <= PRESENT for student in self._students.values())

    def answer(self, session: str, question: str, choice: int, now: float) -> None:
        """Count a session's answer in place of its earlier one.

        Args:
            question: `LESSON.QUESTION`.
            choice: the index of the choice, below 26.

        Raises:
            ClassError: the session is a teacher's, changes its answers too often, or the class is full.
        """
        if session in self._teachers:
            raise ClassError("Answers of the teacher are not counted. Open the class's link in another tab.")
        _check_places([question], self.state.tallies)
        if not 0 <= choice < 26:
            raise ClassError("There is no such choice. Choose one of those that the page shows.")
        student = self._student(session, now)
        phase: Phase = "after" if self._is_revealed_to(student, question) else "before"
        old = student.answers.get((phase, question))
        if old == choice:
            return
        if not _admits(student.changes, MOST_CHANGES, now):
            raise ClassError(f"You have answered {MOST_CHANGES} times within a minute. Wait a minute.")
        student.changes.append(now)
        student.answers[phase, question] = choice
        tally = self.state.tallies.get(question, Tally()).moved(phase, old, choice)
        self._change(tallies={**self.state.tallies, question: tally})

    def _is_revealed_to(self, student: Student, question: str) -> bool:
        alone = not self.state.guided and ("before", question) in student.answers
        return alone or question in self.state.revealed

    def enter(self, session: str, code: str, now: float) -> None:
        """Make a session a teacher's.

        Raises:
            ClassError: the code is wrong, or too many wrong ones were tried.
        """
        # Per session only: others' attempts must not lock the teacher out, and 60 bits cannot be guessed.
        self._wrong_codes = {
            each: times for each, times in self._wrong_codes.items() if now - times[-1] <= MINUTE
        }
        wrong = self._wrong_codes.get(session, deque())
        if not _admits(wrong, MOST_CODES, now):
            raise ClassError("Too many wrong codes were entered in this tab. Wait a minute and try again.")
        if not secrets.compare_digest(digest(code), self.state.code):
            wrong.append(now)
            self._wrong_codes[session] = wrong
            raise ClassError(
                "This is not the code of this class. It was shown once, when the class was created. If it is "
                "lost, create a class with another name."
            )
        self._teachers[session] = secrets.token_urlsafe()
        self._students.pop(session, None)

    # What teachers do. Each raises ClassError if the session is not a teacher's.

    def set_steps(self, session: str, steps: Iterable[str], opened: bool) -> None:
        """Open or lock steps, `LESSON.STEP`, for all students."""
        self._require_teacher(session)
        steps = tuple(steps)
        _check_places(steps, self.state.steps)
        self._change(steps={**self.state.steps, **dict.fromkeys(steps, opened)}, redraw=True)

    def reveal(self, session: str, question: str) -> None:
        """Show the explanation of a question to all students; later answers are counted separately."""
        self._require_teacher(session)
        _check_places([question], self.state.revealed)
        self._change(revealed=self.state.revealed | {question}, redraw=True)

    def clear(self, session: str) -> None:
        """Delete all counts and hide the revealed answers; open steps stay open."""
        self._require_teacher(session)
        for student in self._students.values():
            student.answers.clear()
        self._round = secrets.token_hex(4)
        self._change(tallies={}, revealed=frozenset(), redraw=True)

    def _require_teacher(self, session: str) -> None:
        if session not in self._teachers:
            raise ClassError("Only the teacher of this class can do this. Enter the teacher's code first.")

    def _change(self, *, redraw: bool = False, **fields: object) -> None:
        self.state = self.state.model_copy(update={**fields, "changed": time.time()})
        self._version += redraw
        self._changes += 1

    def _student(self, session: str, now: float) -> Student:
        if session not in self._students:
            if len(self._students) >= MOST_STUDENTS:
                self._drop_absent(now)
            self._students[session] = Student(seen=now)
        return self._students[session]

    def _drop_absent(self, now: float) -> None:
        """Forget the sessions that have left; their counts stay."""
        kept = {name: student for name, student in self._students.items() if now - student.seen <= AWAY}
        if len(kept) >= MOST_STUDENTS:
            raise ClassError(f"This class is full: {MOST_STUDENTS} students take part. Ask your teacher.")
        self._students = kept


def class_key(name: str) -> str:
    """Return what identifies a class: its name, regardless of case.

    Raises:
        ClassError: it is not a name for a class.
    """
    normal = unicodedata.normalize("NFKC", name)
    if not NAME.fullmatch(normal):
        raise ClassError(
            "The name of a class has 1 to 40 letters, digits, hyphens and underscores, such as pruning-2026. "
            "Change the name, or check the link."
        )
    return normal.casefold()


def new_code() -> str:
    """Return a random code for a teacher: `K7QF-M2XD-9PLT`."""
    letters = [secrets.choice(LETTERS) for _ in range(12)]
    return "-".join("".join(letters[at : at + 4]) for at in range(0, 12, 4))


def digest(code: str) -> str:
    """Return the digest of a code, regardless of case, spaces and hyphens."""
    return hashlib.sha256(re.sub(r"[\s-]", "", code).upper().encode("utf-8", "replace")).hexdigest()


def _admits(times: deque[float], most: int, now: float) -> bool:
    """Return whether fewer than `most` of the times are of the last minute, and forget older ones."""
    while times and now - times[0] > MINUTE:
        times.popleft()
    return len(times) < most


def _check_places(names: Iterable[str], known: Iterable[str]) -> None:
    """Check names of questions or steps, so that what is stored stays small."""
    names = set(names)
    if not all(map(PLACE.fullmatch, names)) or len(names.union(known)) > MOST_PLACES:
        raise ClassError("There is no such step or question. Reload the page.")
