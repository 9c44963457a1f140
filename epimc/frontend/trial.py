"""The first walk through a model: constants are folded, and every node is tried on the chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper

from epimc.backends.onnx.large import LargeModel
from epimc.frontend.chip import Chip, is_real_input
from epimc.frontend.core.bindings import (
    Array,
    Binding,
    HostTensor,
    MoreDims,
    Padded,
    Rounded,
    Unknown,
    shape_of,
    type_of,
)
from epimc.frontend.core.draft import Draft
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.node_checks import check_node
from epimc.frontend.core.operator import lookup
from epimc.frontend.core.steps import Scope, Step
from epimc.frontend.folding import Folder, constant_of
from epimc.frontend.inference import Inference
from epimc.frontend.macs import constant_macs, macs_of, refuse_long_work
from epimc.frontend.model.branches import taken_branch
from epimc.frontend.model.domains import why_unknown
from epimc.frontend.model.installed import typed
from epimc.frontend.model.scopes import all_names, fresh_names, names_read
from epimc.frontend.model.standard import DEFAULT_DOMAINS, name_of, operator_of, opset_of
from epimc.frontend.ports import Entries
from epimc.support.diagnostics import EpimcError, error
from epimc.support.limits import Budget
from epimc.support.origins import EVERY_NODE, Node

Kinds = Mapping[str, onnx.TypeProto]


def live_nodes(
    nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]
) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes on which an output depends, in order, and the tensors that somebody reads."""
    needed = set(outputs)
    live = []
    # Nodes stand in the order of execution, so that readers are seen before what they read.
    for node in reversed(nodes):
        if needed.intersection(filter(None, node.output)):
            live.append(node)
            needed.update(names_read(node))
    return live[::-1], needed


