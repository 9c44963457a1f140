"""ONNX models to the IR's level `nn`.

Node by node, in the order of the model: a constant node is folded, any other goes to the importer
in its operator's record.  What is not supported is collected over the whole model, so
that one message names all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

import epimc.frontend.operators  # noqa: F401  (it registers its records)
from epimc.frontend.core.bindings import Binding, MoreDims, Unknown, shape_of
from epimc.frontend.core.draft import Draft
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.functions import Functions, Run
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.node_checks import check_node
from epimc.frontend.core.operator import Importer, OnnxOperator, imported_names, lookup
from epimc.frontend.folding import GROWTH, Folder, constant_of
from epimc.frontend.inference import Inference
from epimc.frontend.model.checks import check_model
from epimc.frontend.model.external import external_tensors
from epimc.frontend.model.inputs import graph_inputs
from epimc.frontend.model.loader import load_model
from epimc.frontend.model.standard import DEFAULT_DOMAINS, NEWEST_OPSET, opset_of, where_of
from epimc.ir.core.liveness import refuse_large_maps
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value
from epimc.support.diagnostics import EpimcError, error, shortened
from epimc.support.files import as_text
from epimc.support.limits import DEFAULT_BYTES, LONGEST_NAME, MOST_NODES, MOST_PORTS, Budget


@dataclass(frozen=True)
class ImportedModel:
    """A model in the IR, and the model that it was.

    Attributes:
        module: At level `nn`.
        sha256: Of the model file and its external data (`loader.LoadedModel`); empty when the
            model came from memory.
        model: The user's own, with its external data.
        inputs: (ONNX name, shape of one sample).
        outputs: (ONNX name, shape of one sample).
    """

    module: Module
    sha256: str
    model: onnx.ModelProto
    inputs: list[tuple[str, tuple[int, ...]]]
    outputs: list[tuple[str, tuple[int, ...]]]


def import_model(
    path: Path,
    *,
    limit_bytes: int = DEFAULT_BYTES,
    newest_opset: int = NEWEST_OPSET,
    run: Run | None = None,
) -> ImportedModel:
    """Import a model file.

    Args:
        path: Of the ONNX file; its stem names the module.
        limit_bytes: The most that the file, its external data and all tensors may take together.
        newest_opset: The newest opset of the default domain to accept.
        run: Evaluates small models, by which functions of each element are known.

    Raises:
        EpimcError: The file is no good ONNX model, or epimc does not support what is in it.
    """
    loaded = load_model(path, limit_bytes, newest_opset)
    budget = Budget(limit_bytes, f"Model file '{path}'")
    return _imported(loaded.model, as_text(path.stem), loaded.sha256, budget, run)


def import_proto(
    model: onnx.ModelProto,
    name: str,
    *,
    limit_bytes: int = DEFAULT_BYTES,
    run: Run | None = None,
) -> ImportedModel:
    """Import a model from memory; its tensors hold their data themselves.

    Args:
        model: As the user has it.
        name: Of the module.
        limit_bytes: The most that the model and all tensors may take together.
        run: As `import_model`.

    Raises:
        EpimcError: It is no good ONNX model, or epimc does not support what is in it.
    """
    for tensor in external_tensors(model):
        raise error(
            f"Tensor '{tensor.name}' has external data, which is not loaded.",
            hint="Import the model from its file.",
        )
    check_model(model, NEWEST_OPSET)
    return _imported(model, name, "", Budget(limit_bytes, f"Model '{name}'"), run)


def _imported(
    model: onnx.ModelProto, name: str, sha256: str, budget: Budget, run: Run | None
) -> ImportedModel:
    module = _Import(model, name, budget, run).run()
    inputs, outputs = (
        [(onnx_name, value.type.shape) for onnx_name, value in pairs]
        for pairs in (module.inputs, module.outputs)
    )
    return ImportedModel(module, sha256, model, inputs, outputs)


def refuse_many(graph: onnx.GraphProto) -> None:
    """Raise EpimcError for more nodes, inputs or outputs than are read, and for endless names."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in constants]
    for count, most, what in (
        (len(graph.node), MOST_NODES, "nodes"),
        (len(inputs), MOST_PORTS, "inputs"),
        (len(graph.output), MOST_PORTS, "outputs"),
    ):
        if count > most:
            raise error(f"The model has {count} {what}; the limit is {most}.")
    for entry in (*inputs, *graph.output):
        if len(entry.name) > LONGEST_NAME:
            raise error(
                f"The name '{shortened(entry.name)}' of an input or output has "
                f"{len(entry.name)} characters; the limit is {LONGEST_NAME}.",
                hint="Rename it, and export the model again.",
            )


