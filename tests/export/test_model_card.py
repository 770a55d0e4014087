"""The model card: valid front matter, the record's numbers, and nothing of the disk it was made on."""

from __future__ import annotations

import json
import re
from math import inf

import pytest
import yaml

from engine import events
from engine.evaluation.tasks.catalogue import TASKS
from engine.events import Event, Score, TaskMeasured, TaskScore
from engine.export.command_line import command
from engine.export.model_card import model_card
from engine.export.redaction import without_paths
from engine.pruning import papers
from engine.recipe import Recipe
from engine.record import RunRecord
from tests.event_samples import BLOCKS, ENVIRONMENT, block_pruned, model_loaded, windows_ready

DENSE, PRUNED = (
    Score(perplexity=value, nll=1.0, tokens=1234, bits_per_byte=bits)
    for value, bits in ((48.125, 0.91), (1055.5, 1.27))
)
FINISHED = events.Finished(coverage=0.6, timings={}, peak_host=None, peak_device=None, elapsed=9.0)
HUB = {"model": "HuggingFaceTB/SmolLM2-135M", "revision": "0123456789abcdef0123456789abcdef01234567"}
OWN = {"model": "/home/somebody/models/secret-project", "calibration": "/home/somebody/texts/mine.txt"}


def recorded(fields=None, texts=("stories",), more: list[Event] | None = None) -> RunRecord:
    """A finished run of a recipe, measured on these texts."""
    recipe = Recipe.build({"evaluation": list(texts), **(fields or {})})
    start = events.RunStarted(
        key=recipe.key,
        recipe=recipe.model_dump(mode="json"),
        started="2025-01-02T03:04:05Z",
        environment=ENVIRONMENT,
    )
    calibration = windows_ready("calibration").model_copy(update={"corpus": recipe.calibration})
    cut = [
        windows_ready("evaluation", seed=None).model_copy(update={"corpus": text})
        for text in recipe.evaluations
    ]
    measured = [events.Evaluated(corpus=text, dense=DENSE, pruned=PRUNED) for text in recipe.evaluations]
    blocks = [block_pruned(index) for index in range(BLOCKS)]
    return RunRecord.fold(
        [start, model_loaded(), calibration, *cut, *blocks, *measured, *(more or []), FINISHED]
    )


def front_matter(card: str) -> dict:
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("---\n")[1])


