"""The blocks of a run: packed for a file, unpacked and restored, for every type of linear."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from engine.jobs import worker
from engine.models.block import Block, Linear
from engine.pruning.weights import BlockWeights, PrunedLinear, restore
from engine.store.blocks import Blocks, pack, unpack

SHAPES = [(1, 1), (1, 7), (1, 8), (1, 9), (3, 5), (7, 13), (8, 8), (16, 129), (250, 3)]


def random_mask(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) > 0.5


def block(*linears: Linear) -> Block:
    return Block(0, "layers.0", nn.Module(), {linear.name: linear for linear in linears})


def make(kind: str, rows: int, columns: int, dtype: torch.dtype = torch.float32) -> Linear:
    torch.manual_seed(1)
    module = Conv1D(rows, columns) if kind == "conv1d" else nn.Linear(columns, rows)
    nn.init.normal_(module.weight)
    return Linear(kind, f"layers.0.{kind}", module.to(dtype), transposed=kind == "conv1d")


def assert_same(left: BlockWeights, right: BlockWeights) -> None:
    assert left.keys() == right.keys()
    for name, pruned in left.items():
        assert right[name].keep.dtype == torch.bool and torch.equal(right[name].keep, pruned.keep)
        if pruned.weight is None:
            assert right[name].weight is None
        else:
            assert right[name].weight.dtype == pruned.weight.dtype and torch.equal(
                right[name].weight, pruned.weight
            )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16, torch.float16])
def test_round_trip_through_a_file(shape: tuple[int, int], dtype: torch.dtype | None) -> None:
    weight = None if dtype is None else torch.randn(shape).to(dtype)
    weights = {
        "self_attn.q_proj": PrunedLinear(random_mask(*shape), weight),
        "mlp.up.mask": PrunedLinear(random_mask(*shape, 1)),
    }
    assert_same(weights, unpack(load(save(pack(weights)))))


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_masks_of_one_value(shape: tuple[int, int], value: bool) -> None:
    weights = {"it": PrunedLinear(torch.full(shape, value))}
    assert_same(weights, unpack(pack(weights)))


def test_an_empty_block_packs_to_nothing() -> None:
    assert unpack(pack({})) == {}


def test_eight_entries_per_byte_lowest_bit_first() -> None:
    keep = torch.tensor(
        [[True, False, False, True, False], [True, False, False, False, True]]
    )  # 1001 0100, 01 in reading order
    tensors = pack({"it": PrunedLinear(keep)})
    assert tensors["it.mask"].dtype == torch.uint8
    assert tensors["it.mask"].tolist() == [0b00101001, 0b10]
    assert tensors["it.shape"].tolist() == [2, 5]


def test_a_transposed_weight_and_mask_survive() -> None:
    weights = {"it": PrunedLinear(random_mask(5, 9).T, torch.randn(5, 9).T)}
    assert_same(weights, unpack(load(save(pack(weights)))))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["linear", "conv1d"])
def test_restore_masks_the_dense_weight(kind: str, dtype: torch.dtype) -> None:
    linear, keep = make(kind, 5, 9, dtype), random_mask(5, 9)
    dense, parameter, bias = linear.weight.clone(), linear.module.weight, linear.module.bias.detach().clone()
    restore(block(linear), unpack(pack({kind: PrunedLinear(keep)})))
    assert torch.equal(linear.weight, torch.where(keep, dense, 0))
    assert not linear.weight[~keep].signbit().any(), "a removed weight is 0, not -0"
    assert linear.module.weight is parameter and parameter.shape == ((9, 5) if kind == "conv1d" else (5, 9))
    assert torch.equal(linear.module.bias, bias)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["linear", "conv1d"])
def test_restore_writes_new_weights(kind: str, dtype: torch.dtype) -> None:
    linear, keep = make(kind, 5, 9, dtype), random_mask(5, 9)
    new = (torch.randn(5, 9) * keep).to(dtype)
    restore(block(linear), unpack(pack({kind: PrunedLinear(keep, new)})))
    assert torch.equal(linear.weight, new) and linear.weight.dtype == dtype


def test_the_restored_weight_is_used_in_the_forward_pass() -> None:
    inputs, keep = torch.randn(4, 9), random_mask(5, 9)
    for kind in ("linear", "conv1d"):
        linear = make(kind, 5, 9)
        expected = inputs @ torch.where(keep, linear.weight, 0).T + linear.module.bias
        restore(block(linear), {kind: PrunedLinear(keep)})
        torch.testing.assert_close(linear.module(inputs), expected)


def test_restoring_is_idempotent() -> None:
    linear, keep = make("linear", 5, 9), random_mask(5, 9)
    restore(block(linear), {"linear": PrunedLinear(keep)})
    once = linear.weight.clone()
    restore(block(linear), {"linear": PrunedLinear(keep)})
    assert torch.equal(linear.weight, once)


def test_a_linear_without_an_entry_stays_dense() -> None:
    touched, untouched = make("linear", 5, 9), make("conv1d", 5, 9)
    dense = untouched.weight.clone()
    restore(block(touched, untouched), {"linear": PrunedLinear(random_mask(5, 9))})
    assert torch.equal(untouched.weight, dense)


def test_a_block_that_is_not_there_yet_is_a_sentence_for_the_user_and_a_missing_key(tmp_path: Path) -> None:
    # A page may ask for a run's weights while the run is computed again.
    blocks = Blocks(tmp_path)
    answer = worker.call(lambda: blocks[1])
    assert answer.message.startswith("The weights of block 1 of this run are not here")
    assert blocks.get(1) is None
