"""The module of a model of which a part runs on the host."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from epimc.frontend.chip import Chip, is_real_input
from epimc.frontend.core.bindings import HostTensor, shape_of
from epimc.frontend.core.draft import Draft, identifier
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.steps import Scope, Step, readers_of
from epimc.frontend.fragments import Fragment
from epimc.frontend.model.installed import newest_proof
from epimc.frontend.model.opsets import at_opset, in_older_opset
from epimc.frontend.model.standard import name_of, operator_of, opset_of
from epimc.frontend.partition import Graph, Node, Partition, Tensor, partition
from epimc.frontend.ports import port_type
from epimc.ir.core.op import Op, Value
from epimc.ir.core.types import Location, host_value
from epimc.ir.dialects import host

BYTES = 4

# The oldest opset in which the integer reference has its operators.
OLDEST_PROOF = 13

# The oldest in which what the host gives can be copied, where it is no tensor: by Identity.
OLDEST_COPIES = {"sequence_type": 14, "optional_type": 16}


def partition_of(steps: Sequence[Step], scope: Scope) -> Partition:
    """Where the nodes of a model run."""
    readers = readers_of(steps)
    makers = {name: number for number, step in enumerate(steps) for name in step.makes}
    tensors = []
    for name in dict.fromkeys((*scope.inputs, *makers)):
        # To give an output costs nothing, wherever it is made.
        for copied in (False, True):
            chosen = tuple(n for n in readers.get(name, ()) if steps[n].copies == copied)
            size = 0 if copied else size_of(scope.kinds.get(name))
            leaves, enters = name not in scope.stay, scope.enters(name)
            if chosen or not copied:
                tensors.append(Tensor(makers.get(name), chosen, size, leaves, enters))
    nodes = tuple(Node(not step.reason, step.work) for step in steps)
    return partition(Graph(nodes, tuple(tensors)))


def size_of(kind: onnx.TypeProto | None) -> int:
    """Bytes of a tensor as reals; of one whose size is not known a single one."""
    return BYTES * math.prod(shape_of(kind) or (1,))


class RefusedError(Exception):
    """A node that the chip was to compute, and cannot in this company."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number, self.reason = number, reason


class UnliftedError(Exception):
    """A part of the host in an old opset that cannot be brought to a newer one."""


