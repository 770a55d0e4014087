"""Measuring what a device can do."""

from __future__ import annotations

import torch

from engine.hardware.speed import speed_of


def test_the_number_of_threads_is_restored():
    before = torch.get_num_threads()
    speed_of.cache_clear()
    found = speed_of("cpu", torch.float32, 1)
    assert torch.get_num_threads() == before
    assert found.operations > 1e8 and found.bandwidth > 1e8
