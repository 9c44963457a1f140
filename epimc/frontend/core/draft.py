"""The module that an import builds: inputs, stored constants, and ops with their shapes checked."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from epimc.frontend.core.bindings import Binding, Unknown
from epimc.frontend.core.node import UnsupportedError
from epimc.ir.core.attributes import Ref
from epimc.ir.core.levels import NN
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import ANY_RANK, Op, Value
from epimc.ir.core.tensors import Tensor
from epimc.ir.core.types import IrError, Location, TensorType
from epimc.support.limits import LARGEST_NUMBER, Budget

# Of a float32.
BYTES = 4


class Draft:
    """A module of level `nn` while it is built.

    Attributes:
        batch: What ONNX shapes have on axis 0.
        opset: Of the model.
    """

    def __init__(self, name: str, batch: int, opset: int, budget: Budget) -> None:
        """Start with an empty module of that name, whose values a budget bounds."""
        self.batch, self.opset, self.budget = batch, opset, budget
        self.builder = Builder(Module(name, NN))
        self._stored: dict[tuple[str, str], Ref] = {}

    @property
    def module(self) -> Module:
        """What was built so far."""
        return self.builder.module

    def input(self, name: str, shape: tuple[int, ...]) -> Value:
        """Declare an input by its ONNX name, with the shape of one sample.

        Raises:
            EpimcError: It takes more memory than the limit leaves.
        """
        # With the samples of a batch that the model is fixed to: onnxruntime gets so many at once.
        self.require_room((self.batch, *shape), f"input '{name}'")
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
        if shape[0] != self.batch or min(shape) < 1 or max(shape) > LARGEST_NUMBER:
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
        return self._kept(name, contents, "f32")

    def store_bytes(self, name: str, contents: bytes) -> Ref:
        """Put bytes into the side store, named after an ONNX tensor; equal ones once."""
        return self._kept(name, np.frombuffer(contents, np.uint8), "u8")

    def _kept(self, name: str, contents: NDArray[Any], element: str) -> Ref:
        base = identifier(name)
        # Several nodes may store one tensor: it is kept once.
        key = base, Tensor.of(contents, element).digest
        if key not in self._stored:
            self._stored[key] = self.builder.store(base, contents, element)
        return self._stored[key]

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
            UnsupportedError: The op's declaration does not allow it.
            EpimcError: The result takes more memory than the limit leaves.
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
        self.require_room(result.type.shape, str(location))
        self.module.ops.append(op)
        return result

    def require_room(self, shape: Iterable[int], where: str) -> None:
        """Raise EpimcError for a value of one sample that takes more memory than the limit leaves.

        Args:
            shape: Of one sample.
            where: The node.
        """
        size = math.prod(max(dim, 1) for dim in shape)
        # How many values are there at once is known when the module is complete.
        self.budget.require(BYTES * size, f"a value of {size} elements", where)

    def require_host_room(self, shape: Iterable[int], where: str) -> None:
        """Raise EpimcError for a tensor of the host that takes more memory than the limit leaves.

        Args:
            shape: Its own.
            where: The node.
        """
        size = math.prod(max(dim, 1) for dim in shape)
        self.budget.require_once(BYTES * size, f"a value of {size} elements", where)

    def _stored_type(self, ref: Ref) -> TensorType:
        return self.module.tensors[ref.name].type


def identifier(name: str) -> str:
    """An ONNX name as a name of the IR's text form; not yet unique.

    Without dots: what the compiler adds to a name begins with one, and meets no other name so.
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "v"
