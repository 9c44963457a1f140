"""Modules, and the builder with which passes make them."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from epimc.ir.core.attributes import Ref
from epimc.ir.core.op import Array, Op, Value, dump_attributes
from epimc.ir.core.tensors import Tensor
from epimc.ir.core.types import Location, TensorType


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
        readers: dict[Value, list[Op | None]] = {value: [] for value in self.values()}
        for op in self.ops:
            for operand in op.operands:
                readers[operand].append(op)
        for _, value in self.outputs:
            readers[value].append(None)
        return readers

    def tensor(self, ref: Ref) -> Array:
        """The contents of a stored tensor."""
        return self.tensors[ref.name].array

    def stored(self, ref: Ref) -> TensorType:
        """The type of a stored tensor."""
        return self.tensors[ref.name].type


class Builder:
    """Builds the module that a pass returns, value by value."""

    def __init__(self, source: Module, level: str | None = None) -> None:
        """Start an empty module with the name, attributes, tensors and input names of `source`."""
        self.module = Module(
            source.name, level or source.level, dict(source.attributes), dict(source.tensors)
        )
        self.names = {value.name for value in source.values()}
        self.mapped: dict[Value, Value] = {}
        # The number with which the next name near a base may be free, of values and of tensors.
        self._numbers: dict[tuple[bool, str], int] = {}

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
        stated = {key: value for key, value in attributes.items() if value is not None}
        self.module.ops.append(kind(operands, result, location, stated))
        return result

    def emit(
        self,
        kind: type[Op],
        operands: Sequence[Value],
        result: Value | str,
        location: Location,
        to: TensorType | None = None,
        /,
        **attributes: Any,
    ) -> Value:
        """Append an op whose result's type follows from its operands and attributes.

        Args:
            kind: Of the op.
            operands: Of the new module.
            result: The value of the old module that the result stands for, and is mapped to: its
                name and its range are kept.  Or the name of a new value.
            location: The ONNX nodes that the op stands for.
            to: The result's type, where that does not follow: activations have a scale to choose.
            **attributes: Of the op; those that are None are left out.

        Raises:
            IrError: The operands do not fit together, or the type does not follow.
        """
        name = result if isinstance(result, str) else result.name
        # The type follows from the op itself, which is built over this value.
        new = Value(name, to or TensorType(()), None if isinstance(result, str) else result.range)
        self.add(kind, operands, new, location, **attributes)
        if to is None:
            new.type = self.module.ops[-1].result_type(self.module.stored)
        if isinstance(result, Value):
            self.mapped[result] = new
        return new

    def copy(self, op: Op, **changes: Any) -> Value:
        """Append an op as it was, over mapped operands, with some attributes changed."""
        value = Value(op.output.name, op.output.type, op.output.range)
        attributes = {**dump_attributes(op), **changes}
        operands = [self.mapped[operand] for operand in op.operands]
        self.mapped[op.output] = self.add(type(op), operands, value, op.location, **attributes)
        return value

    def fresh(self, base: str) -> str:
        """A value name near `base` that is not taken."""
        name = self._unique(base, self.names, stored=False)
        self.names.add(name)
        return name

    def store(self, base: str, array: Array, element: str) -> Ref:
        """Put a tensor into the side store; an equal one under the same name is shared."""
        name = self._unique(base, self.module.tensors, stored=True)
        self.module.tensors[name] = Tensor.of(array, element)
        return Ref(name)

    def _unique(self, base: str, taken: Container[str], stored: bool) -> str:
        if base not in taken:
            return base
        # No name becomes free again: what was taken once need not be tried anew.
        number = self._numbers.get((stored, base), 1)
        while (name := f"{base}.{number}") in taken:
            number += 1
        self._numbers[stored, base] = number + 1
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
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, Ref):
            yield item
        elif isinstance(item, Mapping):
            pending += reversed([*item.values()])
        elif isinstance(item, (tuple, list)):
            pending += reversed(item)
