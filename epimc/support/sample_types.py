"""Samples of any type: what arrays of users become for an input, exactly or not at all.

numpy has no bfloat16 and no types of less than 8 bits: their values stand in the next wider type
that it has.  Texts stand in arrays of Python's strings; what is no tensor (sequences, optionals,
maps), in arrays of one object a sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from epimc.support.diagnostics import EpimcError, error
from epimc.support.port_types import FLOAT, PortType

Array = NDArray[Any]

PLAIN = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NUMPY_TYPES: Mapping[str, str] = {
    **{name: name for name in (*PLAIN, "bool", "float16", "complex64", "complex128")},
    "float": "float32",
    "double": "float64",
    "string": "object",
    "bfloat16": "float32",
    "int4": "int8",
    "int2": "int8",
    "uint4": "uint8",
    "uint2": "uint8",
}
"""By onnxruntime's word for the type of an element."""

NARROW_FLOATS = ("float8", "float4")
NAMES = {"object": "text"}
SMALL_RANGES = {"int4": (-8, 7), "int2": (-2, 1), "uint4": (0, 15), "uint2": (0, 3)}


class Typed(Protocol):
    """An input of a model or of a program."""

    @property
    def name(self) -> str:
        """What the ONNX model calls it."""

    @property
    def port_type(self) -> PortType:
        """What it is."""


@dataclass(frozen=True)
class Shaped:
    """An input of a model, as samples must be.

    Attributes:
        name: What the ONNX model calls it, and the files of samples too.
        shape: That of one sample; empty for what is no tensor.
        type: As onnxruntime says it.
        samples_first: Whether `shape` has no axis for the samples in the model.  Where it has, an
            array of that very shape is one sample, and one axis of 1 in front may be the samples'.
        finite: Whether NaN and infinity are refused, as a chip cannot read them.
    """

    name: str
    shape: tuple[int, ...]
    type: str = FLOAT
    samples_first: bool = True
    finite: bool = True

    @staticmethod
    def of(port: Typed, *, finite: bool = True) -> Shaped:
        """An input of a model or of a program, whose shape is known where it is a tensor."""
        kind = port.port_type
        return Shaped(port.name, kind.shape or (), kind.kind, kind.samples_first, finite)

    @property
    def is_tensor(self) -> bool:
        """Whether a sample is one array."""
        return self.type.startswith("tensor(")

    @property
    def element(self) -> str:
        """Onnxruntime's word for the elements of a tensor."""
        return self.type.removeprefix("tensor(").removesuffix(")") if self.is_tensor else ""

    @property
    def in_files(self) -> bool:
        """Whether files of samples can hold it: numbers do, texts and lists do not."""
        return self.is_tensor and self.element != "string"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its arrays.

        Raises:
            EpimcError: numpy has none for it.
        """
        if self.element.startswith(NARROW_FLOATS):
            return np.dtype("float32")
        if self.is_tensor and self.element not in NUMPY_TYPES:
            raise error(
                f"Input '{self.name}' has the type {self.type}, of which there are no samples."
            )
        return np.dtype(NUMPY_TYPES.get(self.element, "object"))


# --- shapes -------------------------------------------------------------------------------------


def samples_in_front(subject: str, array: Array, port: Shaped) -> Array:
    """The array with the samples on axis 0, all else in the shape of one sample.

    Raises:
        EpimcError: It has another shape, or no samples.
    """
    shape = port.shape
    if not port.samples_first and array.ndim <= len(shape):
        if array.shape == shape:
            return array[np.newaxis]
        if shape[:1] == (1,) and array.ndim and array.shape[1:] == shape[1:]:
            array = array[:, np.newaxis]
    if array.shape[1:] != shape or array.ndim == 0:
        expected = ", ".join(["n", *map(str, shape)])
        expected = f"({expected})" if shape else "(n,)"
        raise error(
            f"{subject} has a wrong shape.",
            notes=[f"Expected {expected}, found {array.shape}."],
            hint=shaping(array.shape, shape),
        )
    if not len(array):
        raise error(f"{subject} has no samples.", hint="Save one sample at least.")
    return array


def shaping(stated: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """How an array gets the shape that is wanted, where it has as many elements; else nothing.

    Args:
        stated: Its shape.
        wanted: That of a sample.
    """
    if stated == wanted:
        return "Add an axis for the samples: array[numpy.newaxis]."
    last = len(wanted)
    turns = (0, last, *range(1, last)), (0, *range(2, last + 1), 1)
    for turn in turns if len(stated) == last + 1 else ():
        if tuple(stated[axis] for axis in turn[1:]) == wanted:
            return f"Move its axes: array.transpose{turn}."
    if stated and math.prod(stated[1:]) == math.prod(wanted):
        return f"Shape its samples: array.reshape{(-1, *wanted)}."
    # As a list of samples is, whose items are taken for batches.
    if len(stated) == last and wanted[0] and stated[1:] == wanted[1:]:
        samples, rest = divmod(stated[0], wanted[0])
        if samples > 1 and not rest:
            return "Stack the samples: numpy.stack(samples)."
    return ""


# --- types --------------------------------------------------------------------------------------


def as_type(subject: str, array: Array, port: Shaped, first: int = 0) -> Array:
    """The array in the type of its input; only floats may be rounded, to floats.

    Args:
        subject: Names the array.
        array: Samples.
        port: The input.
        first: Which of all samples the first of these is.

    Raises:
        EpimcError: A value is none of the type, or is not finite where it must be.
    """
    kind = port.dtype
    if kind.hasobject:
        return texts_of(subject, array) if port.is_tensor else array
    if array.dtype.kind == "V":
        array = widened(array)
    if kind.kind == "f":
        return floats_of(subject, array, kind, first, finite=port.finite)
    with np.errstate(all="ignore"):
        values: Array = array.astype(kind)
    if kind.kind != "c":
        refuse_inexact(subject, array, values, SMALL_RANGES.get(port.element), first)
    return values


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether a type is one of floats, be it one that numpy has from `ml_dtypes`."""
    return dtype.kind == "f" or dtype.name.startswith(("bfloat16", *NARROW_FLOATS))


