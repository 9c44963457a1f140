"""What runs on the chip: nodes to ops of the IR, by the importer in each operator's record."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx

import epimc.frontend.operators  # noqa: F401  (it registers its records)
from epimc.frontend.core.bindings import (
    Binding,
    HostTensor,
    MoreDims,
    Padded,
    Rounded,
    Unknown,
    shape_of,
    type_of,
)
from epimc.frontend.core.draft import Draft, identifier
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.functions import as_function
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import OnnxOperator, lookup
from epimc.frontend.core.steps import Scope, Step
from epimc.frontend.model.domains import no_form
from epimc.frontend.model.standard import DEFAULT_DOMAINS, KNOWN_OPSET
from epimc.frontend.ports import port_type
from epimc.ir.core.op import ANY_RANK, Value
from epimc.ir.core.types import Location, host_value
from epimc.ir.dialects import host
from epimc.ir.semantics.layouts import factors


class Chip:
    """The chip's part of a module that is being built.

    Attributes:
        draft: Of the module.
        scope: The tensors of the model.
        bound: What they are, as far as they are made.
        reals: Of tensors of the host that hold other reals than float32: the same in float32.
        needed: The tensors that somebody reads.
    """

    def __init__(self, draft: Draft, scope: Scope) -> None:
        self.draft, self.scope = draft, scope
        self.bound: dict[str, Binding] = {}
        self.reals: dict[str, HostTensor] = {}
        self.needed: set[str] = set()
        self._entered: dict[str, Value | MoreDims] = {}

    def compute(self, step: Step) -> None:
        """Import a node, and bind its results.

        Raises:
            UnsupportedError: The chip cannot compute it.
        """
        proto = step.proto
        try:
            listed = self.imported(proto)
        except UnsupportedError:
            function = self.function(proto)
            if function is None:
                raise
            listed = [function]
        results = dict(zip(filter(None, proto.output), listed, strict=False))
        self.bound.update(results)
        for name, item in results.items():
            self.note_kind(name, item)

    def note_kind(self, name: str, item: Binding) -> None:
        """Note the type of a tensor of which ONNX has told no shape."""
        known = self.scope.kinds.get(name)
        if shape_of(known) is not None or not isinstance(item, (Value, MoreDims)):
            return
        kind = type_of(item, self.draft.batch)
        assert kind is not None
        if known is not None and known.tensor_type.elem_type:
            kind.tensor_type.elem_type = known.tensor_type.elem_type
        self.scope.kinds[name] = kind

    def imported(self, proto: onnx.NodeProto) -> list[Binding]:
        """The results of a node, by the importer of its operator.

        Raises:
            UnsupportedError: There is none, or it cannot import the node.
        """
        record = self.record_of(proto)
        operands = {name: self.operand(name) for name in proto.input if name}
        self.require_few_dims(record, operands)
        self.require_one_result(record, proto)
        assert record.importer is not None
        results = record.importer(self.emitter(proto, operands))
        return [*results] if isinstance(results, list) else [results]

    def function(self, proto: onnx.NodeProto) -> Binding | None:
        """The result of a node that is a function of each element; None where it is none.

        Raises:
            UnsupportedError: It is one, and the chip cannot take its input, or loses too much.
        """
        operands = {name: self.operand(name) for name in proto.input if name}
        return as_function(self.emitter(proto, operands), self.scope.opsets)

    def emitter(self, proto: onnx.NodeProto, operands: Mapping[str, Binding]) -> Emitter:
        """What importers get of a node."""
        shape = shape_of(self.scope.kinds.get(proto.output[0]))
        inputs = tuple(operands[name] if name else None for name in proto.input)
        return Emitter(proto, inputs, shape, self.draft)

    def record_of(self, proto: onnx.NodeProto) -> OnnxOperator:
        """The record of a node's operator.

        Raises:
            UnsupportedError: There is none, or not for this version of it.
        """
        record = lookup(proto.op_type) if proto.domain in DEFAULT_DOMAINS else None
        if record is None or record.importer is None:
            raise UnsupportedError(no_form(proto))
        opset = self.draft.opset
        if opset < record.since:
            raise UnsupportedError(f"it is supported from opset {record.since} on only")
        since = onnx.defs.get_schema(record.op_type, opset, "").since_version
        if since > KNOWN_OPSET:
            raise UnsupportedError(
                f"opset {since} has changed it, and epimc knows opsets up to {KNOWN_OPSET}"
            )
        return record

    def operand(self, name: str) -> Binding:
        """What a tensor is to the chip.

        Raises:
            UnsupportedError: The host has it, and the chip cannot take it.
        """
        if name in self.scope.constants:
            return self.scope.constants[name]
        binding = self.bound.get(name, Unknown())
        return self.entered(name, binding) if isinstance(binding, HostTensor) else binding

    def entered(self, name: str, tensor: HostTensor) -> Value | MoreDims:
        """A tensor of the host as reals for the chip, once for all that read it.

        Raises:
            UnsupportedError: It has another type, or axis 0 counts no samples.
        """
        if name not in self._entered:
            shape, first = self.scope.entering(name)
            tensor = self.reals.get(name, tensor)
            own = value_shape(shape)
            label = identifier(name)
            value = self.draft.append(host.Real, [tensor.value], label, Location(), {"shape": own})
            dims = factors(own, tuple(range(len(own))))
            view = MoreDims(value, dims, shape, Location(), samples_first=first)
            self._entered[name] = value if first and own == shape else view
        return self._entered[name]

    def require_few_dims(self, record: OnnxOperator, operands: dict[str, Binding]) -> None:
        """Raise UnsupportedError for what the operator's importer does not take."""
        for name, item in operands.items():
            is_taken = (
                (isinstance(item, MoreDims) and record.more_dims)
                or (isinstance(item, Padded) and record.op_type == "MaxPool")
                or (isinstance(item, Rounded) and record.op_type == "DequantizeLinear")
            )
            if isinstance(item, (MoreDims, Padded, Rounded)) and not is_taken:
                raise UnsupportedError(f"its input '{name}' {item.refusal(self.draft.batch)}")

    def require_one_result(self, record: OnnxOperator, proto: onnx.NodeProto) -> None:
        """Raise UnsupportedError where more results are read than the importer gives."""
        if record.all_results:
            return
        for name in filter(None, proto.output[1:]):
            if name in self.needed:
                raise UnsupportedError(f"its output '{name}' is used")

    def host_tensor(self, name: str, value: Value) -> None:
        """Bind a tensor that the host has."""
        self.bound[name] = HostTensor(self.scope.kinds.get(name), value)

    def pretend(self, name: str) -> None:
        """Bind a tensor that the host has, in a module that nobody keeps."""
        words = str(port_type(self.scope.kinds.get(name), self.scope.batch))
        self.host_tensor(name, Value(identifier(name), host_value(words)))


def value_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A value's for a tensor's elements: more dims than it has lie one behind the other."""
    if len(shape) in ANY_RANK:
        return shape
    return (shape[0], math.prod(shape[1:-1]), shape[-1]) if shape else (1,)


def is_real_input(kind: onnx.TypeProto | None, batch: int) -> bool:
    """Whether the chip takes an input as it is: float32 samples of one to three dims."""
    shape = shape_of(kind)
    if kind is None or shape is None or not kind.HasField("tensor_type"):
        return False
    real = kind.tensor_type.elem_type == onnx.TensorProto.FLOAT
    return real and len(shape) - 1 in ANY_RANK and shape[0] == batch and min(shape) >= 1