class Trial:
    """A model with every node on the chip that can be there.

    Attributes:
        steps: The nodes that are no constants, in order.
        scope: The tensors.
        draft: The module that the chip's nodes make, which is complete where the host has none.
        outputs: The tensors that are the model's outputs, by the names of these.
    """

    def __init__(
        self,
        large: LargeModel,
        entries: Entries,
        name: str,
        budget: Budget,
        known: Kinds,
        hosted: Mapping[Node, str],
    ) -> None:
        """Walk through a model.

        Args:
            large: Prepared: without functions and sparse tensors.
            entries: Its inputs.
            name: Of the module.
            budget: Bounds what is made.
            known: Types of tensors that ONNX's inference does not tell.
            hosted: Nodes that the chip cannot have, by op type and name, and why.

        Raises:
            EpimcError: The model contradicts itself, or exceeds a limit.
        """
        model = large.proto
        self.large, self.model, self.known, self.hosted = large, model, known, hosted
        self._runs: bool | None = None
        self.draft = Draft(name, entries.batch, opset_of(model) or 0, budget)
        opsets = {entry.domain: entry.version for entry in model.opset_import}
        self.scope = Scope(
            tuple(entries.kinds),
            entries.batch,
            entries.samples_first,
            kinds={**entries.kinds},
            opsets=opsets,
        )
        self.chip = Chip(self.draft, self.scope)
        self.inference = Inference(model, entries.batch)
        self.folder = Folder(large, entries.batch, budget)
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.fresh = fresh_names(all_names(model.graph))
        self.steps: list[Step] = []
        for entry, kind in entries.kinds.items():
            if is_real_input(kind, entries.batch):
                shape = [dim.dim_value for dim in kind.tensor_type.shape.dim]
                self.chip.bound[entry] = self.draft.input(entry, tuple(shape[1:]))
            else:
                self.chip.pretend(entry)
        outputs = [output.name for output in model.graph.output]
        nodes, self.chip.needed = live_nodes(model.graph.node, outputs)
        for node in nodes:
            self.visit(node)
        self.outputs = {name: self.given(name) for name in outputs}

    def runs(self) -> bool:
        """Whether onnxruntime takes the model in which ONNX's inference sees a contradiction."""
        if self._runs is None:
            outputs = [output.name for output in self.model.graph.output]
            self._runs = bool(typed(self.model, outputs))
        return self._runs

    @property
    def unknown(self) -> list[str]:
        """Tensors of which nothing is known."""
        made = (name for step in self.steps for name in step.makes)
        return [name for name in made if name not in self.scope.kinds]

    def given(self, name: str) -> str:
        """The tensor that is an output: a copy where no node computes one as users have it.

        One that is an input is not copied: it has one name.
        """
        contents, scope = self.contents(name), self.scope
        if name in scope.inputs:
            return name
        binding = self.chip.bound.get(name)
        taken = [value for _, value in self.draft.module.inputs]
        is_plain = not isinstance(binding, (MoreDims, Padded, Rounded)) and binding not in taken
        if contents is None and is_plain:
            if binding is None:
                raise error(f"Output '{name}' is not computed by any node.")
            # The chip gives float32.
            if isinstance(binding, HostTensor) or not scope.needs_cast(name):
                return name
        if contents is not None:
            element = helper.np_dtype_to_tensor_dtype(contents.dtype)
            scope.kinds[name] = helper.make_tensor_type_proto(element, contents.shape)
        copy = self.fresh(f"{name}.copy")
        proto = helper.make_node("Identity", [name], [copy], copy)
        scope.kinds[copy] = scope.kinds[name]
        reason = "nothing on the chip computes it"
        self.steps.append(Step(proto, (name,), (copy,), reason, copies=True))
        self.chip.pretend(copy)
        return copy

    def contents(self, name: str) -> Array | None:
        """The contents of a constant; None for what is none."""
        constants = self.scope.constants
        if name not in constants and name in self.initializers:
            # On first use: what nobody reads is not decoded.
            constants[name] = constant_of(self.initializers[name], self.large)
        return constants.get(name)

    def visit(self, proto: onnx.NodeProto) -> None:
        """Fold a node, or note it as a step of the model."""
        if self.visit_branch(proto):
            return
        reads = names_read(proto)
        inputs: dict[str, Binding] = {}
        for name in reads:
            contents = self.contents(name)
            inputs[name] = Unknown(self.scope.kinds.get(name)) if contents is None else contents
        named = {name: inputs[name] for name in proto.input if name}
        if proto.domain in DEFAULT_DOMAINS:
            check_node(proto, named, self.draft.batch)
        kinds = self.inferred(proto, inputs)
        step = Step(proto, tuple(reads), tuple(filter(None, proto.output)))
        step.reason = why_unknown(proto, self.scope.opsets.get(proto.domain, 1))
        try:
            folded = None if step.reason else self.folder.fold(proto, named, kinds)
        except UnsupportedError as problem:
            folded, step.reason = None, str(problem)
        node = operator_of(proto), name_of(proto)
        step.reason = step.reason or self.hosted.get(node) or self.hosted.get(EVERY_NODE, "")
        if folded is not None:
            results = zip(proto.output, folded, strict=False)
            self.scope.constants.update((name, array) for name, array in results if name)
            return
        self.scope.kinds |= kinds
        self.place(step)

    def place(self, step: Step) -> None:
        """Try a node on the chip."""
        step.macs = macs_of(step.proto, self.scope)
        if not step.reason:
            try:
                self.chip.compute(step)
            except UnsupportedError as problem:
                step.reason = str(problem)
        if step.reason:
            refuse_long_work(step.proto, self.scope)
            for name in step.makes:
                self.draft.require_host_room(shape_of(self.scope.kinds.get(name)) or (), step.place)
                self.chip.pretend(name)
        else:
            self.note_shapes(step)
            step.work = constant_macs(step.proto, self.scope, step.macs)
            bound = self.chip.bound
            self.scope.stay.update(
                name for name in step.makes if isinstance(bound.get(name), (Padded, Rounded))
            )
        self.steps.append(step)

    def note_shapes(self, step: Step) -> None:
        """The chip has computed shapes: they stand where ONNX's inference says another.

        That leaves dims out of a transposed convolution that is to be smaller than its map.
        """
        for name in step.makes:
            own = type_of(self.chip.bound.get(name, Unknown()), self.scope.batch)
            kind = self.scope.kinds.get(name)
            if own is not None and kind is not None and shape_of(kind) != shape_of(own):
                element = kind.tensor_type.elem_type
                self.scope.kinds[name] = helper.make_tensor_type_proto(element, shape_of(own))

    def inferred(self, proto: onnx.NodeProto, inputs: Mapping[str, Binding]) -> Kinds:
        """The types of a node's results, as far as they are known."""
        try:
            kinds = self.inference.outputs(proto, inputs)
        except EpimcError:
            # ONNX may know less than onnxruntime, of other operators or of what these take.
            if is_known(proto) and not self.runs():
                raise
            kinds = {}
        asked = {name: self.known[name] for name in proto.output if name in self.known}
        return asked | {name: kind for name, kind in kinds.items() if kind.WhichOneof("value")}

    def visit_branch(self, proto: onnx.NodeProto) -> bool:
        """Visit the branch of an If that its condition takes, where that is known."""
        if proto.op_type != "If" or proto.domain not in DEFAULT_DOMAINS:
            return False
        condition = self.contents(proto.input[0])
        if not isinstance(condition, np.ndarray) or condition.size != 1:
            return False
        branch = taken_branch(proto, bool(condition.ravel()[0]), self.fresh)
        self.initializers.update((tensor.name, tensor) for tensor in branch.initializers)
        nodes, needed = live_nodes(branch.nodes, [name for name in proto.output if name])
        self.chip.needed |= needed
        for node in nodes:
            self.visit(node)
        return True


def is_known(proto: onnx.NodeProto) -> bool:
    """Whether epimc has a record of a node's operator."""
    return proto.domain in DEFAULT_DOMAINS and lookup(proto.op_type) is not None
