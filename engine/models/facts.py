"""A model's shape, as validation and the cost estimate need it before a run. Imports no model library, so a page can hold one."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ModelSummary(BaseModel):
    """The shape of a model.

    Attributes:
        parameters: all weights, tied ones once.
        prunable: weights of the linears in the blocks.
        skipped: the other weights by kind.
        sizes: prunable weights of each block.
        shapes: `(out, in)` of each linear, by its path in the model.
        longest: the most tokens it takes, None where it does not say.
        bytes: the weights' size in the dtype they are stored in.
        local: whether it is on this machine's disk already.
        device: the device it would run on by itself.
        speed: floating-point operations a second of a matrix product there, measured when the summary was made.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    architecture: str
    parameters: int
    prunable: int
    skipped: dict[str, int]
    blocks: int
    sizes: tuple[int, ...]
    shapes: dict[str, tuple[int, int]]
    longest: int | None
    bytes: int
    local: bool
    device: str
    speed: float

    @property
    def widths(self) -> dict[str, int]:
        """Input width of each linear, by its path in the model."""
        return {path: columns for path, (_, columns) in self.shapes.items()}
