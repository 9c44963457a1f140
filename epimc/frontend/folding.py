"""Constants: initializers, Constant nodes, and nodes whose inputs are all constant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from epimc.frontend.core.bindings import Array, Binding, shape_of, type_of
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import lookup
from epimc.frontend.model.standard import where_of
from epimc.support.diagnostics import error
from epimc.support.limits import Budget

# Constants of so many times the bytes of the model follow from its weights, as when these are
# dequantized; more of them are made of nothing, and a small file can declare enormous ones.
GROWTH = 8

# What a text of an array takes, at least.
STRING_BYTES = 64

# The most multiplications of a folded product of matrices: integers take a second for 10^9.
MAXIMUM_PRODUCTS = 2**32


def constant_of(tensor: onnx.TensorProto) -> Array:
    """The contents of a tensor.

    Raises:
        EpimcError: They do not fit its declared shape and type.
    """
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, OverflowError):
        raise error(
            f"Tensor '{tensor.name}' is damaged: its data does not fit its shape "
            f"{list(tensor.dims)} and type.",
            hint="Download or export the model again.",
        ) from None


@dataclass
class Folder:
    """Evaluates constant nodes of a model, within a budget of bytes.

    Attributes:
        opset: Of the model.
        batch: What ONNX shapes have on axis 0.
        budget: From which the results are paid.
        expected: The bytes of results that may still follow from the weights.
    """

    opset: int
    batch: int
    budget: Budget
    expected: int

    def fold(
        self,
        node: onnx.NodeProto,
        inputs: Mapping[str, Binding],
        kinds: Mapping[str, onnx.TypeProto],
    ) -> list[Array] | None:
        """The results of a node, or None when it is not constant.

        Raises:
            UnsupportedError: It is constant, but too large or impossible to evaluate.
        """
        if node.op_type == "Constant":
            return [_constant(node)]
        record = lookup(node.op_type)
        if record is None:
            return None
        if record.shape_only:
            return self._shape(node, inputs)
        arrays = {name: item for name, item in inputs.items() if isinstance(item, np.ndarray)}
        # One input that is computed makes the result no constant.
        if not record.folds or len(arrays) < len(inputs):
            return None
        # Before it is evaluated: the result of a small node may be enormous.
        self._pay(node, kinds)
        _refuse_long_products(node, arrays, kinds)
        return self._evaluate(node, arrays)

    def _shape(self, node: onnx.NodeProto, inputs: Mapping[str, Binding]) -> list[Array] | None:
        """What Shape or Size gives; None where the shape is not known."""
        # A shape is constant even where the values are computed.
        shape = shape_of(type_of(inputs[node.input[0]], self.batch))
        if shape is None:
            return None
        if node.op_type == "Size":
            return [np.array(math.prod(shape), np.int64)]
        ends = {item.name: item.i for item in node.attribute}
        return [np.array(shape[ends.get("start", 0) : ends.get("end")], np.int64)]

    def _pay(self, node: onnx.NodeProto, kinds: Mapping[str, onnx.TypeProto]) -> None:
        for name in filter(None, node.output):
            kind = kinds.get(name)
            shape = shape_of(kind)
            if kind is None or shape is None or min(shape, default=0) < 0:
                raise UnsupportedError("the size of its constant result is not known")
            size = math.prod(shape) * _item_bytes(kind.tensor_type.elem_type)
            # Of all nodes together: many small constants are as large as one.
            cheap = min(size, self.expected)
            self.expected -= cheap
            what, where = f"constant '{name}' of {math.prod(shape)} elements", where_of(node)
            self.budget.read(cheap, what, where)
            self.budget.make(size - cheap, what, where)

    def _evaluate(self, node: onnx.NodeProto, arrays: Mapping[str, Array]) -> list[Array]:
        from onnx.reference import ReferenceEvaluator

        graph = helper.make_graph(
            [node],
            "constant",
            [onnx.ValueInfoProto(name=name) for name in arrays],
            [onnx.ValueInfoProto(name=name) for name in node.output if name],
        )
        # The evaluator knows this operator since opset 19 only, which reads older nodes too.
        oldest = 19 if node.op_type == "DequantizeLinear" else 0
        opsets = [helper.make_opsetid("", max(self.opset, oldest))]
        model = helper.make_model(graph, opset_imports=opsets)
        # The evaluator runs whatever a model asks of numpy, so that any exception may come back.
        try:
            with np.errstate(all="ignore"):
                evaluated = ReferenceEvaluator(model).run(None, dict(arrays))
        except Exception as problem:
            said = str(problem).splitlines() or [type(problem).__name__]
            raise UnsupportedError(f"its constant inputs cannot be evaluated ({said[0]})") from None
        results = iter(evaluated)
        # An output without a name is left out, and the evaluator gives nothing for it.
        return [np.asarray(next(results)) if name else np.zeros(0) for name in node.output]


def _item_bytes(element: int) -> int:
    """Bytes of an element of an ONNX type; texts are objects."""
    if element == onnx.TensorProto.STRING:
        return STRING_BYTES
    return int(np.dtype(helper.tensor_dtype_to_np_dtype(element)).itemsize)


def _refuse_long_products(
    node: onnx.NodeProto, arrays: Mapping[str, Array], kinds: Mapping[str, onnx.TypeProto]
) -> None:
    """Raise UnsupportedError for a product of matrices that would take minutes."""
    if node.op_type != "MatMul":
        return
    shape = shape_of(kinds.get(node.output[0])) or ()
    products = math.prod(shape) * max(arrays[node.input[0]].shape[-1:], default=1)
    if products > MAXIMUM_PRODUCTS:
        raise UnsupportedError(f"its constant result takes {products} multiplications, too many")


def _constant(node: onnx.NodeProto) -> Array:
    key = node.attribute[0].name if len(node.attribute) == 1 else "a constant without a value"
    if key == "value":
        return constant_of(node.attribute[0].t)
    if key not in ("value_float", "value_floats", "value_int", "value_ints"):
        raise UnsupportedError(f"{key} is not supported")
    dtype = np.float32 if key.startswith("value_float") else np.int64
    return np.array(helper.get_attribute_value(node.attribute[0]), dtype)
