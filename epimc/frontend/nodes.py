"""What an operator's importer sees: its node, and the module being built.

An importer is a function registered for an ONNX op type; it returns the value that the node's
first output stands for, or raises `UnsupportedError`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray

from epimc.frontend.shapes import Array, Binding, Folded, Unknown
from epimc.frontend.standard import name_of, operator_of, where_of
from epimc.ir.core.attributes import Ref
from epimc.ir.core.levels import NN
from epimc.ir.core.module import ANY_RANK, Builder, Module, Op, Value
from epimc.ir.core.types import IrError, Location, TensorType
from epimc.support.diagnostics import error

MAXIMUM_ELEMENTS = 2**31


class UnsupportedError(Exception):
    """A node that epimc cannot import; the text is a clause that says why, with no full stop."""


@dataclass(frozen=True)
class Node:
    """One ONNX node whose inputs are values and constants.

    Attributes:
        proto: As the model has it.
        inputs: What its inputs are; None stands for one that is left out.
        result_shape: Of its first output, with the batch, as far as ONNX can tell.
        result: The number of the output after which what is emitted is named.
    """

    proto: onnx.NodeProto
    inputs: tuple[Binding | None, ...]
    result_shape: tuple[int, ...] | None
    result: int = 0

    @property
    def op_type(self) -> str:
        """The ONNX op type."""
        return str(self.proto.op_type)

    @property
    def where(self) -> str:
        """How messages name the node."""
        return where_of(self.proto)

    @property
    def location(self) -> Location:
        """The node as a location of the IR."""
        return Location(((operator_of(self.proto), name_of(self.proto)),))

    def has_input(self, index: int) -> bool:
        """Whether an optional input is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def is_constant(self, index: int) -> bool:
        """Whether an input is given and constant."""
        return self.has_input(index) and isinstance(self.inputs[index], np.ndarray)

    def activation(self, index: int = 0) -> Value:
        """An input that is computed.

        Raises:
            UnsupportedError: It is a constant.
        """
        value = self.inputs[index] if self.has_input(index) else None
        if not isinstance(value, Value):
            raise UnsupportedError(f"a constant as input {index} is not supported")
        return value

    def map(self, index: int = 0) -> Value:
        """An input that is a computed feature map [C, H, W].

        Raises:
            UnsupportedError: It is anything else.
        """
        value = self.activation(index)
        if len(value.type.shape) != 3:
            raise UnsupportedError("only feature maps [N, C, H, W] are supported")
        return value

    def vector(self, index: int = 0) -> Value:
        """An input that is a computed vector [K].

        Raises:
            UnsupportedError: It is anything else.
        """
        value = self.activation(index)
        if len(value.type.shape) != 1:
            raise UnsupportedError("only vectors [N, K] are supported")
        return value

    def weights(self, index: int) -> NDArray[np.float32]:
        """An input that is a constant of float32 numbers.

        Raises:
            UnsupportedError: It is computed, or of another type.
            EpimcError: It holds NaN or infinity.
        """
        array, name = self.constant(index), self.input_name(index)
        if array.dtype != np.float32:
            raise UnsupportedError(
                f"input '{name}' holds {array.dtype} values; only float32 is read"
            )
        if not array.size:
            raise UnsupportedError(f"input '{name}' is empty")
        if not np.isfinite(array).all():
            raise error(
                f"Tensor '{name}' holds NaN or infinity.",
                where=self.where,
                hint="Train or export the model again.",
            )
        return array

    def constant(self, index: int) -> Array:
        """An input that is a constant of any type.

        Raises:
            UnsupportedError: It is computed.
        """
        array = self.inputs[index] if self.has_input(index) else None
        if not isinstance(array, np.ndarray):
            raise UnsupportedError(f"input '{self.input_name(index)}' must be a constant")
        return array

    def list_of(self, key: str, index: int) -> tuple[int, ...] | None:
        """Integers that old opsets have as an attribute and new ones as an input, if given.

        Raises:
            UnsupportedError: They are computed.
        """
        found = self.constant(index).ravel() if self.has_input(index) else self._attribute(key)
        return None if found is None else tuple(int(item) for item in found)

    def input_name(self, index: int) -> str:
        """The ONNX name of an input; empty where it is left out."""
        return str(self.proto.input[index]) if index < len(self.proto.input) else ""

    def integer(self, key: str, default: int) -> int:
        """An integer attribute."""
        found = self._attribute(key)
        return default if found is None else int(found)

    def number(self, key: str, default: float) -> float:
        """A number attribute."""
        found = self._attribute(key)
        return default if found is None else float(found)

    def text(self, key: str, default: str) -> str:
        """A text attribute."""
        found = self._attribute(key)
        return default if found is None else bytes(found).decode(errors="replace")

    def integers(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """An attribute of as many integers as its default has.

        Raises:
            UnsupportedError: It has another number of them.
        """
        found = self._attribute(key)
        if found is None:
            return default
        values = tuple(int(item) for item in found)
        if len(values) != len(default):
            raise UnsupportedError(f"{key} = {list(values)} is not supported")
        return values

    def only(self, key: str, default: int, allowed: int) -> None:
        """Require an integer attribute to have the one value that is supported.

        Raises:
            UnsupportedError: It has another.
        """
        value = self.integer(key, default)
        if value != allowed:
            raise UnsupportedError(f"{key} = {value} is not supported")

    def _attribute(self, key: str) -> Any:
        for attribute in self.proto.attribute:
            if attribute.name == key:
                return onnx.helper.get_attribute_value(attribute)
        return None


class Context:
    """The module being built."""

    def __init__(self, name: str, batch: int, opset: int) -> None:
        """Start an empty module of level `nn`.

        Args:
            name: Of the module.
            batch: What ONNX shapes have on axis 0.
            opset: Of the model.
        """
        self.batch, self.opset = batch, opset
        self.builder = Builder(Module(name, NN))
        self.stored: dict[str, list[tuple[Array, Ref]]] = {}

    @property
    def module(self) -> Module:
        """What was built so far."""
        return self.builder.module

    def input(self, name: str, shape: tuple[int, ...]) -> Value:
        """Declare an input by its ONNX name."""
        value = Value(self.builder.fresh(identifier(name)), TensorType(shape))
        self.module.inputs.append((name, value))
        return value

    def placeholder(self, kind: onnx.TypeProto | None, shape: tuple[int, ...] | None) -> Binding:
        """What stands for the result of a node that cannot be imported."""
        is_float = kind is not None and kind.tensor_type.elem_type == onnx.TensorProto.FLOAT
        if not is_float or shape is None or len(shape) - 1 not in ANY_RANK:
            return Unknown(kind)
        if shape[0] != self.batch or min(shape) < 1 or math.prod(shape) > MAXIMUM_ELEMENTS:
            return Unknown(kind)
        return Value("unsupported", TensorType(shape[1:]))

    def store(self, name: str, array: NDArray[np.floating[Any]]) -> Ref:
        """Put a float32 tensor into the side store, named after an ONNX tensor; equal ones once.

        Raises:
            UnsupportedError: A value is too large for float32.
        """
        with np.errstate(over="ignore"):
            contents = np.ascontiguousarray(array, np.float32)
        if not np.isfinite(contents).all():
            raise UnsupportedError("its constants exceed float32")
        base = identifier(name)
        known = self.stored.setdefault(base, [])
        for other, ref in known:
            if np.array_equal(other, contents):
                return ref
        ref = self.builder.store(base, contents, "f32")
        known.append((contents, ref))
        return ref

    def emit(
        self,
        kind: type[Op],
        node: Node,
        operands: list[Value],
        suffix: str = "",
        /,
        **attributes: Any,
    ) -> Value:
        """Append an op that stands for a node, or a part of it; its shapes are checked.

        The value is named after the node's output and the suffix.

        Raises:
            UnsupportedError: The op's declaration does not allow it.
        """
        name = identifier(node.proto.output[node.result]) + suffix
        result = Value(self.builder.fresh(name), TensorType((1,)))
        given = {key: value for key, value in attributes.items() if value is not None}
        try:
            op = kind(operands, result, node.location, given)
            result.type = TensorType(op.result_shape(self._stored_type))
            op.check(self._stored_type)
        except IrError as problem:
            raise UnsupportedError(str(problem)) from None
        if result.type.size > MAXIMUM_ELEMENTS:
            raise UnsupportedError(f"its result of {result.type.size} elements is too large")
        self.module.ops.append(op)
        return result

    def _stored_type(self, ref: Ref) -> TensorType:
        return self.module.tensors[ref.name].type


Importer: TypeAlias = Callable[[Node, Context], "Value | Folded"]
SeveralImporter: TypeAlias = Callable[[Node, Context], list[Value]]
IMPORTERS: dict[str, Importer | SeveralImporter] = {}
SEVERAL: set[str] = set()
"""The op types that have several results."""


def importer(*op_types: str) -> Callable[[Importer], Importer]:
    """Register a function for ONNX op types of the default domain."""

    def register(function: Importer) -> Importer:
        IMPORTERS.update(dict.fromkeys(op_types, function))
        return function

    return register


def several(op_type: str) -> Callable[[SeveralImporter], SeveralImporter]:
    """Register a function for an ONNX op type of which every output is read."""

    def register(function: SeveralImporter) -> SeveralImporter:
        IMPORTERS[op_type] = function
        SEVERAL.add(op_type)
        return function

    return register


def identifier(name: str) -> str:
    """An ONNX name as a name of the IR's text form; not yet unique.

    Without dots: what the compiler adds to a name begins with one, and meets no other name so.
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "v"
