"""The papers that a recipe's methods come from, and a paper as BibTeX: only fields that are known, nothing made up."""

from __future__ import annotations

from engine.pruning import papers
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.registry import Paper

AXES = ("score", "allocation", "update", "refinement", "permutation")


def cited(recipe: Recipe) -> list[Paper]:
    """The papers of the pruner and of the method on each axis, each once."""
    chosen = [PRESETS[recipe.pruner].paper] if recipe.pruner else []
    chosen += [recipe.methods[axis].paper for axis in AXES if axis in recipe.methods]
    if recipe.pattern != "unstructured":
        chosen.append(papers.SEMI_STRUCTURED)
    return list(dict.fromkeys(paper for paper in chosen if paper is not None))


def bibtex(paper: Paper) -> str:
    """A paper as a BibTeX entry, named by its first word and its number or year; in UTF-8. Where it appeared counts more than its preprint."""
    word = "".join(letter for letter in paper.title.split()[0].split(":")[0].lower() if letter.isalnum())
    fields = {"title": f"{{{paper.title}}}"}
    if paper.authors:
        fields["author"] = " and ".join(paper.authors)
    if paper.venue:
        fields["booktitle"] = paper.venue.name
    fields["year"] = str(paper.venue.year if paper.venue else paper.year)
    if paper.arxiv:
        fields |= {"eprint": paper.arxiv, "archivePrefix": "arXiv"}
    if paper.url:
        fields["url"] = paper.url
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@{'inproceedings' if paper.venue else 'misc'}{{{word}-{paper.arxiv or paper.year},\n{lines}\n}}"
