"""Bytes by format: worked by hand, and counted by writing the formats down for real."""

from __future__ import annotations

import io
import zlib

import pytest
import torch
from scipy.sparse import csr_array

from engine.evaluation import size
from engine.evaluation.size import (
    Compressed,
    LinearCount,
    bitmask_bytes,
    count,
    csr_bytes,
    is_two_of_four,
    packed_bytes,
    sample_share,
    semi_structured_bytes,
    sizes,
)

PACKED = Compressed(dense=90, pruned=60, rest=9, share=1.0)


def mask(*rows: str) -> torch.Tensor:
    """A mask from rows of 1 and 0."""
    return torch.tensor([[letter == "1" for letter in row] for row in rows])


def test_a_float32_linear_worked_by_hand():
    """3 x 8, 10 kept: 24 bits are 3 bytes of mask, 40 of values; rows: 4 pointers of 4, 10 columns of 4; 2:4:
    12 values, 24 bits.
    """
    found = count(mask("10101010", "11001100", "00110000"))
    assert found == LinearCount(rows=3, columns=8, kept=10, two_of_four=True)
    assert bitmask_bytes(found, 4) == 3 + 40
    assert csr_bytes(found, 4) == 40 + 40 + 16
    assert semi_structured_bytes(found, 4) == 48 + 3
    report = sizes([found], dense=24 * 4 + 100, dtype=torch.float32, compressed=PACKED)
    assert (report.dense, report.rest, report.weights, report.kept) == (196, 100, 24, 10)
    assert (report.bitmask, report.csr, report.semi_structured, report.not_semi_structured) == (
        143,
        196,
        151,
        "",
    )
    assert (report.dtype, report.compressed) == ("float32", PACKED)


def test_a_bfloat16_linear_worked_by_hand():
    found = count(mask("10101010", "11001100", "00110000"))
    assert (bitmask_bytes(found, 2), csr_bytes(found, 2), semi_structured_bytes(found, 2)) == (
        3 + 20,
        20 + 40 + 16,
        24 + 3,
    )


def test_bits_are_rounded_up_to_whole_bytes_in_each_linear():
    odd = count(mask("11111", "00000"))  # 10 bits
    assert bitmask_bytes(odd, 4) == 2 + 20
    report = sizes([odd, odd], dense=80, dtype=torch.float32, compressed=PACKED)
    assert report.bitmask == 2 * 22 and report.rest == 0
    assert semi_structured_bytes(LinearCount(1, 4, 2, True), 2) == 4 + 1  # 4 bits


def test_format_sizes_are_those_of_tensors_stored_in_them():
    weight = torch.randn(12, 20, generator=torch.Generator().manual_seed(0))
    weight[weight.abs() < 0.7] = 0
    rows = csr_array(weight.numpy())
    assert rows.indices.dtype == rows.indptr.dtype == "int32"
    written = rows.data.nbytes + rows.indices.nbytes + rows.indptr.nbytes
    assert csr_bytes(count(weight != 0), 4) == written
    bits = -(-weight.numel() // 8)
    assert bitmask_bytes(count(weight != 0), 4) == bits + weight[weight != 0].nbytes


@pytest.mark.parametrize(
    ("rows", "answer"),
    [
        (["1100", "0011"], True),
        (["10000000"], True),  # fewer than two of four
        (["11101000"], False),  # half are kept, but not of each four
        (["01111000"], False),
        (["011110"], False),  # the width is no multiple of four
        (["11110000"], False),  # 4:8
        (["00000000"], True),
    ],
)
def test_a_2_4_pattern_is_recognised_from_the_mask(rows, answer):
    assert is_two_of_four(mask(*rows)) is answer


def test_a_transposed_mask_is_read_along_its_rows():
    stored = mask("10", "10", "01", "01")  # [in, out]
    assert is_two_of_four(stored.T) and count(stored.T) == LinearCount(2, 4, 4, True)


def test_a_model_with_other_masks_has_no_2_4_size_and_the_report_says_why():
    good, bad = count(mask("1100")), count(mask("1110"))
    report = sizes([good, bad], dense=64, dtype=torch.float32, compressed=PACKED)
    assert report.semi_structured is None and "in 1 of 2 linears" in report.not_semi_structured
    assert (
        "in all 2 linears"
        in sizes([bad, bad], dense=64, dtype=torch.float32, compressed=PACKED).not_semi_structured
    )


def test_packed_size_is_that_of_zlib_on_the_row_major_bytes():
    tensors = [torch.randn(300, 700), torch.zeros(64, 64), torch.randn(9)]
    raw = b"".join(tensor.numpy().tobytes() for tensor in tensors)
    assert packed_bytes(tensors) == len(zlib.compress(raw, size.LEVEL))


def test_packing_reads_tensors_in_the_byte_order_of_a_file():
    """Half precision, transposed parameters, and pieces that end in the middle of a tensor."""
    half = torch.randn(40, 50).to(torch.bfloat16)
    stored = torch.nn.Parameter(torch.randn(50, 40).T)
    file = io.BytesIO(
        half.view(torch.int16).numpy().tobytes() + stored.detach().contiguous().numpy().tobytes()
    )
    assert packed_bytes([half, stored]) == len(zlib.compress(file.read(), size.LEVEL))


def test_zeros_pack_smaller():
    weight = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    assert packed_bytes([weight * (weight.abs() > 0.67)]) < 0.7 * packed_bytes([weight])


def test_a_sample_estimates_the_packed_size(monkeypatch):
    monkeypatch.setattr(size, "PIECE", 4096)
    weight = torch.randn(400, 400, generator=torch.Generator().manual_seed(0))
    whole, part = packed_bytes([weight]), packed_bytes([weight], share=1 / 4)
    assert part != whole and part == pytest.approx(whole, rel=0.01)


def test_only_large_models_are_sampled():
    assert sample_share(size.SAMPLE) == 1.0 and sample_share(7_000_000) == 1.0
    assert sample_share(size.SAMPLE + 1) == 1 / 2
    assert 15_000_000_000 * sample_share(15_000_000_000) == pytest.approx(size.SAMPLE, rel=0.01)


def test_a_report_round_trips_through_json():
    report = sizes([count(mask("1100"))], dense=20, dtype=torch.float16, compressed=PACKED)
    assert type(report).model_validate_json(report.model_dump_json()) == report
