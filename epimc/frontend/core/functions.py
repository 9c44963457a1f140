"""Nodes that are functions of each element, whatever their operator: by asking, not by a list.

A node of one computed input, whose other inputs are single numbers, may be a function of each
element: Log, Sqrt, Mod by 3, an operator of com.microsoft.  Whether it is, no schema says.  So it
is evaluated on a few numbers, together and one by one: what depends on other elements, on their
places or on chance gives something else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from epimc.frontend.core.bindings import Array
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.jumps import has_jumps, refuse_jumps_of_floats
from epimc.frontend.model.standard import DEFAULT_DOMAINS
from epimc.ir.core.op import Value
from epimc.ir.dialects import elementwise
from epimc.support.diagnostics import EpimcError

Run: TypeAlias = Callable[[bytes, Mapping[str, NDArray[Any]]], list[NDArray[Any]]]
"""Runs an ONNX model: the serialized model, its inputs by name, all outputs in order."""

# That of the float model of a bundle, whose nodes these become.
FUNCTION_OPSET = 20
FUNCTION_IR = 9

# A node with more in its attributes is no function of one number.
LARGEST_NODE = 2**16

# A vector of numbers is computed by other instructions than a single one, in other last bits.
RELATIVE, ABSOLUTE = 1e-4, 1e-6

SIZES = (2, 3, 4, 5)
"""Of the axes of what is probed, from the last one: all different."""


class Functions:
    """Tells of the nodes of one model whether they are functions, each kind of node asked once."""

    def __init__(self, run: Run | None, opsets: Iterable[onnx.OperatorSetIdProto]) -> None:
        """Prepare.

        Args:
            run: Evaluates models; without it no node is a function.
            opsets: Those of the model.
        """
        self.run = run
        self.versions = {
            "" if entry.domain in DEFAULT_DOMAINS else entry.domain: entry.version
            for entry in opsets
        }
        self._known: dict[bytes, bytes | None] = {}
        self._jumps: dict[bytes, bool] = {}

    def value(self, node: Emitter) -> Value | None:
        """What a node computes, as a function of each element; None where it is none.

        Raises:
            UnsupportedError: It is one, and the host computes it better.
        """
        values = [item for item in node.inputs if isinstance(item, Value)]
        if self.run is None or len(values) != 1 or not is_candidate(node, values[0]):
            return None
        model = self._model(node, len(values[0].type.shape) + 1)
        if model is None:
            return None
        refuse_jumps_of_floats(node, values[0], lambda: self._has_jumps(model))
        ref = node.store_bytes(model, role="function")
        return node.emit(elementwise.Function, values, model=ref)

    def _model(self, node: Emitter, rank: int) -> bytes | None:
        """The model of a node's function, None where it is none."""
        proto = node.proto
        domain = "" if proto.domain in DEFAULT_DOMAINS else proto.domain
        constants = [item if isinstance(item, np.ndarray) else None for item in node.inputs]
        own = self.versions.get(domain, 1)
        stated = model_of(proto, constants, domain, own)
        key = stated + bytes([rank])
        if key not in self._known:
            alone = [None if item is None else vector_of(item) for item in constants]
            # As the float model has operators, if it means the same there; else as it is.
            versions = [own] if domain else [FUNCTION_OPSET, max(FUNCTION_OPSET, own)]
            models = [model_of(proto, alone, domain, version) for version in versions]
            self._known[key] = self._first_function(models, stated, rank)
        return self._known[key]

    def _has_jumps(self, model: bytes) -> bool:
        """Whether the function of a model jumps."""
        run = self.run
        assert run is not None
        if model not in self._jumps:
            self._jumps[model] = has_jumps(
                lambda x: result_of(run, model, x.astype(np.float32)).astype(np.float64)
            )
        return self._jumps[model]

    def _first_function(self, models: Iterable[bytes], stated: bytes, rank: int) -> bytes | None:
        """The first of some models that is a function, and the one that the node states."""
        if self.run is None:
            return None
        for model in models:
            if is_function(self.run, model, stated, rank):
                return model
        return None


