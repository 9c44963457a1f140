"""The module that an import builds: inputs, stored constants, and ops with their shapes checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from epimc.frontend.core.bindings import Array, Binding, Unknown
from epimc.frontend.core.node import UnsupportedError
from epimc.ir.core.attributes import Ref
from epimc.ir.core.levels import NN
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import ANY_RANK, Op, Value
from epimc.ir.core.types import IrError, Location, TensorType

# A larger tensor is refused before anything of its size is made; no program could hold it.
MAXIMUM_ELEMENTS = 2**31


class Draft:
    """A module of level `nn` while it is built.

    Attributes:
        batch: What ONNX shapes have on axis 0.
        opset: Of the model.
    """

    def __init__(self, name: str, batch: int, opset: int) -> None:
        """Start with an empty module of that name."""
        self.batch, self.opset = batch, opset
        self.builder = Builder(Module(name, NN))
        self._stored: dict[str, list[tuple[Array, Ref]]] = {}

    @property
    def module(self) -> Module:
        """What was built so far."""
        return self.builder.module

    def input(self, name: str, shape: tuple[int, ...]) -> Value:
        """Declare an input by its ONNX name, with the shape of one sample."""
        value = Value(self.builder.fresh(identifier(name)), TensorType(shape))
        self.module.inputs.append((name, value))
        return value

    def placeholder(self, kind: onnx.TypeProto | None, shape: tuple[int, ...] | None) -> Binding:
        """What stands for the result of a node that cannot be imported.

        A value where it could be one, so that the nodes behind it are looked at all the same.
        """
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
        known = self._stored.setdefault(base, [])
        # Several nodes may store one tensor: it is kept once.
        for other, ref in known:
            if np.array_equal(other, contents):
                return ref
        ref = self.builder.store(base, contents, "f32")
        known.append((contents, ref))
        return ref

    def append(
        self,
        kind: type[Op],
        operands: Sequence[Value],
        name: str,
        location: Location,
        attributes: Mapping[str, Any],
    ) -> Value:
        """Append an op, its shapes checked; the value that it computes.

        Args:
            kind: Of the op.
            operands: Its operands.
            name: Of the value; made unique.
            location: The nodes that the op stands for.
            attributes: Those that are None are left out.

        Raises:
            UnsupportedError: The op's declaration does not allow it, or it is too large.
        """
        # Any type will do until the op itself says which shape follows.
        result = Value(self.builder.fresh(name), TensorType((1,)))
        present = {key: value for key, value in attributes.items() if value is not None}
        try:
            op = kind(operands, result, location, present)
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


def identifier(name: str) -> str:
    """An ONNX name as a name of the IR's text form; not yet unique.

    Without dots: what the compiler adds to a name begins with one, and meets no other name so.
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "v"
