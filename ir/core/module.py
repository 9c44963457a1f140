"""The IR itself: modules of values and ops, and the fields from which an op is declared.

An op is a class; its fields say everything the builder, verifier, printer and parser need:

    class Relu(Op):
        '''max(x, 0).'''

        name = "nn.relu"
        levels = FLOATS
        x = Operand(FLOAT)
        result = Result(FLOAT)

        def result_shape(self, stored): ...
        def evaluate(self, inputs, tensors): ...

Every op has exactly one result.  Values have names that passes keep, so that a value can be
followed from the ONNX tensor to the rows of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from epimc.ir.core.attributes import Kind, Plain, Ref
from epimc.ir.core.levels import NN, from_level, up_to
from epimc.ir.core.tensors import Tensor
from epimc.ir.core.types import IrError, Location, TensorType
from epimc.support.diagnostics import Span

T = TypeVar("T")

Array = NDArray[Any]
Lookup = Callable[[Ref], Array]
Stored = Callable[[Ref], TensorType]

# Sets of element types for declarations; `u` and `s` stand for every width.
FLOAT = frozenset({"f32"})
ACTIVATION = frozenset({"u"})
ACCUMULATOR = frozenset({"i64"})
VECTOR_OR_MAP = (1, 3)
ANY_RANK = (1, 2, 3)


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
    """Declares one operand, or with `variadic` all of them: allowed elements and ranks."""

    def __init__(
        self,
        elements: frozenset[str],
        ranks: tuple[int, ...] = ANY_RANK,
        *,
        variadic: bool = False,
    ) -> None:
        self.elements, self.ranks, self.variadic = elements, ranks, variadic
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
        kind: Kind[T],
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

    def _load_attributes(self, given: dict[str, Any]) -> dict[str, Any]:
        loaded: dict[str, Any] = {}
        for key, attribute in self.attribute_fields.items():
            value = given.pop(key, None)
            # What a pass has not set yet is for the verifier, which knows the level.
            if value is None and not attribute.optional and attribute.since == NN:
                raise IrError(f"attribute '{key}' is missing: expected {attribute.kind.expected}")
            try:
                loaded[key] = attribute.default if value is None else attribute.kind.load(value)
            except IrError as problem:
                raise IrError(f"attribute '{key}': {problem}") from None
        if given:
            raise UnknownAttributeError(min(given), list(self.attribute_fields))
        return loaded

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """Shape of the result, from operands, attributes and stored tensors.

        Raises:
            IrError: They do not fit together.
        """
        raise NotImplementedError(self.name)

    def check(self, stored: Stored) -> None:
        """What the declaration cannot say: an op overrides this and raises IrError."""

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


@dataclass
class Module:
    """A whole model at one level of the IR.

    Attributes:
        name: Of the model.
        level: What is true of it (`levels.py`).
        attributes: What the passes need to go on: the target, the passes that ran, …
        tensors: The side store, by name.
        inputs: (ONNX name, value).
        ops: In execution order.
        outputs: (ONNX name, value).
    """

    name: str
    level: str
    attributes: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    inputs: list[tuple[str, Value]] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    outputs: list[tuple[str, Value]] = field(default_factory=list)

    def values(self) -> Iterator[Value]:
        """All values: inputs, then results in order."""
        yield from (value for _, value in self.inputs)
        yield from (op.output for op in self.ops)

    def producers(self) -> dict[Value, Op]:
        """The op of each value that is not an input."""
        return {op.output: op for op in self.ops}

    def uses(self) -> dict[Value, list[Op | None]]:
        """The ops that read each value, once per operand; None stands for a module output."""
        found: dict[Value, list[Op | None]] = {value: [] for value in self.values()}
        for op in self.ops:
            for operand in op.operands:
                found[operand].append(op)
        for _, value in self.outputs:
            found[value].append(None)
        return found

    def tensor(self, ref: Ref) -> Array:
        """The contents of a stored tensor."""
        return self.tensors[ref.name].array


class Builder:
    """Builds the module that a pass returns, value by value."""

    def __init__(self, source: Module, level: str | None = None) -> None:
        """Start an empty module with the name, attributes, tensors and input names of `source`."""
        self.module = Module(
            source.name, level or source.level, dict(source.attributes), dict(source.tensors)
        )
        self.names = {value.name for value in source.values()}
        self.mapped: dict[Value, Value] = {}

    def input(self, name: str, old: Value, new_type: TensorType | None = None) -> Value:
        """Carry an input over, perhaps with another type."""
        value = Value(old.name, new_type or old.type, old.range)
        self.module.inputs.append((name, value))
        self.mapped[old] = value
        return value

    def inputs_of(self, source: Module) -> None:
        """Carry all inputs over unchanged."""
        for name, value in source.inputs:
            self.input(name, value)

    def outputs_of(self, source: Module) -> None:
        """Carry the outputs over: each to what its value was mapped to."""
        self.module.outputs = [(name, self.mapped[value]) for name, value in source.outputs]

    def add(
        self,
        kind: type[Op],
        operands: Sequence[Value],
        result: Value,
        location: Location,
        /,
        **attributes: Any,
    ) -> Value:
        """Append an op; returns its result."""
        given = {key: value for key, value in attributes.items() if value is not None}
        self.module.ops.append(kind(operands, result, location, given))
        return result

    def copy(self, op: Op, **changes: Any) -> Value:
        """Append an op as it was, over mapped operands, with some attributes changed."""
        value = Value(op.output.name, op.output.type, op.output.range)
        attributes = {**dump_attributes(op), **changes}
        operands = [self.mapped[operand] for operand in op.operands]
        self.mapped[op.output] = self.add(type(op), operands, value, op.location, **attributes)
        return value

    def fresh(self, base: str) -> str:
        """A value name near `base` that is not taken."""
        name = self._unique(base, self.names)
        self.names.add(name)
        return name

    def store(self, base: str, array: Array, element: str) -> Ref:
        """Put a tensor into the side store; an equal one under the same name is shared."""
        name = self._unique(base, self.module.tensors)
        self.module.tensors[name] = Tensor.of(array, element)
        return Ref(name)

    @staticmethod
    def _unique(base: str, taken: Container[str]) -> str:
        name, number = base, 1
        while name in taken:
            name, number = f"{base}.{number}", number + 1
        return name

    def finish(self) -> Module:
        """The module, without the tensors that nothing references any more."""
        module = self.module
        used = {ref.name for op in module.ops for _, ref in op.tensor_refs()}
        used |= {ref.name for ref in refs_in(module.attributes)}
        module.tensors = {name: t for name, t in module.tensors.items() if name in used}
        return module


def refs_in(value: Any) -> Iterator[Ref]:
    """The references inside an attribute value."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from refs_in(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from refs_in(item)


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
