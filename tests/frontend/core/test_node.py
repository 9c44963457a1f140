"""Constants of nodes as importers read them: floats of every width."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import helper

from epimc.frontend import UnsupportedError
from epimc.frontend.core.node import Node

pytestmark = pytest.mark.smoke


def weights_of(array: Any) -> np.ndarray[Any, Any]:
    """A constant input as weights."""
    return Node(helper.make_node("Relu", ["w"], ["y"]), (array,), None).weights(0)


@pytest.mark.parametrize(
    "kind",
    ["float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2fnuz"],
)
def test_floats_of_every_width(kind: str) -> None:
    array = np.array([[0.5, -1.75], [3, 0]]).astype(getattr(ml_dtypes, kind, kind))
    weights = weights_of(array)
    assert weights.dtype == np.float32
    assert weights.tolist() == [[0.5, -1.75], [3, 0]]


def test_wide_ones_are_rounded_once() -> None:
    # Halfway between two float32 but for the last bits: a way through float16 would lose them.
    number = 1 + 2**-24 + 2**-40
    assert weights_of(np.array([number]))[0] == np.float32(1 + 2**-23)


def test_no_copy_is_made_of_float32() -> None:
    array = np.ones(3, np.float32)
    assert weights_of(array) is array


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array([1]), "input 'w' holds int64 values; only floats are read"),
        (np.array([True]), "input 'w' holds bool values; only floats are read"),
        (np.array([1], ml_dtypes.int4), "input 'w' holds int4 values; only floats are read"),
        (np.zeros((0, 3)), "input 'w' is empty"),
        (np.array([1e39, 1]), "input 'w' holds values beyond float32"),
    ],
)
def test_what_is_not_read(array: Any, reason: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        weights_of(array)
    assert str(caught.value) == reason


@pytest.mark.parametrize("kind", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_what_is_not_finite(kind: Any) -> None:
    with pytest.raises(UnsupportedError, match="input 'w' holds NaN or infinity"):
        weights_of(np.array([1, np.inf]).astype(kind))
