"""Fixed sizes and speeds of a model, for tests of charts and pages."""

from __future__ import annotations

from typing import Any

from engine.analysis.size_speed import Measurement
from engine.evaluation.size import Compressed, SizeReport
from engine.evaluation.speed import SpeedReport, Timing

MILLION = 1_000_000
SIZE = SizeReport(
    dtype="float32",
    weights=4 * MILLION,
    kept=2 * MILLION,
    rest=4 * MILLION,
    dense=20 * MILLION,
    bitmask=12_500_000,
    csr=21 * MILLION,
    semi_structured=None,
    not_semi_structured="The masks are not 2:4.",
    compressed=Compressed(dense=15 * MILLION, pruned=9 * MILLION, rest=3 * MILLION, share=1.0),
)


def timing(stage: Any, model: Any, median: float, spread: float = 0.1) -> Timing:
    return Timing(
        stage=stage,
        model=model,
        median=median,
        low=(1 - spread) * median,
        high=(1 + spread) * median,
        rounds=21 if stage == "prefill" else 60,
    )


SPEED = SpeedReport(
    prompt=256,
    timings=(
        timing("prefill", "dense", 0.1),
        timing("prefill", "pruned", 0.099),
        timing("token", "dense", 0.01),
        timing("token", "pruned", 0.02),
    ),
    linears=56,
    not_converted="2:4 kernels: not measured, because the masks are not 2:4.",
)
KERNELS = SPEED.model_copy(
    update={
        "timings": (*SPEED.timings, timing("prefill", "2:4", 0.06), timing("token", "2:4", 0.009)),
        "converted": 56,
        "not_converted": "",
    }
)


def measured(size: SizeReport = SIZE, speed: SpeedReport = SPEED, **fields: Any) -> Measurement:
    facts = {"device": "cpu", "device_name": "a processor", "threads": 2, "seconds": 4.0} | fields
    return Measurement(size=size, speed=speed, **facts)
