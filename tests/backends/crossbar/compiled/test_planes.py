"""Numbers in planes of bits."""

from __future__ import annotations

import numpy as np
import pytest

from epimc.backends.crossbar.compiled.lanes import WORDS
from epimc.backends.crossbar.compiled.planes import add_into
from epimc.backends.crossbar.compiled.serial_kernel import aligned


@pytest.mark.parametrize(("length", "shift"), [(0, 1), (0, 3), (1, 2)])
def test_a_sum_takes_no_more_planes_than_it_has(length: int, shift: int) -> None:
    """What would lie above is 0, as where all cells of a column are 0: nothing is written there."""
    total, x = aligned(4 * WORDS), aligned(WORDS)
    total[:WORDS] = 5
    total[WORDS:] = 7
    assert add_into(total, length, 1, x, 1, shift) == length
    assert np.array_equal(total, np.repeat(np.array([5, 7, 7, 7]), WORDS))
