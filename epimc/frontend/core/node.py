"""An ONNX node as its importer reads it: inputs and attributes, checked as they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from epimc.frontend.core.bindings import Array, Binding, Padded
from epimc.frontend.model.standard import where_of
from epimc.ir.core.op import Value
from epimc.support.sample_types import is_float


class UnsupportedError(Exception):
    """A node that epimc cannot import; the text is a clause that says why, with no full stop."""


@dataclass(frozen=True)
class Node:
    """One ONNX node whose inputs are values and constants.

    Attributes:
        proto: As the model has it.
        inputs: What its inputs are; None stands for one that is left out.
        result_shape: Of its first output, with the batch, as far as ONNX can tell.
    """

    proto: onnx.NodeProto
    inputs: tuple[Binding | None, ...]
    result_shape: tuple[int, ...] | None

    @property
    def op_type(self) -> str:
        """The name of its operator in ONNX, without the domain."""
        return str(self.proto.op_type)

    @property
    def where(self) -> str:
        """How messages name the node."""
        return where_of(self.proto)

    def has_input(self, index: int) -> bool:
        """Whether an optional input is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def is_constant(self, index: int) -> bool:
        """Whether an input is there and constant."""
        return self.has_input(index) and isinstance(self.inputs[index], np.ndarray)

    def activation(self, index: int = 0) -> Value:
        """An input that is computed.

        Raises:
            UnsupportedError: It is a constant.
        """
        value = self.inputs[index] if self.has_input(index) else None
        if isinstance(value, Padded):
            raise UnsupportedError(f"its input '{self.input_name(index)}' {value.refusal(1)}")
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
        """An input that is a constant of floats of any width, as float32.

        Narrower ones are exactly that; wider ones are rounded once.

        Raises:
            UnsupportedError: It is computed, of another type, empty, not finite, or beyond float32.
        """
        array, name = self.constant(index), self.input_name(index)
        if not is_float(array.dtype):
            raise UnsupportedError(
                f"input '{name}' holds {array.dtype} values; only floats are read"
            )
        if not array.size:
            raise UnsupportedError(f"input '{name}' is empty")
        if not np.isfinite(array).all():
            raise UnsupportedError(f"input '{name}' holds NaN or infinity")
        with np.errstate(over="ignore"):
            values = array.astype(np.float32, copy=False)
        if array.dtype.itemsize > values.dtype.itemsize and not np.isfinite(values).all():
            raise UnsupportedError(f"input '{name}' holds values beyond float32")
        return values

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
        """Integers that old opsets have as an attribute and new ones as an input; None without.

        Raises:
            UnsupportedError: They are computed.
        """
        numbers = self.constant(index).ravel() if self.has_input(index) else self._attribute(key)
        return None if numbers is None else tuple(int(number) for number in numbers)

    def axes(self, stated: Iterable[int], rank: int) -> tuple[int, ...]:
        """Axes of a tensor, counted from the front.

        Args:
            stated: As ONNX has them: negative ones count from behind.
            rank: Of the tensor.

        Raises:
            UnsupportedError: One is not there, or is named twice.
        """
        stated = tuple(stated)
        axes = tuple(axis + rank if axis < 0 else axis for axis in stated)
        if len({*axes}) < len(axes) or not all(0 <= axis < rank for axis in axes):
            raise UnsupportedError(f"axes {list(stated)} of {rank} are not supported")
        return axes

    def input_name(self, index: int) -> str:
        """The ONNX name of an input; empty where it is left out."""
        return str(self.proto.input[index]) if index < len(self.proto.input) else ""

    def integer(self, key: str, default: int) -> int:
        """An integer attribute; the default where the node leaves it out."""
        value = self._attribute(key)
        return default if value is None else int(value)

    def number(self, key: str, default: float) -> float:
        """A number attribute; the default where the node leaves it out."""
        value = self._attribute(key)
        return default if value is None else float(value)

    def text(self, key: str, default: str) -> str:
        """A text attribute; the default where the node leaves it out."""
        value = self._attribute(key)
        # ONNX has texts as bytes, which need not be UTF-8.
        return default if value is None else bytes(value).decode(errors="replace")

    def integers(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """An attribute of as many integers as its default has; that where it is left out.

        Raises:
            UnsupportedError: It has another number of them.
        """
        value = self._attribute(key)
        if value is None:
            return default
        values = tuple(int(item) for item in value)
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