def widened(array: Array) -> Array:
    """Values of the types that `ml_dtypes` adds to numpy, in numpy's own; others as they are."""
    if array.dtype.kind == "f":
        return array
    if is_float(array.dtype):
        return array.astype(np.float32)
    return array.astype(np.int8 if array.dtype.name in SMALL_RANGES else array.dtype)


def refuse_type(subject: str, array: Array, port: Shaped) -> None:
    """Raise EpimcError for an array whose type says that something else is meant."""
    kind = port.dtype
    known = {"f": "f", "c": "fc", "O": "OU"}.get(kind.kind, "biuf")
    if array.dtype.kind == "V":
        array = widened(array.reshape(-1)[:0])
    # Integers where the model takes floats are pixels more often than not, which it takes scaled.
    if array.dtype.kind not in known:
        scaled = ", and scale it as the model expects" if kind.kind == "f" else ""
        raise error(
            f"{subject} has the type {array.dtype.name}, not {NAMES.get(kind.name, kind.name)}.",
            hint="" if kind.hasobject else f"Convert it by astype('{kind.name}'){scaled}.",
        )


def floats_of(
    subject: str, array: Array, kind: np.dtype[Any], first: int, *, finite: bool
) -> Array:
    """Floats in another width, rounded; what was finite stays so."""
    with np.errstate(over="ignore"):
        values: Array = array.astype(kind)
    wrong = ~np.isfinite(values)
    if not finite:
        wrong &= np.isfinite(array)
    if wrong.any():
        raise error(
            f"{subject} has values that are not finite in {kind.name}.",
            notes=[f"The first is in sample {first + first_of(wrong)}, counted from 0."],
        )
    return values


