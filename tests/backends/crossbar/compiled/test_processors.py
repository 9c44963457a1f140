"""Kernels for processors that can do less than this one, in processes that are held to that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from epimc.backends.crossbar.compiled.forms import PAIRS_256, PORTABLE, best_form
from epimc.backends.crossbar.compiled.processor import features
from epimc.backends.crossbar.compiled.requantize import Rescaling
from epimc.ir.semantics.requantization import requantize
from tests.backends.crossbar.compiled.layers import large_layer, nchw

ROOT = Path(__file__).parents[4]
AVX2 = ("sse2", "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "avx", "avx2", "bmi", "bmi2", "fma")


def check() -> None:
    """Requantized sums are those of the definition."""
    layer = large_layer()
    kernel, sums = layer.kernel(), layer.accumulators()
    channels = sums.shape[3]
    multipliers, shifts = np.arange(channels)[None] * 99_991, np.full(channels, 31)
    offsets = np.arange(channels) << 31
    numbers = (multipliers, shifts, offsets)
    rescaling = Rescaling(*numbers, [0], 100, 3, 250, np.dtype(np.uint8))
    activations = np.empty(sums.shape, np.uint8)
    kernel.activations(layer.x, rescaling, [], activations)
    expected = requantize([nchw(sums)], multipliers, shifts, 100, 3, 250, offsets)
    assert len(np.unique(expected)) > 200
    np.testing.assert_array_equal(activations, expected.transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("name", "has", "form"),
    [
        ("generic", (), PORTABLE),
        pytest.param(
            *("haswell", AVX2, PAIRS_256),
            marks=pytest.mark.skipif(not set(AVX2) <= features(), reason="has no AVX2"),
        ),
    ],
)
def test_processors_that_can_do_less(name: str, has: tuple[str, ...], form: object) -> None:
    words = ",".join(f"+{feature}" for feature in has)
    environment = {**os.environ, "NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": words}
    result = subprocess.run(
        [sys.executable, "-m", "tests.backends.crossbar.compiled.test_processors"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(form)


if __name__ == "__main__":
    check()
    print(best_form(64))
