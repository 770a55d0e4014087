"""The placement that a run takes is the one that the estimate promises, and the fastest that fits."""

from __future__ import annotations

import pytest

from engine.cost.estimate import estimate
from engine.cost.footprint import Footprint
from engine.cost.placement import USED, exceeds, fits, placement
from engine.hardware.memory import Capacity
from engine.recipe import Recipe
from tests.cost.shapes import billions

GIGA = 10**9


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("free", [GIGA // 2, 2 * GIGA, 4 * GIGA, 6 * GIGA, 100 * GIGA])
def test_the_estimate_shows_the_placement_of_the_run(device, free):
    recipe = Recipe.build(model="org/model", evaluation=None, samples=128, length=2048)
    summary = billions(device=device, speeds={"cpu": 1e11, "cuda": 1e13})
    capacity = Capacity(host_free=free, device_free=free if device == "cuda" else None, device=device)
    placed, cost = placement(recipe, summary, capacity), estimate(recipe, summary, capacity)
    assert (placed.device, placed.residence, placed.offload) == (cost.device, cost.residence, cost.offload)
    assert (placed.footprint.host, placed.footprint.device) == (cost.host_bytes, cost.device_bytes)
    assert fits(placed.footprint, capacity) == ("does not fit" not in cost.problem)


def test_an_unknown_capacity_gives_the_fastest_placement():
    placed = placement(Recipe.build(model="org/model"), billions(), None)
    assert (placed.residence, placed.offload) == ("resident", False)


def test_exactly_the_usable_share_still_fits():
    assert not exceeds(int(USED * 1000), 1000) and exceeds(int(USED * 1000) + 1, 1000)
    assert not exceeds(None, 1000) and not exceeds(1000, None)
    assert not fits(Footprint(host=1, device=10, parts={}), Capacity(host_free=100, device_free=10))