def section(card: str, title: str) -> str:
    return card.split(f"\n## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def fenced(text: str, language: str) -> str:
    return text.split(f"```{language}\n")[1].split("\n```", maxsplit=1)[0]


def test_the_front_matter_of_a_hub_model_is_what_the_hub_wants():
    found = front_matter(model_card(recorded(HUB)))
    assert (
        found["base_model"] == HUB["model"]
        and found["library_name"] == "transformers"
        and found["pipeline_tag"] == "text-generation"
    )
    assert (found["license"], found["license_name"]) == ("other", "see-base-model")
    assert found["license_link"] == f"https://huggingface.co/{HUB['model']}"
    assert found["tags"][:3] == ["prunescope", "pruning", "sparsity"] and {"wanda", "unstructured"} <= set(
        found["tags"]
    )


@pytest.mark.parametrize("fields", [{}, OWN])
def test_a_model_that_is_not_on_the_hub_has_no_base_there(fields):
    found = front_matter(model_card(recorded(fields)))
    assert "base_model" not in found and "license" not in found and found["library_name"] == "transformers"


@pytest.mark.parametrize("pattern", ["2:4", "4:8"])
def test_tags_that_yaml_might_read_as_numbers_stay_texts(pattern):
    tags = front_matter(
        model_card(recorded({"pruner": "apt-sm", "pattern": pattern, "allocation": "uniform"}))
    )["tags"]
    assert (
        pattern in tags
        and {"apt-sm", "sparsegpt", "mrp"} <= set(tags)
        and len(tags) == len(set(tags))
        and "none" not in tags
    )


@pytest.mark.parametrize("fields", [{}, HUB, OWN, {"pruner": "ria-r2-dsnot", "allocation": "owl"}])
def test_the_same_record_gives_the_same_card(fields):
    record = recorded(fields)
    card = model_card(record)
    assert card == model_card(RunRecord.model_validate_json(record.model_dump_json()))
    assert "None" not in card and "\n\n\n" not in card and card.endswith("\n")


def test_no_path_of_the_machine_is_included():
    warning = events.Noted(message=f"The file {OWN['calibration']} has few documents, {OWN['model']} too.")
    texts = ("stories", "/home/somebody/texts/mine.txt", "/home/somebody/other/held-out.jsonl")
    card = model_card(recorded(OWN, texts, [warning]))
    assert "somebody" not in card and not re.search(r"(?<![\w.:/])/(home|tmp|root|Users)\b", card)
    for name in (
        "`secret-project`",
        "mine.txt",
        "held-out.jsonl",
        "The file mine.txt has few documents, secret-project too.",
    ):
        assert name in card
    assert "Give your own paths for" in card


@pytest.mark.parametrize("place", ["/a/b/own.txt", "C:\\texts\\own.txt", "~/own.txt", "./own.txt"])
def test_of_every_kind_of_path_only_the_name_is_kept(place):
    recipe = Recipe.build().model_copy(
        update={
            "model": place.replace("own.txt", "model"),
            "revision": "abc",
            "evaluation": (place, "stories"),
        }
    )
    found = without_paths(recipe)
    assert (found.model, found.revision, found.evaluation) == ("model", None, ("own.txt", "stories"))


@pytest.mark.parametrize("fields", [{}, HUB, {"pruner": "sparsegpt", "pattern": "2:4"}, {"evaluation": None}])
def test_names_are_left_alone(fields):
    recipe = Recipe.build(fields)
    assert without_paths(recipe) == recipe


def test_results_are_shown_with_their_protocol():
    text = section(model_card(recorded(HUB, ("stories", "wikitext2"))), "Results")
    assert text.count("| 48.12 | 1,055.50 | ") == 2 and text.count(" | 0.9100 | 1.2700 | 1,234 |") == 2
    assert "| stories |" in text and "| wikitext2 |" in text
    assert (
        text.count("exp of the mean negative log likelihood over 4 windows of 16 tokens of") == 2
        and "computed in float32" in text
    )
    assert text.count("fingerprint 0123456789abcdef") == 3 and "seed 7" in text and "all in order" in text


def test_the_identity_of_a_corpus_is_given():
    ready = windows_ready("evaluation", seed=None).model_copy(
        update={"corpus": "c4", "identity": {"source": "allenai/c4", "split": "validation"}}
    )
    record = recorded(HUB)
    record = record.model_copy(
        update={"protocol": record.protocol.model_copy(update={"evaluations": (ready,)})}
    )
    assert "source allenai/c4; split validation; fingerprint" in section(model_card(record), "Results")


def test_tasks_are_given_with_their_errors():
    def measured(which, value):
        facts = {
            "metric": "acc",
            "stderr": 0.05,
            "examples": 100,
            "available": 1838,
            "source": "/data/piqa",
            "harness": "lm-eval",
            "outcomes": "",
        }
        return TaskMeasured(which=which, score=TaskScore(task="piqa", value=value, **facts))

    card = model_card(recorded(HUB, (), [measured("dense", 0.7), measured("pruned", 0.6)]))
    assert f"| {TASKS['piqa'].title} | acc | 70.0 ± 5.0 % | 60.0 ± 5.0 % | 100 | piqa |" in section(
        card, "Results"
    )
    assert "accuracy on PIQA" in section(card, "Limitations")


def test_what_was_not_measured_is_said():
    card = model_card(recorded(HUB, ()))
    assert "Neither perplexity nor tasks were measured." in card and "was measured as nothing" in card


def test_infinite_numbers_are_words():
    record = recorded(HUB)
    broken = record.evaluations[0].model_copy(update={"pruned": Score(perplexity=inf, nll=inf, tokens=9)})
    text = section(model_card(record.model_copy(update={"evaluations": (broken,)})), "Results")
    assert "| 48.12 | not finite | not finite | 0.9100 | — |" in text


def test_the_sparsity_is_given_block_by_block_with_its_coverage():
    text = section(model_card(recorded(HUB)), "Sparsity")
    assert (
        "| 60.000 % (144 of 240) |" in text
        and "| Removed, of all weights | 30.000 % |" in text
        and "embeddings 80, norms 16" in text
    )
    assert [line for line in text.splitlines() if re.match(r"\| \d", line)] == [
        f"| {index} | 50.00 % | 0.{index + 1}000 | 0.99000 |" for index in range(BLOCKS)
    ]


@pytest.mark.parametrize(
    "fields", [{}, HUB, {**HUB, "pruner": "wanda-dsnot", "sparsity": 0.6, "settings": {"dsnot.cycles": 10}}]
)
def test_the_run_can_be_repeated_from_the_card(fields):
    record = recorded(fields)
    text = section(model_card(record), "Repeat it")
    assert fenced(text, "bash") == command(record.recipe)
    assert Recipe.model_validate(json.loads(fenced(text, "json"))) == record.recipe
    assert record.key in text and f"torch {ENVIRONMENT.torch}" in text and ENVIRONMENT.device_name in text


def test_how_to_load_it_is_python():
    code = fenced(section(model_card(recorded()), "Load it"), "python")
    compile(code, "card", "exec")
    assert "AutoModelForCausalLM.from_pretrained" in code


def test_limitations_say_that_zeros_are_stored_and_repeat_the_warnings():
    text = section(
        model_card(recorded(HUB, more=[events.Noted(message="A Hessian was damped.")])), "Limitations"
    )
    assert (
        "zeros are stored like any other number" in text
        and "see base model" in text
        and "perplexity on stories" in text
    )
    assert "- A Hessian was damped." in text


def test_the_papers_of_all_methods_are_cited_once():
    text = fenced(section(model_card(recorded({"pruner": "apt-sm", "pattern": "2:4"})), "Papers"), "bibtex")
    cited = re.findall(r"eprint = \{(.*?)\}", text)
    assert {papers.APT.arxiv, papers.SPARSEGPT.arxiv, papers.SEMI_STRUCTURED.arxiv} == set(cited) and len(
        cited
    ) == len(set(cited))
    assert text.count("\n}") == len(cited) == len(set(re.findall(r"@\w+\{(.*?),", text)))


def test_bars_in_a_cell_are_escaped():
    machine = ENVIRONMENT.model_copy(update={"device_name": "a|b"})
    card = model_card(recorded().model_copy(update={"environment": machine}))
    assert "a\\|b (cpu)" in card


def test_an_empty_record_has_no_card():
    with pytest.raises(ValueError, match="needs a run"):
        model_card(RunRecord())


def test_markup_in_names_and_warnings_is_shown_as_text():
    hostile = "<script>alert(1)</script>"
    machine = ENVIRONMENT.model_copy(update={"device_name": hostile})
    record = recorded(HUB, ("stories",), [events.Noted(message=f"The linear {hostile} was skipped.")])
    card = model_card(record.model_copy(update={"environment": machine}))
    assert "<script" not in card and "The linear &lt;script>" in card
