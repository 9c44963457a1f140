"""The one argument of an importer: its node, and what the node becomes in the IR.

All names that an import makes are made here.  The values of a node are named after the output that
they belong to; what is computed on the way has the name of its part behind that: `y.part1`, or
`y.part1.expanded0` for a part of a part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.frontend.core.draft import Draft, identifier
from epimc.frontend.core.node import Node
from epimc.frontend.model.standard import name_of, operator_of
from epimc.ir.core.attributes import Ref
from epimc.ir.core.op import Op, Value
from epimc.ir.core.types import Location


@dataclass(frozen=True)
class Emitter(Node):
    """A node that appends ops to the module being built.

    Attributes:
        draft: Of the module.
        result: The number of the output after which values are named.
        suffix: What stands behind that name.
        origin: The nodes that the ops stand for, where it is not this one alone.
    """

    draft: Draft
    result: int = 0
    suffix: str = ""
    origin: Location | None = None

    @property
    def batch(self) -> int:
        """What ONNX shapes have on axis 0."""
        return self.draft.batch

    @property
    def opset(self) -> int:
        """The opset of the model."""
        return self.draft.opset

    @property
    def location(self) -> Location:
        """The nodes that the ops stand for."""
        return self.origin or Location(((operator_of(self.proto), name_of(self.proto)),))

    def part(self, name: str, number: int | None = None) -> Emitter:
        """The same for a value on the way to the result, which is named so behind the result."""
        count = "" if number is None else str(number)
        return replace(self, suffix=f"{self.suffix}.{name}{count}")

    def output(self, number: int) -> Emitter:
        """The same for the node's output of a number."""
        return replace(self, result=number)

    def standing_for(self, origin: Location) -> Emitter:
        """The same for ops that stand for several nodes."""
        return replace(self, origin=origin)

    def emit(self, kind: type[Op], operands: Sequence[Value], /, **attributes: Any) -> Value:
        """Append an op that stands for the node, or for a part of it; its shapes are checked.

        Args:
            kind: Of the op.
            operands: Its operands.
            attributes: Its attributes; those that are None are left out.

        Raises:
            UnsupportedError: The op's declaration does not allow it, or its result is too large.
        """
        name = identifier(self.proto.output[self.result]) + self.suffix
        return self.draft.append(kind, operands, name, self.location, attributes)

    def require_room(self, shape: Iterable[int]) -> None:
        """Refuse a result before anything of its size is made.

        Args:
            shape: Of one sample; of sizes below 1 the op itself complains.

        Raises:
            EpimcError: It takes more memory than the limit leaves.
        """
        self.draft.require_room(shape, self.where)

    def store(
        self, array: NDArray[np.floating[Any]], *, of: int | None = None, role: str = ""
    ) -> Ref:
        """Store a constant as float32, for an attribute of an op.

        Args:
            array: The numbers.
            of: The input that they come from and are named after; else that is the first output.
            role: What they are, where they are not what the model has: a part of the name.

        Raises:
            UnsupportedError: A number is too large for float32.
        """
        source = "" if of is None else self.input_name(of)
        name = source or str(self.proto.output[0])
        return self.draft.store(f"{name}.{role}" if role else name, array)

    def store_bytes(self, contents: bytes, *, role: str) -> Ref:
        """Store bytes for an attribute of an op, under the name of the first output.

        Args:
            contents: The bytes.
            role: What they are: a part of the name.
        """
        return self.draft.store_bytes(f"{self.proto.output[0]}.{role}", contents)