@dataclass
class Assembly:
    """A model, chip and host.

    Attributes:
        model: As it was prepared.
        steps: Its nodes in order.
        scope: Its tensors.
        split: Where they run.
        outputs: The tensors that it gives.
        chip: The module in the making.
        calls: How many calls of the host there are so far.
    """

    model: onnx.ModelProto
    steps: Sequence[Step]
    scope: Scope
    split: Partition
    outputs: frozenset[str]
    chip: Chip
    calls: int = 0

    @staticmethod
    def of(
        model: onnx.ModelProto,
        steps: Sequence[Step],
        scope: Scope,
        outputs: Sequence[str],
        draft: Draft,
    ) -> Assembly:
        """Decide where each node runs, and build the module.

        Args:
            model: As it was prepared.
            steps: Its nodes.
            scope: Its tensors.
            outputs: Those that it gives.
            draft: An empty module.

        Raises:
            RefusedError: The chip cannot compute a node that it was to.
            EpimcError: A limit is exceeded.
        """
        split = partition_of(steps, scope)
        ends = frozenset(outputs)
        assembly = Assembly(model, steps, scope, split, ends, Chip(draft, scope))
        assembly.chip.needed = {name for step in steps for name in step.reads} | ends
        assembly.declare_inputs()
        assembly.build()
        return assembly

    def declare_inputs(self) -> None:
        """An input that the chip alone reads is reals; any other is the host's."""
        hosted = self.outputs.union(
            name
            for number, step in enumerate(self.steps)
            if number not in self.split.chip
            for name in step.reads
        )
        draft = self.chip.draft
        for name in self.scope.inputs:
            kind = self.scope.kinds[name]
            if name not in hosted and is_real_input(kind, self.scope.batch):
                shape = [dim.dim_value for dim in kind.tensor_type.shape.dim]
                self.chip.bound[name] = draft.input(name, tuple(shape[1:]))
                continue
            first = self.scope.samples_first
            words = str(port_type(kind, self.scope.batch, samples_first=first))
            value = Value(draft.builder.fresh(identifier(name)), host_value(words))
            draft.module.inputs.append((name, value))
            self.chip.host_tensor(name, value)

    def build(self) -> None:
        """Append everything, in the order in which it can run."""
        starts = {part[0]: part for part in self.split.parts}
        readers = readers_of(self.steps)
        # Inputs of other types, of which no node of the host makes anything.
        if casts := self.casts_of(self.scope.inputs, readers):
            self.call(casts, [step.makes[0] for step in casts])
            self.bind_casts(casts)
        for number in self.split.order:
            step = self.steps[number]
            if number in starts:
                part = starts[number]
                steps = [self.steps[k] for k in part]
                made = [name for step in steps for name in step.makes]
                casts = self.casts_of(made, readers)
                results = self.results_of(part, readers)
                self.call([*steps, *casts], [*results, *(step.makes[0] for step in casts)])
                self.bind_casts(casts)
            elif number in self.split.chip:
                try:
                    self.chip.compute(step)
                except UnsupportedError as problem:
                    raise RefusedError(number, str(problem)) from None

    def results_of(self, part: Sequence[int], readers: Mapping[str, list[int]]) -> list[str]:
        """The tensors of a part that others read."""
        chosen = []
        for name in (name for number in part for name in self.steps[number].makes):
            outside = {*readers.get(name, ())}.difference(part)
            # The chip reads what is cast for it in its place.
            if self.scope.needs_cast(name):
                outside -= self.split.chip
            if outside or name in self.outputs:
                chosen.append(name)
        return chosen

    def casts_of(self, names: Iterable[str], readers: Mapping[str, list[int]]) -> list[Step]:
        """Nodes that cast tensors of the host to float32, which the chip takes."""
        taken = (
            name
            for name in names
            if self.scope.needs_cast(name)
            and self.scope.enters(name)
            and not self.split.chip.isdisjoint(readers.get(name, ()))
        )
        return [cast_step(name) for name in taken]

    def call(self, steps: Sequence[Step], results: Sequence[str]) -> None:
        """Append a call of the host."""
        draft = self.chip.draft
        fragment = Fragment(self.scope, self.chip.bound, self.chip.draft.opset)
        model = self.lifted(fragment.model(self.model, steps, results))
        data = np.frombuffer(model.SerializeToString(deterministic=True), np.uint8)
        self.calls += 1
        name = draft.builder.fresh(f"host{self.calls}")
        location = Location(tuple((operator_of(s.proto), name_of(s.proto)) for s in steps))
        stored = draft.builder.store(f"{name}.fragment", data, "u8")
        call = self.append(host.Call, fragment.operands, name, location, fragment=stored)
        for index, tensor in enumerate(results):
            words = str(port_type(self.scope.kinds.get(tensor), self.scope.batch))
            value = Value(draft.builder.fresh(identifier(tensor)), host_value(words))
            draft.module.ops.append(host.ResultOf([call], value, location, {"index": index}))
            self.chip.host_tensor(tensor, value)

    def oldest_opset(self) -> int:
        """The first opset in which the integer reference can have the model's outputs."""
        kinds = (self.scope.kinds.get(name) for name in self.outputs)
        words = [kind.WhichOneof("value") for kind in kinds if kind is not None]
        copies = max((OLDEST_COPIES.get(word, 0) for word in words if word), default=0)
        return max(copies, OLDEST_PROOF if self.split.chip else 0)

    def lifted(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """A part in an opset in which the integer reference can have it, as all other parts.

        Raises:
            UnliftedError: It has no form there, and the chip has a part in the reference.
        """
        own, oldest = opset_of(model) or 0, self.oldest_opset()
        if self.split.chip and own > newest_proof():
            moved = in_older_opset(model, newest_proof())
        else:
            moved = at_opset(model, max(own, oldest))
        if moved is None and self.split.chip:
            raise UnliftedError
        return moved or model

    def bind_casts(self, casts: Sequence[Step]) -> None:
        """Let the chip take what was cast for it."""
        for step in casts:
            made = self.chip.bound.pop(step.makes[0])
            assert isinstance(made, HostTensor)
            self.chip.reals[step.reads[0]] = made

    def append(
        self,
        kind: type[Op],
        operands: Sequence[Value],
        name: str,
        location: Location,
        **stated: object,
    ) -> Value:
        """Append an op whose result the host has."""
        value = Value(name, host_value("results"))
        self.chip.draft.module.ops.append(kind(operands, value, location, stated))
        return value


def cast_step(name: str) -> Step:
    """A node that casts a tensor to float32."""
    made = f"{name}.float32"
    proto = helper.make_node("Cast", [name], [made], made, to=TensorProto.FLOAT)
    return Step(proto, (name,), (made,), "the chip takes float32")