def vector_of(constant: Array) -> Array:
    """A single number in no more than one axis: so it is broadcast over every tensor."""
    return constant if constant.ndim < 2 else constant.ravel()


def is_candidate(node: Emitter, x: Value) -> bool:
    """Whether a node has one number as each of its other inputs, and a result like its input."""
    proto = node.proto
    if proto.ByteSize() > LARGEST_NODE or len(list(filter(None, proto.output))) != 1:
        return False
    if any(attribute.ref_attr_name or graphs_of(attribute) for attribute in proto.attribute):
        return False
    others = [item for item in node.inputs if item is not None and item is not x]
    if not all(isinstance(item, np.ndarray) and item.size == 1 for item in others):
        return False
    shape = (node.batch, *x.type.shape)
    # Of other domains ONNX knows no shapes; the probe sees that of its own result.
    return node.result_shape == shape or proto.domain not in DEFAULT_DOMAINS


def graphs_of(attribute: onnx.AttributeProto) -> bool:
    """Whether an attribute holds graphs."""
    return attribute.HasField("g") or bool(attribute.graphs)


def model_of(
    proto: onnx.NodeProto, constants: Sequence[Array | None], domain: str, version: int
) -> bytes:
    """A model of one node, from `x` to `y`.

    Args:
        proto: The node.
        constants: Its inputs; None for `x`, and for those that are left out.
        domain: Of its operator.
        version: Of the domain.
    """
    node = onnx.NodeProto()
    node.CopyFrom(proto)
    node.name, node.domain, node.doc_string = "", domain, ""
    node.input[:] = [
        "" if not name else "x" if constant is None else f"c{index}"
        for index, (name, constant) in enumerate(zip(proto.input, constants, strict=True))
    ]
    node.output[:] = ["y"]
    tensors = [
        numpy_helper.from_array(constant, f"c{index}")
        for index, constant in enumerate(constants)
        if constant is not None
    ]
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "xy")
    versions = {"": FUNCTION_OPSET, domain: version}
    model = helper.make_model(
        helper.make_graph([node], "function", [x], [y], tensors),
        opset_imports=[helper.make_opsetid(*each) for each in versions.items()],
        ir_version=FUNCTION_IR,
    )
    return bytes(model.SerializeToString(deterministic=True))


# --- the probe ------------------------------------------------------------------------------------


def is_function(run: Run, model: bytes, stated: bytes, rank: int) -> bool:
    """Whether a model computes each element by itself, and as another one does.

    Args:
        run: Evaluates models.
        model: It gets vectors.
        stated: The node as the user's model has it; it gets tensors of a rank.
        rank: Of them, the samples counted.
    """
    shape = SIZES[:rank][::-1] if rank > 2 else (4, 6)[-rank:]
    x = probed(math.prod(shape))
    try:
        together = result_of(run, model, x)
        wide = result_of(run, stated, x.reshape(shape))
        apart = [result_of(run, model, x[k : k + 1]) for k in range(x.size)]
    except (EpimcError, ValueError):
        # It takes no such input, or gives no such result.
        return False
    # Backwards, so that every element has another place.
    turned = result_of(run, model, x[::-1].copy())[::-1]
    ways = (np.concatenate(apart), wide.ravel(), turned)
    return all(np.allclose(together, way, RELATIVE, ABSOLUTE, equal_nan=True) for way in ways)


def result_of(run: Run, model: bytes, x: Array) -> Array:
    """The float32 result of a model, of the shape of its input; ValueError where it is not."""
    (y,) = run(model, {"x": x})
    if not isinstance(y, np.ndarray) or y.dtype != np.float32 or y.shape != x.shape:
        raise ValueError("no result like the input")
    return y


def probed(count: int) -> NDArray[np.float32]:
    """Numbers of all kinds: large and small, whole and halves, of both signs."""
    draw = np.random.default_rng(0)
    plain = [0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 40.0, -100.0]
    numbers = np.concatenate([plain, draw.random(count), 3 * draw.standard_normal(count)])
    return draw.permutation(numbers)[:count].astype(np.float32)
