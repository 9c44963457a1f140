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
from epimc.frontend.model.standard import DEFAULT_DOMAINS, opsets_of, short, where_of
from epimc.support.diagnostics import error

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
        # ONNX wants the types of all inputs; what it does not know it cannot check.
        opset = self.versions.get(domain, 0)
        if len(known) < len(kinds) or not onnx.defs.has(node.op_type, opset, domain):
            return {}
        schema = onnx.defs.get_schema(node.op_type, opset, domain)
        data = {
            name: numpy_helper.from_array(binding, name)
            for name, binding in inputs.items()
            if isinstance(binding, np.ndarray) and binding.size <= LARGEST_SHAPE_DATA
        }
        try:
            return shape_inference.infer_node_outputs(
                schema, _trimmed(node), known, data, None, self.opsets, self.ir_version
            )
        except (shape_inference.InferenceError, onnx.checker.ValidationError) as problem:
            raise error(
                "The shapes or types in the model do not fit together.",
                where=where_of(node),
                notes=[short(str(problem))],
            ) from None


def _trimmed(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node without the unused outputs at its end, which old schemas do not know."""
    used = [number for number, name in enumerate(node.output, 1) if name]
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.output[max(used, default=0) :]
    return copy
