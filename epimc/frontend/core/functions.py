"""Nodes that are functions of each element, whatever their operator: by asking, not by a list.

A node of one computed input, whose other inputs are single numbers, may be a function of each
element: Log, Sqrt, Mod by 3, an operator of com.microsoft.  Whether it is, no schema says.  So
onnxruntime evaluates it on a few numbers, together and one by one: what depends on other elements,
on their places or on chance gives something else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from epimc.frontend.core.bindings import Array, MoreDims, Padded, element_of
from epimc.frontend.core.elements import by_element
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.jumps import has_jumps, refuse_jumps_of_floats
from epimc.frontend.core.steps import REALS
from epimc.frontend.model.standard import DEFAULT_DOMAINS
from epimc.ir.core.op import Value
from epimc.ir.dialects import elementwise
from epimc.support.diagnostics import EpimcError
from epimc.support.limits import DEFAULT_BYTES

# That of the float model of a bundle, whose nodes these become.
FUNCTION_OPSET = 20
FUNCTION_IR = 9

# A node with more in its attributes is no function of one number.
LARGEST_NODE = 2**16

# Of functions that were asked for: a model has few.
MOST_KNOWN = 512

# A vector of numbers is computed by other instructions than a single one, in other last bits.
RELATIVE, ABSOLUTE = 1e-4, 1e-6

SIZES = (2, 3, 4, 5)
"""Of the last axes of what is probed: all different."""


@dataclass(frozen=True)
class Probed:
    """What onnxruntime says of a node.

    Attributes:
        model: Of its function, for vectors.
        is_identity: Whether it changes nothing.
    """

    model: bytes
    is_identity: bool


def as_function(node: Emitter, versions: Mapping[str, int]) -> Value | MoreDims | None:
    """What a node computes, as a function of each element; None where it is none.

    Args:
        node: Its inputs are values, tensors with more dims and constants.
        versions: The opsets of the model, by domain.

    Raises:
        UnsupportedError: It is one, and the host computes it better; or an op does not take it.
    """
    x = only_activation(node)
    if x is None or not is_candidate(node, x):
        return None
    shape = x.full_shape(node.batch) if isinstance(x, MoreDims) else (node.batch, *x.type.shape)
    probed = probed_node(node, versions, len(shape))
    if probed is None:
        return None
    if probed.is_identity:
        return x

    def function(inner: Emitter) -> Value:
        value = inner.inputs[index]
        assert isinstance(value, Value)
        refuse_jumps_of_floats(inner, value, lambda: model_jumps(probed.model))
        stored = inner.store_bytes(probed.model, role="function")
        return inner.emit(elementwise.Function, [value], model=stored)

    index = next(k for k, item in enumerate(node.inputs) if item is x)
    return by_element(function)(node)


def only_activation(node: Emitter) -> Value | MoreDims | None:
    """The one input of a node that is computed; None where there is none, or several."""
    computed = [item for item in node.inputs if isinstance(item, (Value, MoreDims))]
    # What is around it is no element.
    return computed[0] if len(computed) == 1 and not isinstance(computed[0], Padded) else None


def is_candidate(node: Emitter, x: Value | MoreDims) -> bool:
    """Whether a node has one number as each of its other inputs, and a result like its input."""
    proto = node.proto
    if proto.ByteSize() > LARGEST_NODE or len([name for name in proto.output if name]) != 1:
        return False
    if any(each.ref_attr_name or each.HasField("g") or each.graphs for each in proto.attribute):
        return False
    others = [item for item in node.inputs if item is not None and item is not x]
    if not all(isinstance(item, np.ndarray) and item.size == 1 for item in others):
        return False
    shape = x.full_shape(node.batch) if isinstance(x, MoreDims) else (node.batch, *x.type.shape)
    # Of other domains ONNX knows no shapes; the probe sees that of its own result.
    return node.result_shape == shape or proto.domain not in DEFAULT_DOMAINS


def probed_node(node: Emitter, versions: Mapping[str, int], rank: int) -> Probed | None:
    """What onnxruntime says of a node; None where it is no function.

    Args:
        node: The node.
        versions: The opsets of the model, by domain.
        rank: Of its input, the samples counted.
    """
    proto = node.proto
    domain = "" if proto.domain in DEFAULT_DOMAINS else proto.domain
    constants = [real(item) if isinstance(item, np.ndarray) else None for item in node.inputs]
    own = node.opset if not domain else versions.get(domain, 1)
    stated = model_of(proto, constants, domain, own)
    alone = [None if item is None else vector_of(item) for item in constants]
    # As the float model has operators, if it means the same there; else as it is.
    asked = [own] if domain else [FUNCTION_OPSET, max(FUNCTION_OPSET, own)]
    for version in asked:
        model = model_of(proto, alone, domain, version)
        probed = probe(model, stated, rank, node.draft.budget.limit)
        if probed is not None:
            return probed
    return None


def real(constant: Array) -> Array:
    """A constant beside an activation, which is float32 whatever the model has."""
    return constant.astype(np.float32) if element_of(constant) in REALS else constant


def vector_of(constant: Array) -> Array:
    """A single number in no more than one axis: so it is broadcast over every tensor."""
    return constant if constant.ndim < 2 else constant.ravel()


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
    opsets = {"": FUNCTION_OPSET, domain: version}
    model = helper.make_model(
        helper.make_graph([node], "function", [x], [y], tensors),
        opset_imports=[helper.make_opsetid(*each) for each in opsets.items()],
        ir_version=FUNCTION_IR,
    )
    return bytes(model.SerializeToString(deterministic=True))


def function_of(op_type: str) -> bytes:
    """A model of an ONNX operator, from `x` to `y`; what has two inputs gets 2 as its second."""
    schema = onnx.defs.get_schema(op_type, FUNCTION_OPSET)
    names = ["x", "two"][: schema.min_input]
    constants = [None, np.array(2, np.float32)][: schema.min_input]
    return model_of(helper.make_node(op_type, names, ["y"]), constants, "", FUNCTION_OPSET)


# --- the probe ------------------------------------------------------------------------------------


@lru_cache(maxsize=MOST_KNOWN)
def probe(
    model: bytes, stated: bytes, rank: int, limit_bytes: int = DEFAULT_BYTES
) -> Probed | None:
    """Whether a model computes each element by itself, and as another one does; None: it does not.

    Args:
        model: It gets vectors.
        stated: The node as the user's model has it; it gets tensors of a rank.
        rank: Of them, the samples counted.
        limit_bytes: Bounds what onnxruntime may take.
    """
    sizes = (*SIZES[::-1], *(1,) * rank)[:rank][::-1] if rank > 2 else (4, 6)[-rank:]
    x = numbers(math.prod(sizes))
    try:
        together = result_of(model, x, limit_bytes)
        wide = result_of(stated, x.reshape(sizes), limit_bytes)
        apart = [result_of(model, x[k : k + 1], limit_bytes) for k in range(x.size)]
        # Backwards, so that every element has another place.
        turned = result_of(model, x[::-1].copy(), limit_bytes)[::-1]
    except (EpimcError, ValueError):
        # It takes no such input, or gives no such result.
        return None
    for way in (np.concatenate(apart), wide.ravel(), turned):
        if not np.allclose(together, way, RELATIVE, ABSOLUTE, equal_nan=True):
            return None
    return Probed(model, bool(np.array_equal(together, x)))


def result_of(model: bytes, x: Array, limit_bytes: int = DEFAULT_BYTES) -> Array:
    """The float32 result of a model, of the shape of its input; ValueError where it is not."""
    # It takes a while to import, and few models have such functions.
    from epimc.runtime.guard import run_model

    (y,) = run_model(model, {"x": x}, limit_bytes=limit_bytes)
    if not isinstance(y, np.ndarray) or y.dtype != np.float32 or y.shape != x.shape:
        raise ValueError("no result like the input")
    return y


def numbers(count: int) -> NDArray[np.float32]:
    """Numbers of all kinds: large and small, integers and halves, of both signs."""
    draw = np.random.default_rng(0)
    plain = [0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 40.0, -100.0]
    drawn = np.concatenate([draw.random(count), 3 * draw.standard_normal(count)])
    mixed = np.concatenate([plain, draw.permutation(drawn)])[:count]
    return draw.permutation(mixed).astype(np.float32)


@lru_cache(maxsize=MOST_KNOWN)
def model_jumps(model: bytes) -> bool:
    """Whether the function of a model jumps."""
    return has_jumps(lambda x: result_of(model, x.astype(np.float32)).astype(np.float64))
