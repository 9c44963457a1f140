"""One node of a model, computed by onnxruntime from constant inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from epimc.frontend.core.bindings import Array, element_of
from epimc.frontend.core.node import UnsupportedError
from epimc.support.diagnostics import EpimcError

# Types that numpy lacks, and those that hold all of their numbers: onnxruntime takes and gives
# these, and casts beside the node.
WIDER: Mapping[int, int] = {
    TensorProto.BFLOAT16: TensorProto.FLOAT,
    TensorProto.FLOAT8E4M3FN: TensorProto.FLOAT,
    TensorProto.FLOAT8E4M3FNUZ: TensorProto.FLOAT,
    TensorProto.FLOAT8E5M2: TensorProto.FLOAT,
    TensorProto.FLOAT8E5M2FNUZ: TensorProto.FLOAT,
    TensorProto.FLOAT4E2M1: TensorProto.FLOAT,
    TensorProto.INT4: TensorProto.INT8,
    TensorProto.UINT4: TensorProto.UINT8,
    TensorProto.INT2: TensorProto.INT8,
    TensorProto.UINT2: TensorProto.UINT8,
}

# In which a Cast reads all types that a model of an older opset may have.
PLAIN_OPSET = 13


class NodeRunner:
    """Runs single nodes of a model, each in a session of its own.

    With one thread: what it computes does not depend on the machine's cores.
    """

    def __init__(self, opsets: Mapping[str, int], ir_version: int, limit_bytes: int) -> None:
        """Run nodes in these versions.

        Args:
            opsets: Of the model, by domain.
            ir_version: Of the model.
            limit_bytes: Bounds what onnxruntime may take.
        """
        versions = {"": PLAIN_OPSET, **opsets}
        self.opsets = [helper.make_opsetid(domain, number) for domain, number in versions.items()]
        self.ir_version, self.limit_bytes = ir_version, limit_bytes

    def run(
        self, node: onnx.NodeProto, arrays: Sequence[Array | None], elements: Sequence[int]
    ) -> list[Array]:
        """The outputs of a node; empty arrays where one is left out.

        Args:
            node: It has no graphs.
            arrays: Its inputs; None where one is left out.
            elements: The ONNX types of its outputs; 0 where not known.

        Raises:
            UnsupportedError: onnxruntime does not run it.
        """
        # It takes a while to import, and few models have nothing to fold.
        from epimc.runtime.guard import GuardedSession

        proto, feeds = self._model(node, arrays, elements)
        wanted = [entry.name for entry in proto.graph.output]
        try:
            session = GuardedSession(
                proto.SerializeToString(), "a constant", limit_bytes=self.limit_bytes, threads=1
            )
            computed = dict(zip(wanted, session.run(wanted, feeds), strict=True))
        except EpimcError as problem:
            said = problem.diagnostic.notes or (problem.diagnostic.message,)
            raise UnsupportedError(
                f"its constant inputs cannot be evaluated ({said[0].rstrip('.')})"
            ) from None
        results = []
        for index, (name, element) in enumerate(zip(node.output, elements, strict=True)):
            result = computed.get(f"y{index}", np.zeros(0)) if name else np.zeros(0)
            if not isinstance(result, np.ndarray):
                raise UnsupportedError(f"its constant result '{name}' is no tensor")
            results.append(_narrowed(result, element))
        return results

    def _model(
        self, node: onnx.NodeProto, arrays: Sequence[Array | None], elements: Sequence[int]
    ) -> tuple[onnx.ModelProto, dict[str, Array]]:
        """A model of the node alone, and what to feed it; its tensors have names of our own."""
        own = onnx.NodeProto()
        own.CopyFrom(node)
        before, behind = list[onnx.NodeProto](), list[onnx.NodeProto]()
        inputs, feeds = list[onnx.ValueInfoProto](), dict[str, Array]()
        for index, array in enumerate(arrays):
            own.input[index] = "" if array is None else f"x{index}"
            if array is None:
                continue
            element, name = element_of(array), f"x{index}"
            wide = WIDER.get(element, element)
            if wide != element:
                before.append(helper.make_node("Cast", [f"{name}.wide"], [name], to=element))
                name += ".wide"
            feeds[name] = _widened(array, wide)
            inputs.append(helper.make_tensor_value_info(name, wide, array.shape))
        for index, element in enumerate(elements):
            if own.output[index]:
                own.output[index] = f"y{index}"
                if element in WIDER:
                    own.output[index] = name = f"y{index}.narrow"
                    wide = WIDER[element]
                    behind.append(helper.make_node("Cast", [name], [f"y{index}"], to=wide))
        outputs = [
            onnx.ValueInfoProto(name=f"y{index}") for index, name in enumerate(node.output) if name
        ]
        graph = helper.make_graph([*before, own, *behind], "constant", inputs, outputs)
        return (
            helper.make_model(graph, opset_imports=self.opsets, ir_version=self.ir_version),
            feeds,
        )


def _widened(array: Array, wide: int) -> Array:
    if wide == TensorProto.STRING:
        return array.astype(object)
    return array.astype(helper.tensor_dtype_to_np_dtype(wide), copy=False)


def _narrowed(array: Array, element: int) -> Array:
    if element not in WIDER:
        return array
    return array.astype(helper.tensor_dtype_to_np_dtype(element))
