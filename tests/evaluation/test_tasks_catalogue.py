"""The catalogue: what a form and a student need to know of a task, without the library that measures it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import TaskError
from engine.evaluation.tasks import catalogue
from engine.evaluation.tasks.catalogue import TASKS, available, chosen
from engine.evaluation.tasks.local import FORMS

ROOT = Path(__file__).parents[2]


def test_the_catalogue_has_the_seven_tasks_of_the_papers_and_two_more():
    seven = ["boolq", "rte", "hellaswag", "winogrande", "arc_easy", "arc_challenge", "openbookqa"]
    assert list(TASKS) == [*seven, "piqa", "lambada"]
    assert {task.metric for task in TASKS.values()} == {"acc"}
    assert set(FORMS) == set(TASKS)


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_each_task_states_its_question_and_chance_level(task):
    assert task.explanation.endswith((".", "?")) and len(task.explanation) < 160
    assert task.paper.url and 0 <= task.chance <= 0.5 and task.examples > 200


def test_unknown_and_repeated_names_are_refused():
    assert [task.title for task in chosen(["piqa", "rte"])] == ["PIQA", "RTE"]
    with pytest.raises(TaskError, match=r"no task named 'arc_esy'\. Did you mean arc_easy"):
        chosen(["rte", "arc_esy"])
    with pytest.raises(TaskError, match="Choose from boolq"):
        chosen(["zzz"])
    with pytest.raises(TaskError, match="rte is named more than once"):
        chosen(["rte", "rte"])


def test_lm_eval_is_looked_up_without_importing_it(monkeypatch):
    monkeypatch.setattr(catalogue, "find_spec", lambda name: None)
    assert not available()
    assert "pip install lm-eval==" in catalogue.INSTALL


def test_forms_and_charts_import_neither_lm_eval_nor_torch():
    light = ", ".join(f"engine.evaluation.tasks.{name}" for name in ("catalogue", "compare", "cache"))
    code = (
        f"import sys; import {light}; heavy = ('lm_eval', 'torch', 'datasets', 'transformers'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr[-2000:]
