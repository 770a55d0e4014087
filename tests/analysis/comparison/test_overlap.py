"""The overlap of masks, against hand-computed values, sets, and chance."""

from random import Random

import pytest
import torch

from engine.analysis.comparison.overlap import overall, overlap, overlaps
from engine.errors import StoreError
from engine.pruning.weights import BlockWeights, PrunedLinear


def mask(text: str) -> torch.Tensor:
    return torch.tensor([[letter == "x" for letter in row] for row in text.split()])


def test_by_hand() -> None:
    found = overlap(0, "up", mask("xx.. x..."), mask("x.x. x..x"))
    assert (found.kept.both, found.kept.either) == (2, 5)
    assert found.kept.share == pytest.approx(2 / 5)
    assert found.removed.share == pytest.approx(3 / 6), "three are gone in both, six in at least one"
    assert found.kept.chance == pytest.approx((3 / 8 * 4 / 8) / (3 / 8 + 4 / 8 - 3 / 8 * 4 / 8))
    assert found.removed.chance == pytest.approx((5 / 8 * 4 / 8) / (5 / 8 + 4 / 8 - 5 / 8 * 4 / 8))


@pytest.mark.parametrize("seed", range(40))
def test_as_sets_say(seed: int) -> None:
    draw = Random(seed)
    shares = draw.random(), draw.random()
    pairs = [(draw.random() < shares[0], draw.random() < shares[1]) for _ in range(draw.randint(1, 60))]
    one, other = ({place for place, pair in enumerate(pairs) if pair[side]} for side in (0, 1))
    everything = set(range(len(pairs)))
    found = overlap(0, "up", *(torch.tensor([[pair[side] for pair in pairs]]) for side in (0, 1)))
    assert found.kept.share == pytest.approx(len(one & other) / len(one | other) if one | other else 1)
    gone = everything - one, everything - other
    assert found.removed.share == pytest.approx(
        len(gone[0] & gone[1]) / len(gone[0] | gone[1]) if gone[0] | gone[1] else 1
    )
    assert 0 <= found.kept.chance <= 1 and 0 <= found.removed.chance <= 1


def test_blind_choices_share_what_chance_says() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.rand(400, 400, generator=generator) < share for share in (0.4, 0.3))
    found = overlap(0, "up", one, other)
    assert found.kept.share == pytest.approx(found.kept.chance, abs=0.005)
    assert found.removed.share == pytest.approx(found.removed.chance, abs=0.005)


def weights(*masks: torch.Tensor) -> dict[int, BlockWeights]:
    return {index: {"up": PrunedLinear(keep)} for index, keep in enumerate(masks)}


def test_a_mask_shares_all_with_itself_and_order_does_not_matter() -> None:
    one, other = weights(mask("xx.. x..."), mask("xxxx")), weights(mask("x.x. x..x"), mask("...x"))
    assert all(found.kept.share == found.removed.share == 1 for found in overlaps(one, one))
    assert overlaps(one, other) == overlaps(other, one)
    whole = overall(overlaps(one, other), "kept")
    assert whole.share == pytest.approx((2 + 1) / (5 + 4))
    assert whole.chance == pytest.approx((12 / 8 + 4 / 4) / (3 + 4 - 12 / 8 + 4 + 1 - 4 / 4)), (
        "counts are added, not shares"
    )
    assert overall(overlaps(one, other), "removed").share == pytest.approx((3 + 0) / (6 + 3))


@pytest.mark.parametrize(
    "other", [weights(mask("xx")), weights(mask("xx"), mask("xxx"))], ids=["fewer blocks", "another size"]
)
def test_masks_of_different_models_are_rejected_with_a_sentence(other: dict[int, BlockWeights]) -> None:
    with pytest.raises(StoreError, match="Choose two runs of the same model"):
        overlaps(weights(mask("xx"), mask("xx")), other)
