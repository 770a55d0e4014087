"""Zero-shot tasks on small models, against prompts written out by hand and against lm-eval's own loop;
progress, cancelling, cache, refusals.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from engine.errors import TaskError
from engine.evaluation.tasks import catalogue, evaluate, harness, likelihood
from engine.evaluation.tasks.cache import ResultCache
from engine.evaluation.tasks.catalogue import TASKS
from engine.evaluation.tasks.evaluate import evaluate as run
from engine.evaluation.tasks.local import read
from engine.recipe import Recipe
from engine.run import run as engine_run
from tests.evaluation.task_documents import asked, own, right, short, write
from tests.evaluation.task_models import tiny

lm_eval = pytest.importorskip("lm_eval")
COUNT = 8
WITH_SHORT = [name for name in TASKS if name != "rte"]


@pytest.fixture
def data(tmp_path):
    """A directory with documents of every task."""
    directory = tmp_path / "documents"
    directory.mkdir()
    for name in TASKS:
        write(directory, name, [own(name, number) for number in range(COUNT)])
    return directory


@pytest.fixture
def forwards(monkeypatch) -> list[int]:
    """The batches that the model was asked."""
    seen: list[int] = []
    forward = likelihood._logits
    monkeypatch.setattr(
        likelihood, "_logits", lambda model, ids, last: seen.append(len(ids)) or forward(model, ids, last)
    )
    return seen


def finished(generator):
    """All reports, and the scores."""
    reports = []
    while True:
        try:
            reports.append(next(generator))
        except StopIteration as end:
            return reports, end.value


def plainly(model, text: str, continuation: str) -> tuple[float, bool]:
    """Sum of the continuation's log probabilities, one row at a time."""
    whole, before = model.tokenizer(text + continuation)["input_ids"], len(model.tokenizer(text)["input_ids"])
    row = whole[-(model.module.config.max_position_embeddings + 1) :]
    with torch.no_grad():
        logs = model.module(torch.tensor([row[:-1]])).logits[0].double().log_softmax(-1)
    places = range(len(row) - (len(whole) - before), len(row))
    return sum(logs[place - 1, row[place]].item() for place in places), all(
        logs[place - 1].argmax() == row[place] for place in places
    )


@pytest.mark.parametrize("task", TASKS)
def test_prompts_are_the_published_ones(task, data):
    exam = harness.load(TASKS[task], read(data, TASKS[task]))
    documents = exam.documents(None)
    assert [exam.pairs(number, document) for number, document in enumerate(documents)] == [
        asked(task, number) for number in range(COUNT)
    ]
    assert exam.available == COUNT


@pytest.mark.parametrize("task", WITH_SHORT)
def test_documents_of_both_forms_give_the_same_prompts_and_scores(task, data, tmp_path):
    write(tmp_path, task, [short(task, number) for number in range(COUNT)])
    exam = harness.load(TASKS[task], read(tmp_path, TASKS[task]))
    for number, document in enumerate(exam.documents(None)):
        assert exam.pairs(number, document) == asked(task, number)
        if task != "lambada":
            judged = [
                exam.outcome(
                    number,
                    document,
                    [(float(place == choice), False) for place in range(len(asked(task, number)))],
                )
                for choice in range(len(asked(task, number)))
            ]
            assert judged == [int(choice == right(task, number)) for choice in range(len(judged))]


@pytest.mark.parametrize("task", [name for name in TASKS if name != "lambada"])
def test_choices_are_judged_as_a_plain_computation_judges_them(task, data):
    model = tiny()
    _, (score,) = finished(run(model, [task], limit=None, data=data))
    outcomes = ""
    for number in range(COUNT):
        logs = [plainly(model, *pair)[0] for pair in asked(task, number)]
        outcomes += str(int(logs.index(max(logs)) == right(task, number)))
    assert score.outcomes == outcomes
    assert score.value == outcomes.count("1") / COUNT
    assert (score.task, score.metric, score.examples, score.available) == (task, "acc", COUNT, COUNT)
    assert (
        score.harness == f"lm-eval {lm_eval.__version__}, {TASKS[task].harness}"
        and score.source.startswith(f"{task}.jsonl, SHA-256 ")
    )


