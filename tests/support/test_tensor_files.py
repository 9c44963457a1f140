"""Safetensors files, byte for byte as the library writes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray
from safetensors.numpy import load, save

from epimc.support.tensor_files import TYPES, array_pieces

NUMPY = ["bool", "u1", "i1", "i2", "u2", "f2", "i4", "u4", "f4", "f8", "i8", "u8"]

Arrays = dict[str, NDArray[Any]]


def written(arrays: Arrays) -> bytes:
    """The bytes of a file."""
    return b"".join(array_pieces(arrays))


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda name: name != "__metadata__"),
        st.sampled_from(NUMPY).flatmap(
            lambda kind: arrays_of.arrays(kind, arrays_of.array_shapes(min_dims=0, min_side=0))
        ),
        max_size=5,
    )
)
def test_files_are_those_of_the_library(arrays: Arrays) -> None:
    assert written(arrays) == save(arrays)


def test_all_types_in_one_file() -> None:
    arrays = {f"{k} {kind}": np.arange(6).astype(kind) for k in (2, 1) for kind in NUMPY}
    assert len(NUMPY) == len(TYPES)
    assert written(arrays) == save(arrays)


@pytest.mark.parametrize("array", [np.arange(12).reshape(3, 4).T, np.arange(5).astype(">i4")])
def test_arrays_that_lie_otherwise(array: NDArray[Any]) -> None:
    np.testing.assert_array_equal(load(written({"a": array}))["a"], array)


def test_nothing_is_copied() -> None:
    array = np.arange(4)
    *_, piece = array_pieces({"a": array})
    assert np.shares_memory(np.frombuffer(piece, np.uint8), array)
