"""Sparse tensors, made dense: nothing behind the preparation of a model knows of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from epimc.frontend.model.standard import item_bytes
from epimc.support.diagnostics import EpimcError, error
from epimc.support.limits import LARGEST_NUMBER, Budget


def dense_tensor(sparse: onnx.SparseTensorProto, budget: Budget) -> onnx.TensorProto:
    """The tensor that a sparse one stands for, under the name of its values.

    Args:
        sparse: In the layout COO: indices into the flattened tensor, or a row of them for each
            value.
        budget: What pays for it: a few values may stand for an enormous tensor.

    Raises:
        EpimcError: It is too large, its indices lie outside or come twice, or its parts do not fit
            together.
    """
    return numpy_helper.from_array(dense_array(sparse, budget), sparse.values.name)


def dense_array(sparse: onnx.SparseTensorProto, budget: Budget) -> NDArray[Any]:
    """The contents of a sparse tensor; arguments and errors as of `dense_tensor`."""
    name, shape = sparse.values.name, tuple(sparse.dims)
    if not all(0 <= size <= LARGEST_NUMBER for size in shape):
        raise _damaged(name, f"it has the shape {list(shape)}")
    size = math.prod(shape)
    budget.make(size * item_bytes(sparse.values.data_type), f"sparse tensor '{name}'")
    values, indices = _contents(sparse.values), _contents(sparse.indices)
    if values.ndim != 1 or indices.dtype != np.int64:
        raise _damaged(name, "its values are no list, or its indices no int64 numbers")
    if indices.ndim == 2 and indices.shape == (values.size, len(shape)):
        inside = bool(((indices >= 0) & (indices < np.array(shape, np.int64))).all())
        # Only what lies inside has a place: numpy would raise for the rest.
        places = np.ravel_multi_index(tuple(indices.T), shape) if inside and shape else indices
    else:
        places = indices
        inside = places.ndim == 1 and bool(((places >= 0) & (places < size)).all())
    if not inside or places.shape != values.shape:
        raise _damaged(name, f"its indices do not fit its shape {list(shape)}")
    if np.unique(places).size != places.size:
        raise _damaged(name, "an index comes twice")
    dense = np.zeros(size, values.dtype)
    dense[places] = values
    return dense.reshape(shape)


def _contents(tensor: onnx.TensorProto) -> NDArray[Any]:
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, OverflowError):
        raise _damaged(tensor.name, "its data does not fit its shape and type") from None


def _damaged(name: str, why: str) -> EpimcError:
    return error(
        f"Sparse tensor '{name}' is damaged: {why}.", hint="Download or export the model again."
    )
