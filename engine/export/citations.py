"""The papers of a recipe's methods, and a paper as BibTeX with only the fields that are known."""

from __future__ import annotations

import unicodedata

from engine.pruning import papers
from engine.pruning.pattern_choices import BIASES, PERMUTATIONS
from engine.pruning.patterns import is_n_of_m
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.registry import Paper

AXES = ("score", "allocation", "update", "refinement")
ARTICLES = ("a", "an", "the")


def cited(recipe: Recipe) -> list[Paper]:
    """Return the different papers of the pruner and of the method on each axis."""
    chosen = [PRESETS[recipe.pruner].paper] if recipe.pruner else []
    chosen += [recipe.methods[axis].paper for axis in AXES]
    if recipe.permutation is not None:
        chosen.append(PERMUTATIONS[recipe.permutation].paper)
    chosen.append(BIASES[recipe.bias].paper)
    if is_n_of_m(recipe.pattern):
        chosen.append(papers.SEMI_STRUCTURED)
    return list(dict.fromkeys(paper for paper in chosen if paper is not None))


def bibtex(paper: Paper) -> str:
    """Return a paper as a BibTeX entry in UTF-8, with its venue if it has one, else as a preprint."""
    year = paper.venue.year if paper.venue else paper.year
    fields = {"title": f"{{{paper.title}}}"}  # the inner braces keep the capitals
    if paper.authors:
        fields["author"] = " and ".join(paper.authors)
    if paper.venue:
        fields["booktitle"] = paper.venue.name
    fields["year"] = str(year)
    if paper.arxiv:
        fields |= {"eprint": paper.arxiv, "archivePrefix": "arXiv"}
    if paper.url:
        fields["url"] = paper.url
    # The key is the first author, the year and the first word of the title: `sun2024simple`.
    family = _letters(paper.authors[0].split(",")[0]) if paper.authors else ""
    word = next(word for word in map(_letters, paper.title.split()) if word not in ARTICLES)
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@{'inproceedings' if paper.venue else 'misc'}{{{family}{year}{word},\n{lines}\n}}"


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()  # `ž` becomes `z`
    return "".join(filter(str.isalnum, plain.lower()))
