"""What the pages say about a run that is being computed."""

from dataclasses import replace

from engine.jobs.silence import Silence
from engine.recipe import Recipe
from pages.widgets.progress import progress_words
from tests.pages.fakes import run_view


def test_a_worker_that_has_stopped_answering_is_mentioned() -> None:
    running = run_view(Recipe.build(), "running")
    sentence = Silence("The worker *one*", since=0.0).sentence
    words = progress_words(replace(running, message=sentence))
    assert "has not answered since" in words and "continues by itself" in words
    assert "*one*" not in words  # its name is literal
    assert "answered" not in progress_words(running)


def test_a_run_says_where_it_is_computed() -> None:
    running = run_view(Recipe.build(), "running")
    assert progress_words(replace(running, worker="*node 1* · CPU")).endswith(r" · \*node 1\* · CPU")
    assert progress_words(running).endswith(" left")
