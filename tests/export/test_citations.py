"""Papers as BibTeX: what is known, in a form that programs read."""

from __future__ import annotations

import re

import pytest

from engine.export.citations import bibtex, cited
from engine.pruning import papers
from engine.recipe import Recipe
from engine.registry import Paper

ALL = {name: paper for name, paper in vars(papers).items() if isinstance(paper, Paper)}
FIRST = {  # as the papers' own title pages have them
    "MAGNITUDE": ("Han, Song", 4, "1506.02626"),
    "WANDA": ("Sun, Mingjie", 4, "2306.11695"),
    "SPARSEGPT": ("Frantar, Elias", 2, "2301.00774"),
    "SPARSESWAPS": ("Zimmer, Max", 5, "2512.10922"),
    "RIA": ("Zhang, Yingtao", 6, None),
    "MULTIFLOW": ("Farina, Matteo", 6, "2404.05621"),
    "NEUROAL": ("Cunegatti, Elia", 3, "2411.07066"),
    "SYMMETRIC": ("Yi, Kai", 2, "2501.18980"),
    "APT": ("Zhao, Pu", 7, "2410.15567"),
    "DSNOT": ("Zhang, Yuxin", 9, "2310.08915"),
    "OWL": ("Yin, Lu", 13, "2310.05175"),
    "ALPHAPRUNING": ("Lu, Haiquan", 6, "2410.10912"),
    "EVOPRESS": ("Sieberling, Oliver", 4, "2410.14649"),
    "FLAP": ("An, Yongqi", 5, "2312.11983"),
    "STADE": ("Coello de Portugal Mecke, Diego", 6, "2503.22451"),
    "ADMM": ("Boža, Vladimír", 1, "2401.02938"),
    "THANOS": ("Ilin, Ivan", 2, "2504.05346"),
    "ALPS": ("Meng, Xiang", 4, "2406.07831"),
    "SEMI_STRUCTURED": ("Mishra, Asit", 8, "2104.08378"),
}


def fields(entry: str) -> dict[str, str]:
    return dict(re.findall(r"^  (\w+) = \{(.*)\},?$", entry, flags=re.MULTILINE))


@pytest.mark.parametrize("name", ALL)
def test_a_paper_of_a_method_is_cited_in_full(name):
    paper, (first, people, number) = ALL[name], FIRST[name]
    found = fields(bibtex(paper))
    authors = found["author"].split(" and ")
    assert (authors[0], len(authors), found.get("eprint")) == (first, people, number)
    assert all(re.fullmatch(r"[^,{}]+, [^,{}]+", author) for author in authors)
    assert found["title"] == f"{{{paper.title}}}" and found["url"] == paper.url
    assert ("booktitle" in found) == (paper.venue is not None) == bibtex(paper).startswith("@inproceedings{")


@pytest.mark.parametrize("name", ALL)
def test_a_conference_is_not_before_the_paper(name):
    paper = ALL[name]
    assert paper.venue is None or paper.year <= paper.venue.year <= paper.year + 1
    assert fields(bibtex(paper))["year"] == str(paper.venue.year if paper.venue else paper.year)


@pytest.mark.parametrize("name", [name for name, paper in ALL.items() if paper.arxiv])
def test_the_year_is_the_preprint_s(name):
    assert ALL[name].year == 2000 + int(ALL[name].arxiv[:2]), "arXiv's numbers begin with the year"


def test_keys_are_told_apart():
    keys = [re.match(r"@\w+\{([a-z0-9]+),\n", bibtex(paper)).group(1) for paper in ALL.values()]
    assert len(set(keys)) == len(keys) and {"sun2024simple", "boza2024fast"} <= set(keys)


def test_what_is_not_known_is_left_out():
    entry = bibtex(Paper(title="The Work of Nobody", year=1999, link="https://example.org/work"))
    assert (
        entry
        == "@misc{1999work,\n  title = {{The Work of Nobody}},\n  year = {1999},\n  url = {https://example.org/work}\n}"
    )
    assert "eprint" not in bibtex(papers.RIA)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({}, [papers.WANDA]),
        ({"pruner": "apt-sm", "pattern": "2:4"}, [papers.APT, papers.SPARSEGPT, papers.SEMI_STRUCTURED]),
        ({"pruner": "wanda-dsnot", "allocation": "owl"}, [papers.DSNOT, papers.WANDA, papers.OWL]),
        ({"pattern": "2:4", "permutation": "zigzag"}, [papers.WANDA, papers.RIA, papers.SEMI_STRUCTURED]),
        (
            {"pruner": "sparsegpt", "allocation": "neuroal", "settings": {"neuroal.step": "block"}},
            [papers.SPARSEGPT, papers.NEUROAL],
        ),
    ],
)
def test_each_method_s_paper_once(recipe, expected):
    assert cited(Recipe.build(recipe)) == expected
