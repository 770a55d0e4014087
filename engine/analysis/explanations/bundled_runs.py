"""What is usual: how often the bundled runs show a pattern.

They are 264 runs of the bundled model and 57 of SmolLM2-135M. `tests/analysis/explanations` counts the
patterns again: a share must stay within two percentage points, and what holds for every run must hold.
"""

from __future__ import annotations

FIRST_BLOCK_WORST = 0.78
"""Share of the runs in which the linear with the largest output error is in the first block."""
VALUE_WORST, VALUE = 0.81, "v_proj"
"""Share of the runs in which that linear is a value projection, and the last part of its name."""
FIRST_STEP_LARGEST = 0.99
"""Share in which no later block adds as much to the error of the hidden states as the first one. In every
run, that error is larger after the last block than after the first.
"""
REFINED_BETTER = 0.80
"""Share of the runs with a mask refinement in which it noticeably lowers the output error. It lowers its own
measure in all of them.
"""
UPDATE_REMOVES = (0.09, 0.47)
"""The smallest and the largest share of the output error that an update removes, mean over the blocks."""