def test_a_last_word_is_correct_if_it_is_the_likeliest(tmp_path):
    """Documents whose last word is made to be what the model itself would write, and others."""
    model, documents = tiny(), []
    for number in range(6):
        text, word = f"One day {number} friends went to the big park to play", " with"
        if number % 2:
            with torch.no_grad():
                logits = model.module(torch.tensor([model.tokenizer(text)["input_ids"]])).logits[0, -1]
            spaced = [
                token
                for token in logits.argsort(descending=True)[:1]
                if model.tokenizer.decode(token).startswith(" ")
            ]
            word = model.tokenizer.decode(spaced[0]) if spaced else word
        documents.append({"text": text + word})
    write(tmp_path, "lambada", documents)
    _, (score,) = finished(run(model, ["lambada"], limit=None, data=tmp_path))
    expected = [
        plainly(model, document["text"].rpartition(" ")[0], f" {document['text'].rpartition(' ')[2]}")[1]
        for document in documents
    ]
    assert score.outcomes == "".join(str(int(right)) for right in expected)


def slow_model(model):
    """Our model as lm-eval's own loop wants it, one request at a time."""
    from lm_eval.api.model import TemplateLM

    class Slow(TemplateLM):
        eot_token_id = model.tokenizer.eos_token_id

        def tok_encode(self, string, add_special_tokens=None, **_):
            return model.tokenizer(string)["input_ids"]

        def _loglikelihood_tokens(self, requests, **_):
            return [plainly(model, *pair) for pair, *_ in requests]

        def loglikelihood_rolling(self, requests, disable_tqdm=False):
            raise NotImplementedError

        def generate_until(self, requests, disable_tqdm=False):
            raise NotImplementedError

    return Slow()


def their_loop(lm, task: str, data, limit: int | None, iterations: int):
    """Value, standard error and outcomes as lm-eval's own loop has them."""
    from lm_eval.evaluator import evaluate as loop

    exam = harness.load(TASKS[task], read(data, TASKS[task]))
    name = TASKS[task].harness
    found = loop(lm, {"tasks": {name: exam.harness}, "groups": {}}, limit=limit, bootstrap_iters=iterations)
    outcomes = "".join(
        str(int(sample["acc"]))
        for sample in sorted(found["samples"][name], key=lambda sample: sample["doc_id"])
    )
    return found["results"][name]["acc,none"], found["results"][name]["acc_stderr,none"], outcomes


@pytest.mark.parametrize("task", TASKS)
def test_lm_evals_own_loop_gives_the_same(task, data):
    model = tiny()
    _, (score,) = finished(run(model, [task], limit=6, data=data))
    iterations = 0 if task == "lambada" else 1  # its second measure would be bootstrapped in processes
    value, stderr, outcomes = their_loop(slow_model(model), task, data, 6, iterations)
    assert (score.value, score.outcomes) == (pytest.approx(value), outcomes)
    if iterations:
        assert score.stderr == pytest.approx(stderr)


@pytest.mark.filterwarnings("default")  # the library's, where it is installed
def test_lm_evals_own_model_gives_the_same(data):
    pytest.importorskip("accelerate")
    from lm_eval.models.huggingface import HFLM

    model = tiny()
    theirs = HFLM(pretrained=model.module, tokenizer=model.tokenizer, batch_size=3)
    for task in ("arc_easy", "winogrande"):
        _, (score,) = finished(run(model, [task], limit=None, data=data))
        value, stderr, outcomes = their_loop(theirs, task, data, None, 1)
        assert (score.value, score.stderr, score.outcomes) == (
            pytest.approx(value),
            pytest.approx(stderr),
            outcomes,
        )


def test_a_limit_takes_the_first_examples(data):
    model = tiny()
    scores = {
        limit: finished(run(model, ["piqa"], limit=limit, data=data))[1][0] for limit in (1, 5, None, 1000)
    }
    assert scores[5].outcomes == scores[None].outcomes[:5] and scores[1].stderr is None
    assert scores[None] == scores[1000]
    assert [scores[limit].examples for limit in (1, 5, 1000)] == [1, 5, COUNT] and scores[
        5
    ].available == COUNT
    with pytest.raises(TaskError, match="limit is 0 examples"):
        next(run(model, ["piqa"], limit=0, data=data))


def test_examples_that_are_too_long_are_counted(tmp_path):
    long = own("boolq", 1) | {"passage": "A fox sleeps in the wood all day. " * 20}
    write(tmp_path, "boolq", [own("boolq", 0), long, long])
    _, (score,) = finished(run(tiny(), ["boolq"], limit=None, data=tmp_path))
    assert score.truncated == 2


