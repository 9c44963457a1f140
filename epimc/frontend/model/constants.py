"""Inputs that users fix: they become constants of the model, and it no longer takes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper

from epimc.frontend.model.inputs import dims_of, shown, size_of
from epimc.frontend.model.shapes import forget_shapes, real_inputs, set_shapes
from epimc.support.diagnostics import did_you_mean, error
from epimc.support.limits import DEFAULT_BYTES
from epimc.support.npy_files import NUMBERS, read_npy
from epimc.support.sample_types import is_float

Array: TypeAlias = "NDArray[Any]"

Fixed: TypeAlias = "ArrayLike | Path"
"""An array, numbers that become one, or a file of NumPy."""

# The newest version of ONNX's format that lists constants among the inputs.
LISTS_CONSTANTS = 3


def fix_inputs(
    model: onnx.ModelProto, constants: Mapping[str, Fixed], limit_bytes: int = DEFAULT_BYTES
) -> bool:
    """Make inputs of a model constants; whether that has changed it.

    Args:
        model: It is changed.
        constants: What the inputs are, by their names.
        limit_bytes: The most that an array may take.

    Raises:
        EpimcError: There is no such input, or what is to stand for it is of another type or shape.
    """
    if not constants:
        return False
    entries = {entry.name: entry for entry in real_inputs(model.graph)}
    arrays: dict[str, Array] = {}
    for name, constant in constants.items():
        if name not in entries:
            raise error(f"The model has no input '{name}'.", hint=did_you_mean(name, entries))
        arrays[name] = array_for(entries[name], constant, limit_bytes)
    # A size that the model leaves open is that of all inputs that share it.
    set_shapes(model, {name: array.shape for name, array in arrays.items()})
    for name, array in arrays.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    if model.ir_version > LISTS_CONSTANTS:
        kept = [entry for entry in model.graph.input if entry.name not in constants]
        del model.graph.input[:]
        model.graph.input.extend(kept)
    # Shapes that the model leaves open may be known now.
    forget_shapes(model)
    return True


def array_for(entry: onnx.ValueInfoProto, constant: Fixed, limit_bytes: int) -> Array:
    """What stands for an input, in its type and shape.

    Raises:
        EpimcError: It has another one.
    """
    name, tensor = entry.name, entry.type.tensor_type
    if not entry.type.HasField("tensor_type") or tensor.elem_type == onnx.TensorProto.STRING:
        raise error(f"Input '{name}' is no tensor of numbers, and cannot be fixed.")
    dims = dims_of(entry)
    if isinstance(constant, Path):
        array = read_npy(constant, limit_bytes)
    else:
        array = as_array(constant)
        # Numbers in a line stand for a single one as well.
        if tensor.HasField("shape") and not dims and array.shape == (1,):
            array = array.reshape(())
    sizes = [size_of(dim) for dim in dims]
    fits = len(sizes) == array.ndim and all(
        declared in (None, size) for declared, size in zip(sizes, array.shape, strict=True)
    )
    if tensor.HasField("shape") and not fits:
        raise error(
            f"Input '{name}' cannot be fixed to an array of shape {list(array.shape)}: the model "
            f"declares {shown(entry)}.",
            hint="Pass an array of its shape; an npy file holds one of any shape.",
        )
    return in_type(name, array, helper.tensor_dtype_to_np_dtype(tensor.elem_type))


def in_type(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """An array in the type of an input.

    Raises:
        EpimcError: Its numbers are none of that type.
    """
    if array.dtype == dtype:
        return array
    if array.dtype.kind in NUMBERS:
        with np.errstate(over="ignore", invalid="ignore"):
            converted = array.astype(dtype)
        # Floats are rounded, as those of users who write decimals are.
        if array.dtype.kind == "f" and is_float(dtype):
            fits = np.isfinite(converted.astype(np.float64)) | ~np.isfinite(array)
        else:
            fits = converted.astype(array.dtype) == array
        if np.all(fits):
            return converted
    raise error(
        f"Input '{name}' cannot be fixed to these numbers of type {array.dtype}: "
        f"the model declares {dtype}."
    )


def as_array(constant: Any) -> Array:
    """Numbers that a user passes as an array.

    Raises:
        EpimcError: They are none.
    """
    if isinstance(constant, (tuple, list)) and not constant:
        return np.empty(0, np.int64)
    try:
        return np.asarray(constant)
    except (ValueError, TypeError, OverflowError) as problem:
        raise error(f"An input cannot be fixed to what is no array: {problem}.") from None
