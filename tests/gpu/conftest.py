"""The device of these tests: a CUDA GPU, or in a dry run (`PRUNESCOPE_TEST_DEVICE=cpu`) the CPU."""

from __future__ import annotations

import os

import pytest
import torch


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Asked only when a test runs, so that collecting these tests does not wake up a GPU."""
    if name := os.environ.get("PRUNESCOPE_TEST_DEVICE"):
        return torch.device(name)
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    return torch.device("cuda")


@pytest.fixture
def cuda(device: torch.device) -> torch.device:
    """The device of a test that makes no sense elsewhere."""
    if device.type != "cuda":
        pytest.skip("needs a CUDA GPU")
    torch.cuda.synchronize(device)
    return device