def test_progress_grows_and_brings_the_score_of_each_task(data, monkeypatch):
    monkeypatch.setattr(evaluate, "PAUSE", 0)
    monkeypatch.setattr(likelihood, "TOKENS_AT_ONCE", {"cpu": 40})
    reports, scores = finished(run(tiny(), ["arc_easy", "rte"], limit=None, data=data))
    for score in scores:
        mine = [report for report in reports if report.task == score.task]
        begun = [report for report in mine if report.total]
        assert mine[0].total == 0 and len(begun) > 4
        assert all(report.total == COUNT for report in begun)
        assert [report.done for report in begun] == sorted(report.done for report in begun) and begun[
            -1
        ].done == COUNT
        assert [report.score for report in mine if report.score] == [score] and mine[-1].score == score
    assert reports[0].task == "arc_easy" and reports[-1].task == "rte"


def test_reports_come_a_few_times_a_second_at_most(data):
    reports, _ = finished(run(tiny(), ["arc_easy"], limit=None, data=data))
    assert len(reports) < 40  # one while loading, one at the end, and what a slow machine adds


def test_closing_stops_before_the_next_batch(data, monkeypatch, forwards):
    monkeypatch.setattr(evaluate, "PAUSE", 0)
    monkeypatch.setattr(likelihood, "TOKENS_AT_ONCE", {"cpu": 1})
    generator = run(tiny(), ["arc_easy"], limit=None, data=data)
    for _ in generator:
        if forwards:
            break
    generator.close()
    assert len(forwards) == 1


def test_a_cached_score_needs_no_forward_pass(data, tmp_path, forwards):
    model, cache = tiny(), ResultCache(tmp_path / "scores", "tiny")
    first = finished(run(model, ["rte", "piqa"], limit=4, data=data, cache=cache))[1]
    asked_before = len(forwards)
    reports, second = finished(run(model, ["piqa", "rte"], limit=4, data=data, cache=cache))
    assert second == first[::-1] and len(forwards) == asked_before > 0
    assert [(report.task, report.done, report.total) for report in reports] == [("piqa", 4, 4), ("rte", 4, 4)]
    for limit, fingerprint in ((5, "tiny"), (4, "another")):
        finished(
            run(model, ["rte"], limit=limit, data=data, cache=ResultCache(tmp_path / "scores", fingerprint))
        )
        assert len(forwards) > asked_before
        asked_before = len(forwards)
    write(data, "rte", [own("rte", number) for number in range(1, COUNT)])
    finished(run(model, ["rte"], limit=4, data=data, cache=cache))
    assert len(forwards) > asked_before


def test_faults_are_found_before_the_first_example(data, forwards):
    (data / "piqa.jsonl").unlink()
    with pytest.raises(TaskError, match=r"no piqa\.jsonl for PIQA"):
        finished(run(tiny(), ["rte", "piqa"], limit=None, data=data))
    with pytest.raises(TaskError, match="no task named 'rta'"):
        finished(run(tiny(), ["rte", "rta"], limit=None, data=data))
    assert not forwards


def test_a_document_that_the_prompt_cannot_use_is_named(data):
    write(data, "arc_easy", [own("arc_easy", 0), own("arc_easy", 1) | {"answerKey": "Z"}])
    with pytest.raises(TaskError, match=r"Example 2 of ARC-easy \(arc_easy\.jsonl"):
        finished(run(tiny(), ["arc_easy"], limit=None, data=data))


def test_documents_of_mixed_kinds_are_rejected(data):
    write(data, "rte", [own("rte", 0), own("rte", 1) | {"sentence1": ["not", "text"]}])
    with pytest.raises(TaskError, match=r"The documents .*rte\.jsonl of RTE cannot be used by lm-eval"):
        finished(run(tiny(), ["rte"], limit=None, data=data))


def test_a_streamed_model_is_refused(data):
    model = tiny()
    model.residence = "streamed"
    with pytest.raises(TaskError, match="streamed from the disk"):
        next(run(model, ["rte"], limit=None, data=data))


def test_a_missing_lm_eval_is_reported_with_how_to_install_it(data, monkeypatch):
    monkeypatch.setattr(catalogue, "find_spec", lambda name: None)
    with pytest.raises(TaskError, match=r"not installed. Install it with `pip install lm-eval=="):
        next(run(tiny(), ["rte"], limit=None, data=data))


