"""The papers that a recipe's methods come from, and a paper as BibTeX: only fields that are known, nothing
made up.
"""

from __future__ import annotations

from engine.pruning import papers
from engine.pruning.pattern_choices import PERMUTATIONS
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.registry import Paper

AXES = ("score", "allocation", "update", "refinement")
SMALL = ("a", "an", "the")


def cited(recipe: Recipe) -> list[Paper]:
    """The papers of the pruner and of the method on each axis, each once."""
    chosen = [PRESETS[recipe.pruner].paper] if recipe.pruner else []
    chosen += [recipe.methods[axis].paper for axis in AXES]
    if recipe.permutation is not None:
        chosen.append(PERMUTATIONS[recipe.permutation].paper)
    if recipe.mask_pattern.group_width is not None:
        chosen.append(papers.SEMI_STRUCTURED)
    return list(dict.fromkeys(paper for paper in chosen if paper is not None))


def bibtex(paper: Paper) -> str:
    """A paper as a BibTeX entry, in UTF-8. Where it appeared counts more than its preprint."""
    fields = {"title": f"{{{paper.title}}}"}
    if paper.authors:
        fields["author"] = " and ".join(paper.authors)
    if paper.venue:
        fields["booktitle"] = paper.venue.name
    fields["year"] = str(_year(paper))
    if paper.arxiv:
        fields |= {"eprint": paper.arxiv, "archivePrefix": "arXiv"}
    if paper.url:
        fields["url"] = paper.url
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@{'inproceedings' if paper.venue else 'misc'}{{{_key(paper)},\n{lines}\n}}"


def _key(paper: Paper) -> str:
    """First author, year, first word of the title that says something: `sun2024simple`."""
    words = ("".join(filter(str.isalnum, word)) for word in paper.title.lower().split())
    family = "".join(filter(str.isalnum, paper.authors[0].split(",")[0].lower())) if paper.authors else ""
    return f"{family}{_year(paper)}{next(word for word in words if word not in SMALL)}"


def _year(paper: Paper) -> int:
    return paper.venue.year if paper.venue else paper.year
