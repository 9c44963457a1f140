"""Ops and values, and the fields from which an op is declared.

An op is a class; its fields say everything the builder, verifier, printer and parser need, and the
traits among its bases (`traits.py`) what passes need to know of it:

    @DIALECT.op
    class Relu(KeepsShape, Clips):
        '''max(x, 0).'''

        name = "nn.relu"
        levels = FLOATS
        bounds = (0.0, math.inf)
        x = Operand(FLOAT)
        result = Result(FLOAT)

        def evaluate(self, inputs, tensors): ...

Every op has exactly one result.  Values have names that passes keep, so that a value can be
followed from the ONNX tensor to the rows of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from epimc.ir.core.attributes import AttributeKind, Plain, Ref
from epimc.ir.core.levels import NN, from_level, up_to
from epimc.ir.core.types import HOST, IrError, Location, TensorType
from epimc.support.diagnostics import Span

T = TypeVar("T")

Array = NDArray[Any]
Lookup = Callable[[Ref], Array]
Stored = Callable[[Ref], TensorType]

# Sets of element types for declarations; `u` and `s` stand for every width.
FLOAT = frozenset({"f32"})
ACTIVATION = frozenset({"u"})
ACCUMULATOR = frozenset({"i64"})
OPAQUE = frozenset({HOST})
VECTOR_OR_MAP = (1, 3)
ANY_RANK = (1, 2, 3)
HOST_RANK = (0,)


@dataclass(eq=False)
class Value:
    """The result of an op, or an input of the module.

    Attributes:
        name: Without the `%`; unique in the module.
        type: Shape of one sample, element, quantization.
        range: Smallest and largest real value seen in calibration.
    """

    name: str
    type: TensorType
    range: tuple[float, float] | None = None


class Operand:
    """Declares one operand, or with `variadic` all of them: allowed elements and ranks.

    There is at least one of variadic operands, unless `least` is 0.
    """

    def __init__(
        self,
        elements: frozenset[str],
        ranks: tuple[int, ...] = ANY_RANK,
        *,
        variadic: bool = False,
        least: int = 1,
    ) -> None:
        self.elements, self.ranks, self.variadic = elements, ranks, variadic
        self.least = least
        self.key = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = name

    @overload
    def __get__(self, op: None, owner: type) -> Operand: ...
    @overload
    def __get__(self, op: Op, owner: type) -> Value: ...
    def __get__(self, op: Op | None, owner: type) -> Operand | Value:
        if op is None:
            return self
        return op.operands[op.operand_indices[self.key]]


@dataclass(frozen=True)
class Result:
    """Declares the result: allowed elements."""

    elements: frozenset[str]


class Attribute(Generic[T]):
    """Declares an attribute: its kind, and its default where it may be left out.

    `stored` restricts a tensor reference: (element types, rank).  An attribute that a pass sets
    exists from the level `since` on: before, it is at its default, which stands for nothing; from
    then on it is something else, unless it is `optional`.  Behind the level `until` it is gone.
    """

    def __init__(
        self,
        kind: AttributeKind[T],
        default: Plain | None = None,
        *,
        optional: bool = False,
        stored: tuple[frozenset[str], int] | None = None,
        since: str = NN,
        until: str | None = None,
    ) -> None:
        self.kind = kind
        self.since, self.until = since, until
        self.optional = optional or (default is not None and since == NN)
        self.default = None if default is None else kind.load(default)
        self.stored = stored
        self.key = ""

    @property
    def levels(self) -> frozenset[str]:
        """Those at which it may be set."""
        behind = from_level(self.since)
        return behind if self.until is None else behind & up_to(self.until)

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = name

    @overload
    def __get__(self, op: None, owner: type) -> Attribute[T]: ...
    @overload
    def __get__(self, op: Op, owner: type) -> T: ...
    def __get__(self, op: Op | None, owner: type) -> Attribute[T] | T:
        if op is None:
            return self
        value: T = op.attributes[self.key]
        return value


class Op:
    """Base of all ops; see the module's docstring for how one is declared.

    Attributes:
        name: In the text: its dialect's name, a dot, its own.
        levels: Where it is legal.
    """

    name: ClassVar[str] = ""
    levels: ClassVar[frozenset[str]] = frozenset()
    operand_fields: ClassVar[dict[str, Operand]] = {}
    operand_indices: ClassVar[dict[str, int]] = {}
    attribute_fields: ClassVar[dict[str, Attribute[Any]]] = {}
    result: ClassVar[Result]

    def __init_subclass__(cls) -> None:
        members: dict[str, object] = {}
        for base in cls.__mro__:
            # What a class declares anew keeps the place that its base gave it.
            members |= {key: members.pop(key, member) for key, member in vars(base).items()}
        cls.operand_fields = {k: m for k, m in members.items() if isinstance(m, Operand)}
        cls.operand_indices = {key: index for index, key in enumerate(cls.operand_fields)}
        cls.attribute_fields = {k: m for k, m in members.items() if isinstance(m, Attribute)}

    def __init__(
        self,
        operands: Sequence[Value],
        output: Value,
        location: Location,
        attributes: Mapping[str, Any] | None = None,
        span: Span | None = None,
    ) -> None:
        """Build an op and check it against its declaration.

        Raises:
            IrError: Unknown, missing or wrong attribute.
        """
        self.operands = list(operands)
        self.output = output
        self.location = location
        self.span = span
        self.attributes = self._load_attributes(dict(attributes or {}))

    def _load_attributes(self, stated: dict[str, Any]) -> dict[str, Any]:
        loaded: dict[str, Any] = {}
        for key, attribute in self.attribute_fields.items():
            value = stated.pop(key, None)
            # What a pass has not set yet is for the verifier, which knows the level.
            if value is None and not attribute.optional and attribute.since == NN:
                raise IrError(f"attribute '{key}' is missing: expected {attribute.kind.expected}")
            try:
                loaded[key] = attribute.default if value is None else attribute.kind.load(value)
            except IrError as problem:
                raise IrError(f"attribute '{key}': {problem}") from None
        # What no field has taken: the first by name, so that the same text gives the same error.
        if stated:
            raise UnknownAttributeError(min(stated), list(self.attribute_fields))
        return loaded

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """Shape of the result, from operands, attributes and stored tensors.

        Raises:
            IrError: They do not fit together.
        """
        raise NotImplementedError(self.name)

    def result_type(self, stored: Stored) -> TensorType:
        """Type of the result, where the declaration and the operands leave no choice.

        A result of floats or accumulators has one element type.  Activations have a scale, which
        somebody must choose, unless the op keeps that of its operands (`traits.Moves`).

        Raises:
            IrError: There is a choice, or the operands do not fit together.
        """
        shape, elements = self.result_shape(stored), self.result.elements
        real = all(operand.type.element == "f32" for operand in self.operands)
        if elements == FLOAT or (elements > FLOAT and real):
            return TensorType(shape)
        if elements == ACCUMULATOR or elements == FLOAT | ACCUMULATOR:
            return TensorType(shape, "i64")
        raise IrError(f"the scale of a result of {self.name} must be chosen")

    def check(self, stored: Stored) -> None:
        """What the declaration cannot say: an op overrides this and raises IrError."""

    def scratch(self, stored: Stored) -> int:
        """Elements that computing one sample takes at once beside operands and result."""
        return 0

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """The op's meaning: arrays with the batch on axis 0 in, the result's array out."""
        raise NotImplementedError(self.name)

    @property
    def is_homogeneous(self) -> bool:
        """Whether it keeps channels apart, in their order, and passes a positive factor on.

        That is: a factor on a channel of its operand is the same factor on that of its result.
        """
        return False

    def tensor_refs(self) -> Iterator[tuple[str, Ref]]:
        """The attributes that reference stored tensors."""
        for key, value in self.attributes.items():
            if isinstance(value, Ref):
                yield key, value


class UnknownAttributeError(IrError):
    """An attribute that the op does not declare."""

    def __init__(self, key: str, known: list[str]) -> None:
        super().__init__(f"unknown attribute '{key}'")
        self.key, self.known = key, known


def dump_attributes(op: Op) -> dict[str, Plain]:
    """The attributes as plain values, those left at their default omitted."""
    plain: dict[str, Plain] = {}
    for key, attribute in op.attribute_fields.items():
        value = op.attributes[key]
        if value is not None and value != attribute.default:
            plain[key] = attribute.kind.dump(value)
    return plain


def activations(array: Array) -> NDArray[np.int64]:
    """An array of activations as int64, for the integer semantics."""
    return array.astype(np.int64)


def per_channel(values: Array, rank: int) -> Array:
    """[C], to be broadcast over arrays [batch, C, …] of so many dims."""
    return values.reshape((1, -1) + (1,) * (rank - 2))
