"""Shape inference, node by node.

Not over the whole model at once: what was folded is known then, a mistake has a place, and no copy
of the weights is made.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from epimc.frontend.core.bindings import Binding, type_of
from epimc.frontend.core.operator import reads_shape_only
from epimc.frontend.model.scopes import subgraphs
from epimc.frontend.model.standard import DEFAULT_DOMAINS, opsets_of, short, where_of
from epimc.support.diagnostics import EpimcError, error

# Constants larger than this hold weights: their contents never decide a shape.
LARGEST_SHAPE_DATA = 1024


class Inference:
    """ONNX shape inference for the nodes of one model."""

    def __init__(self, model: onnx.ModelProto, batch: int) -> None:
        self.opsets, self.versions = list(model.opset_import), opsets_of(model)
        self.ir_version, self.batch = model.ir_version, batch

    def outputs(
        self, node: onnx.NodeProto, inputs: Mapping[str, Binding]
    ) -> dict[str, onnx.TypeProto]:
        """The types of a node's outputs, as far as ONNX can tell; empty where it cannot.

        Args:
            node: Of the model.
            inputs: All that it reads, also what its graphs see around it.

        Raises:
            EpimcError: The inputs do not fit together.
        """
        domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
        if not domain and node.op_type == "Constant":
            return {}
        kinds = {name: type_of(binding, self.batch) for name, binding in inputs.items()}
        known = {name: kind for name, kind in kinds.items() if kind is not None}
        if len(known) < len(kinds) and not domain and reads_shape_only(node.op_type):
            return {node.output[0]: helper.make_tensor_type_proto(onnx.TensorProto.INT64, None)}
        data = {
            name: numpy_helper.from_array(binding, name)
            for name, binding in inputs.items()
            if isinstance(binding, np.ndarray) and binding.size <= LARGEST_SHAPE_DATA
        }
        if any(subgraphs(node)):
            return self.of_graphs(node, known, [*data.values()])
        # ONNX wants the types of all inputs; what it does not know it cannot check.
        opset = self.versions.get(domain, 0)
        if len(known) < len(kinds) or not onnx.defs.has(node.op_type, opset, domain):
            return {}
        schema = onnx.defs.get_schema(node.op_type, opset, domain)
        try:
            return shape_inference.infer_node_outputs(
                schema, _trimmed(node), known, data, None, self.opsets, self.ir_version
            )
        except (shape_inference.InferenceError, onnx.checker.ValidationError) as problem:
            raise misfit(node, problem) from None

    def of_graphs(
        self,
        node: onnx.NodeProto,
        known: Mapping[str, onnx.TypeProto],
        constants: list[onnx.TensorProto],
    ) -> dict[str, onnx.TypeProto]:
        """The types of the outputs of a node with graphs, which see the tensors around them.

        Only a model has such tensors: this one has nothing but the node.
        """
        inputs = [helper.make_value_info(name, kind) for name, kind in known.items()]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = helper.make_graph([node], "node", inputs, outputs, constants)
        model = helper.make_model(graph, opset_imports=self.opsets, ir_version=self.ir_version)
        try:
            inferred = shape_inference.infer_shapes(model, data_prop=True)
        except shape_inference.InferenceError as problem:
            raise misfit(node, problem) from None
        return {entry.name: entry.type for entry in inferred.graph.output}


def misfit(node: onnx.NodeProto, problem: Exception) -> EpimcError:
    """The error for a node whose inputs do not fit together."""
    return error(
        "The shapes or types in the model do not fit together.",
        where=where_of(node),
        notes=[short(str(problem))],
        hint="Where the model declares an input wrongly, set its shape (--shape); else export it "
        "again.",
    )


def _trimmed(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node without the unused outputs at its end, which old schemas do not know."""
    used = [number for number, name in enumerate(node.output, 1) if name]
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.output[max(used, default=0) :]
    return copy