def refuse_inexact(
    subject: str, array: Array, values: Array, limits: tuple[int, int] | None, first: int
) -> None:
    """Raise EpimcError where a value has changed, or lies outside of a small type."""
    kind = values.dtype
    if limits is None:
        limits = (0, 1) if kind.kind == "b" else (int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    low, high = limits
    # Wide enough for the limits, as float16 is not.
    wide = {"b": np.dtype("uint8"), "f": np.result_type(array.dtype, np.float64)}
    numbers = array.astype(wide.get(array.dtype.kind, array.dtype))
    with np.errstate(all="ignore"):
        same = values.astype(numbers.dtype) == numbers
    wrong = ~(same & (numbers >= low) & (numbers <= high))
    if wrong.any():
        value = numbers[np.unravel_index(int(np.argmax(wrong)), wrong.shape)]
        raise error(
            f"{subject} has the value {value}, which {kind.name} does not have.",
            notes=[f"The first is in sample {first + first_of(wrong)}, counted from 0."],
        )


def first_of(wrong: NDArray[np.bool_]) -> int:
    """The first sample in which something is wrong."""
    return int(np.argmax(wrong.reshape(len(wrong), -1).any(axis=1)))


def texts_of(subject: str, array: Array) -> Array:
    """Texts as Python's strings."""
    texts = array.astype(object)
    if not all(isinstance(text, str) for text in texts.flat):
        raise error(f"{subject} holds objects that are no texts.")
    return texts


# --- from Python --------------------------------------------------------------------------------


def array_of(values: Any, port: Shaped | None = None) -> Array:
    """Values as an array; tensors of other libraries come along by their `__array__`.

    Args:
        values: One array, or one object a sample where the input is no tensor.
        port: The input; None where it is not known.

    Raises:
        EpimcError: They are no array.
    """
    if port is not None and not port.is_tensor:
        return objects_of(listed(values, port))
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as problem:
        raise error("Samples are no array of numbers.", notes=[str(problem)]) from None
    if array.dtype.hasobject and (port is None or port.element != "string"):
        raise error("Samples are no array of numbers, but of Python objects.")
    return array


def listed(values: Any, port: Shaped) -> Sequence[Any]:
    """A list with one object a sample.

    Raises:
        EpimcError: It is none.
    """
    if isinstance(values, np.ndarray) and values.dtype == object and values.ndim == 1:
        return list(values)
    if not isinstance(values, (list, tuple)):
        raise error(
            f"Samples of the input '{port.name}' are no list.",
            hint=f"It takes {port.type}: pass a list with one such value for each sample.",
        )
    return values


def objects_of(values: Sequence[Any]) -> Array:
    """An array of one object a sample."""
    array = np.empty(len(values), object)
    # One by one: numpy would make one array of objects that are lists.
    for index, value in enumerate(values):
        array[index] = value
    return array


def storable(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays as files can hold them: texts of fixed width, objects in parts.

    Samples are told apart by these; from what was in parts they cannot be read again.
    """
    stored: dict[str, Array] = {}
    for name, array in arrays.items():
        if not array.dtype.hasobject:
            stored[name] = array
        elif all(isinstance(item, str) for item in array.flat):
            stored[name] = array.astype(str)
        else:
            stored.update(parts_of(name, list(array)))
    return stored


def parts_of(name: str, value: object) -> Iterator[tuple[str, Array]]:
    """The arrays in a value, each under the way to it."""
    if isinstance(value, Mapping):
        value = [part for pair in value.items() for part in pair]
    if isinstance(value, Sequence) and not isinstance(value, str):
        yield f"{name}/length", np.array(len(value))
        for index, part in enumerate(value):
            yield from parts_of(f"{name}/{index}", part)
    elif value is not None:
        array = np.asarray(value)
        yield name, array.astype(str) if array.dtype.hasobject else array


def result_arrays(names: Sequence[str], results: Sequence[Any]) -> dict[str, Array]:
    """Results as a file can hold them: an array a sample where samples differ in shape."""
    arrays: dict[str, Array] = {}
    for name, result in zip(names, results, strict=True):
        if isinstance(result, np.ndarray):
            arrays[name] = result
        else:
            arrays.update((f"{name}/{number}", each) for number, each in enumerate(result))
    return arrays


def refuse_in_files(source: str, ports: Iterable[Shaped]) -> None:
    """Raise EpimcError for a port whose samples stand in no file."""
    for port in ports:
        if not port.in_files:
            raise not_in_files(port.name, port.type, source)


def not_in_files(name: str, kind: str, source: str) -> EpimcError:
    """The error for an input or output that is there in Python alone."""
    return error(
        f"'{name}' of the model is {kind}, of which {source} knows nothing.",
        hint="Use the Python interface, which takes and gives Python's lists and strings.",
    )
