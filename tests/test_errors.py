"""An error that leaves a process is copied, and says the same there."""

from __future__ import annotations

import copy

import pytest

from engine.errors import Fault, ModelError, PrunescopeError, PublicModeError, RecipeError, StoreError

ERRORS = [
    RecipeError([Fault("sparsity", "1.5 is too large."), Fault("length", "0 is too small.")]),
    ModelError("It is gated.", kind="gated"),
    PublicModeError("The queue is full.", kind="queue"),
    StoreError("There is no run."),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_copy_is_the_same_error(error: PrunescopeError) -> None:
    other = copy.copy(error)
    assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))