def live_nodes(graph: onnx.GraphProto) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes on which an output depends, in order, and the tensors that somebody reads."""
    needed = {output.name for output in graph.output}
    nodes = []
    # Nodes stand in the order of execution, so that readers are seen before what they read.
    for node in reversed(graph.node):
        if needed.intersection(filter(None, node.output)):
            nodes.append(node)
            needed.update(filter(None, node.input))
    return nodes[::-1], needed


class _Import:
    """The import of one model."""

    def __init__(self, model: onnx.ModelProto, name: str, budget: Budget, run: Run | None) -> None:
        refuse_many(model.graph)
        size = model.ByteSize()
        budget.read(size, "the model itself")
        self.model, opset = model, opset_of(model) or 0
        batch, self.inputs = graph_inputs(model.graph)
        self.draft = Draft(name, batch, opset, budget)
        self.inference = Inference(model, opset, batch)
        self.folder = Folder(opset, batch, budget, GROWTH * size)
        self.known_functions = Functions(run, model.opset_import)
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.functions = {(item.domain, item.name) for item in model.functions}
        self.bound: dict[str, Binding] = {}
        self.complaints: list[str] = []

    def run(self) -> Module:
        """The module.

        Raises:
            EpimcError: Something in the model is not supported.
        """
        graph = self.model.graph
        for item in self.inputs:
            self.bound[item.name] = self.draft.input(item.name, item.shape)
        # What no output needs may be anything, also what epimc does not support.
        nodes, self.needed = live_nodes(graph)
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            # Complained of once, here; what reads it is passed over.
            self.bound[name] = Unknown()
            self.complaints.append(f"tensor '{name}': sparse tensors are not supported.")
        for node in nodes:
            self._visit(node)
        if self.complaints:
            raise error(
                f"The model has {_counted(len(self.complaints))} that epimc does not support.",
                notes=self.complaints,
                hint=f"Supported operators: {', '.join(imported_names())}.",
            )
        self._finish(graph.output)
        self._drop_unread()
        module = self.draft.builder.finish()
        refuse_large_maps(module, self.draft.budget)
        return module

    def _visit(self, proto: onnx.NodeProto) -> None:
        """Bind a node's outputs, or complain and bind what is known of them."""
        inputs = {name: self._binding(name) for name in proto.input if name}
        kinds: dict[str, onnx.TypeProto] = {}
        results: list[Binding] = []
        try:
            self._require_known(proto)
            if lookup(proto.op_type) is not None:
                check_node(proto, inputs, self.draft.batch)
            try:
                kinds = self.inference.outputs(proto, inputs)
            except EpimcError:
                # After a complaint this may follow from it; of other operators ONNX may know less.
                if not self.complaints and lookup(proto.op_type) is not None:
                    raise
                # Without types nothing can be said of the node but whether its operator is known.
                inputs = dict.fromkeys(inputs, Unknown())
            results = self._results(proto, inputs, kinds)
        except UnsupportedError as problem:
            results = self._as_function(proto, inputs, kinds, problem)
        for index, name in enumerate(proto.output):
            kind = kinds.get(name)
            unknown = self.draft.placeholder(kind, shape_of(kind))
            # A stand-in goes on: so one message names all that is not supported.
            self.bound[name] = results[index] if index < len(results) else unknown

    def _require_known(self, proto: onnx.NodeProto) -> None:
        if (proto.domain, proto.op_type) in self.functions:
            raise UnsupportedError("functions of the model are not supported")
        if proto.domain not in DEFAULT_DOMAINS:
            raise UnsupportedError("not supported")
        record = lookup(proto.op_type)
        if record is not None and self.draft.opset < record.since:
            raise UnsupportedError(f"it is supported from opset {record.since} on only")

    def _results(
        self,
        proto: onnx.NodeProto,
        inputs: dict[str, Binding],
        kinds: dict[str, onnx.TypeProto],
    ) -> list[Binding]:
        """What a node's outputs are; none of them when an input is unknown."""
        folded = self.folder.fold(proto, inputs, kinds)
        if folded is not None:
            return [*folded]
        unknown = [item for item in inputs.values() if isinstance(item, Unknown)]
        # A shape that follows from what was complained of already: no reason to complain again.
        if any(item.is_integer for item in unknown):
            return []
        record = lookup(proto.op_type)
        if unknown and record is not None and record.shape_only:
            return []
        if record is None or record.importer is None:
            raise UnsupportedError("not supported")
        # It follows from something that was complained of: the node itself may be all right.
        if unknown:
            return []
        self._require_few_dims(record, inputs)
        self._require_one_result(record, proto)
        return self._imported(record.importer, proto, inputs, kinds)

    def _require_few_dims(self, record: OnnxOperator, inputs: dict[str, Binding]) -> None:
        if record.more_dims:
            return
        for name, item in inputs.items():
            if isinstance(item, MoreDims):
                axes = [self.draft.batch, *item.shape]
                raise UnsupportedError(f"its input '{name}' of shape {axes} has too many axes")

    def _require_one_result(self, record: OnnxOperator, proto: onnx.NodeProto) -> None:
        if record.all_results:
            return
        for name in filter(None, proto.output[1:]):
            if name in self.needed:
                raise UnsupportedError(f"using its output '{name}' is not supported")

    def _imported(
        self,
        importer: Importer,
        proto: onnx.NodeProto,
        inputs: dict[str, Binding],
        kinds: dict[str, onnx.TypeProto],
    ) -> list[Binding]:
        operands = tuple(inputs[name] if name else None for name in proto.input)
        shape = shape_of(kinds.get(proto.output[0]))
        results = importer(Emitter(proto, operands, shape, self.draft))
        return [*results] if isinstance(results, list) else [results]

    def _as_function(
        self,
        proto: onnx.NodeProto,
        inputs: Mapping[str, Binding],
        kinds: Mapping[str, onnx.TypeProto],
        problem: UnsupportedError,
    ) -> list[Binding]:
        """What no importer takes may be a function of each element; else it is complained of."""
        operands = tuple(inputs[name] if name else None for name in proto.input)
        shape = shape_of(kinds.get(proto.output[0]))
        try:
            function = self.known_functions.value(Emitter(proto, operands, shape, self.draft))
        except UnsupportedError as better:
            function, problem = None, better
        if function is not None:
            return [function]
        self.complaints.append(f"{where_of(proto)}: {problem}.")
        return []

    def _binding(self, name: str) -> Binding:
        if name not in self.bound and name in self.initializers:
            # On first use: what nobody reads is not decoded.
            self.bound[name] = constant_of(self.initializers[name])
        return self.bound.get(name, Unknown())

    def _finish(self, outputs: Iterable[onnx.ValueInfoProto]) -> None:
        inputs = {value: name for name, value in self.draft.module.inputs}
        listed: set[str] = set()
        for output in outputs:
            if output.name in listed:
                raise error(
                    f"Output '{output.name}' is listed twice.", hint="Export the model again."
                )
            listed.add(output.name)
            value = self._binding(output.name)
            if isinstance(value, np.ndarray):
                raise error(f"Output '{output.name}' does not depend on any input.")
            if isinstance(value, MoreDims):
                shape = [self.draft.batch, *value.shape]
                raise error(f"Output '{output.name}' of shape {shape} has too many axes.")
            if not isinstance(value, Value):
                raise error(f"Output '{output.name}' is not computed by any node.")
            if value in inputs:
                raise error(
                    f"Output '{output.name}' is input '{inputs[value]}' itself: "
                    "there is nothing to compute."
                )
            self.draft.module.outputs.append((output.name, value))
        if not self.draft.module.outputs:
            raise error("The model has no outputs.")

    def _drop_unread(self) -> None:
        """Ops that nobody reads go: of a node some results may be read, or nothing but a shape."""
        module = self.draft.module
        read = {value for _, value in module.outputs}
        kept: list[Op] = []
        for op in reversed(module.ops):
            if op.output in read:
                kept.append(op)
                read.update(op.operands)
        # They were collected from the last to the first.
        module.ops = kept[::-1]


def _counted(number: int) -> str:
    return "1 operator" if number == 1 else f"{number} operators"