def hub(monkeypatch, answer: Callable[..., object]) -> None:
    monkeypatch.setattr("datasets.load_dataset", answer)


def test_without_a_directory_documents_come_from_the_hub(monkeypatch, data):
    from datasets import Dataset

    calls = []

    def answer(path, name, **_):
        calls.append((path, name))
        documents = [own("arc_easy", number) for number in range(COUNT)]
        return {"validation": Dataset.from_list(documents[:1]), "test": Dataset.from_list(documents)}

    hub(monkeypatch, answer)
    _, (score,) = finished(run(tiny(), ["arc_easy"], limit=5))
    assert calls == [("allenai/ai2_arc", "ARC-Easy")]
    assert (score.source, score.available) == ("allenai/ai2_arc, ARC-Easy, test", COUNT)
    assert score.outcomes == finished(run(tiny(), ["arc_easy"], limit=5, data=data))[1][0].outcomes


@pytest.mark.parametrize("task", ["arc_easy", "lambada"])
def test_an_unreachable_hub_is_reported_with_what_to_do(task, monkeypatch):
    def answer(*_, **__):
        raise ConnectionError("Couldn't reach it on the Hub")

    hub(monkeypatch, answer)
    with pytest.raises(
        TaskError,
        match=rf"The examples of {TASKS[task].title} could not .*Couldn't reach it "
        rf".*{task}\.jsonl.*PRUNESCOPE_TASKS",
    ):
        finished(run(tiny(), [task], limit=5))


def test_a_run_whose_tasks_cannot_be_loaded_ends_before_the_pruning(monkeypatch, corpus):
    def answer(*_, **__):
        raise ConnectionError("Couldn't reach it on the Hub")

    hub(monkeypatch, answer)
    recipe = Recipe.build(samples=2, length=16, evaluation=str(corpus), tasks=("arc_easy",), task_limit=2)
    events = list(engine_run(recipe))
    assert "could not be loaded from the hub" in events[-1].message
    kinds = [event.event for event in events]
    assert "block_pruned" not in kinds and kinds.count("fetching") >= 1


def test_tasks_that_are_loaded_already_are_not_loaded_again(monkeypatch, data):
    _, exams = finished(evaluate.prepare(tiny(), ["arc_easy"], limit=4, data=data, caches=[None]))
    monkeypatch.setattr(harness, "load", None)
    _, (score,) = finished(run(tiny(), ["arc_easy"], limit=4, data=data, exams=exams))
    assert score.examples == 4


def test_loading_can_be_cancelled(monkeypatch):
    import threading

    stop = threading.Event()

    def answer(*_, **__):
        stop.wait(20)
        raise ConnectionError("left")

    hub(monkeypatch, answer)
    generator = run(tiny(), ["arc_easy"], limit=5)
    assert [next(generator).total for _ in range(2)] == [0, 0]
    generator.close()
    stop.set()
    for thread in threading.enumerate():
        if thread.name == "load arc_easy":
            thread.join(20)


def test_nothing_is_printed_and_nothing_is_left_behind(data, capfd, caplog):
    import datasets

    datasets.enable_progress_bars()  # other tests in this process may have turned them off
    before = (
        dict(os.environ),
        torch.random.get_rng_state(),
        torch.get_num_threads(),
        logging.getLogger("lm_eval").level,
    )
    finished(run(tiny(), list(TASKS), limit=2, data=data))
    out = capfd.readouterr()
    assert (out.out, out.err, caplog.records) == ("", "", [])
    after = (
        dict(os.environ),
        torch.random.get_rng_state(),
        torch.get_num_threads(),
        logging.getLogger("lm_eval").level,
    )
    assert before[0] == after[0] and before[2:] == after[2:]
    assert not datasets.are_progress_bars_disabled() and torch.is_grad_enabled()


def test_settings_that_the_import_changes_are_restored(monkeypatch):
    chosen, other = harness.SET_BY_IMPORT
    monkeypatch.setenv(chosen, "0")
    monkeypatch.delenv(other, raising=False)
    with harness._kept_environment():
        os.environ[other] = "1"
    assert os.environ[chosen] == "0" and other not in os.environ


def test_a_model_without_a_tokenizer_is_refused(data):
    model = SimpleNamespace(tokenizer=None, tokenizer_fault="")
    with pytest.raises(TaskError, match="need a tokenizer"):
        next(run(model, ["rte"], limit=None, data=data))
