"""Constants: initializers, Constant nodes, and nodes whose inputs are all constant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from epimc.backends.onnx.large import LargeModel
from epimc.frontend.core.bindings import Array, Binding, shape_of, type_of
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.node_checks import check_node
from epimc.frontend.core.operator import lookup, reads_shape_only
from epimc.frontend.evaluation import NodeRunner
from epimc.frontend.model.scopes import subgraphs
from epimc.frontend.model.sparse import dense_array
from epimc.frontend.model.standard import DEFAULT_DOMAINS, item_bytes, opsets_of, where_of
from epimc.frontend.work import MOST_STEPS, is_deterministic, steps_of
from epimc.support.diagnostics import EpimcError, error
from epimc.support.limits import Budget

# Constants of so many times the bytes of the model follow from its weights, as when these are
# dequantized; more of them are made of nothing, and a small file can declare enormous ones.
GROWTH = 8

# The numbers and texts of a Constant, by the attributes that have them.
LITERALS: Mapping[str, type[np.generic]] = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}


def constant_of(tensor: onnx.TensorProto, model: LargeModel | None = None) -> Array:
    """The contents of a tensor.

    Args:
        tensor: An initializer of the model, or one that has its contents.
        model: Beside which they may lie.

    Raises:
        EpimcError: They do not fit its declared shape and type.
    """
    try:
        return np.asarray(numpy_helper.to_array(tensor)) if model is None else model.array(tensor)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise error(
            f"Tensor '{tensor.name}' is damaged: its data does not fit its shape "
            f"{list(tensor.dims)} and type.",
            hint="Download or export the model again.",
        ) from None


def empty_of(kind: onnx.TypeProto | None) -> Array | None:
    """The constant that a tensor of this type is where it has no elements; else None.

    Whatever computes it: nothing in it depends on any input.
    """
    shape = shape_of(kind)
    if kind is None or shape is None or min(shape, default=1) != 0:
        return None
    element = kind.tensor_type.elem_type
    if element == onnx.TensorProto.STRING:
        return np.zeros(shape, object)
    return np.zeros(shape, helper.tensor_dtype_to_np_dtype(element))


class Folder:
    """Evaluates constant nodes of a model, within a budget of bytes and one of steps."""

    def __init__(self, model: LargeModel, batch: int, budget: Budget) -> None:
        """Evaluate nodes of a model.

        Args:
            model: Of whose opsets the nodes are.
            batch: What ONNX shapes have on axis 0.
            budget: From which the results are paid.
        """
        self.batch, self.budget = batch, budget
        # The bytes of results that may still follow from the weights.
        self.expected = GROWTH * model.size
        self.steps_left = MOST_STEPS
        self.opsets = opsets_of(model.proto)
        self.runner = NodeRunner(self.opsets, model.proto.ir_version, budget.limit)

    def fold(
        self,
        node: onnx.NodeProto,
        inputs: Mapping[str, Binding],
        kinds: Mapping[str, onnx.TypeProto],
    ) -> list[Array] | None:
        """The results of a node, or None when it is not constant.

        Args:
            node: Of any operator, in any domain.
            inputs: What its inputs are, by name.
            kinds: The types of its outputs by name, as far as they are known.

        Raises:
            UnsupportedError: It is constant, but too large or impossible to evaluate.
            EpimcError: A number of it is beyond the limits.
        """
        if node.domain in DEFAULT_DOMAINS:
            if node.op_type == "Constant":
                return [self._constant(node)]
            if reads_shape_only(node.op_type):
                return self._shape(node, inputs)
        empty = [empty_of(kinds.get(name)) for name in node.output]
        results = [array for array in empty if array is not None]
        if results and len(results) == len(empty):
            return results
        arrays = {name: item for name, item in inputs.items() if isinstance(item, np.ndarray)}
        # One input that is computed makes the result no constant.
        if len(arrays) < len(inputs) or not self._folds(node, arrays):
            return None
        return self._evaluate(node, arrays, kinds)

    def _folds(self, node: onnx.NodeProto, arrays: Mapping[str, Array]) -> bool:
        """Whether a node always gives the same, and is done at some time."""
        # Loops may run for ever; of an If the importer takes the branch.
        if any(True for _ in subgraphs(node)):
            return False
        return is_deterministic(node, arrays, self.opsets)

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

    def _evaluate(
        self, node: onnx.NodeProto, arrays: Mapping[str, Array], kinds: Mapping[str, onnx.TypeProto]
    ) -> list[Array]:
        if node.domain in DEFAULT_DOMAINS and lookup(node.op_type) is None:
            # Before onnxruntime's own code indexes and allocates by its numbers.
            check_node(node, arrays, self.batch)
        # Before it is evaluated: the result of a small node may be enormous.
        known = self._pay(node, arrays, kinds)
        self._work(node, arrays, kinds)
        operands = [arrays[name] if name else None for name in node.input]
        types = (kinds.get(name) for name in node.output)
        elements = [0 if kind is None else kind.tensor_type.elem_type for kind in types]
        results = self.runner.run(node, operands, elements)
        if not known:
            # The arena of onnxruntime has bounded them so far.
            for name, result in zip(node.output, results, strict=True):
                self._take(node, name, result.size, result.nbytes)
        return results

    def _pay(
        self, node: onnx.NodeProto, arrays: Mapping[str, Array], kinds: Mapping[str, onnx.TypeProto]
    ) -> bool:
        """Pay for the results of a node, if all of their sizes are known: whether they are."""
        sizes = []
        for name in filter(None, node.output):
            kind = kinds.get(name)
            shape = shape_of(kind)
            if kind is None or shape is None or min(shape, default=0) < 0:
                # Texts lie in no arena.
                if any(array.dtype.kind in "OUT" for array in arrays.values()):
                    raise UnsupportedError("the size of its constant result is not known")
                return False
            element, count = kind.tensor_type.elem_type, math.prod(shape)
            size = count * item_bytes(element)
            if element == onnx.TensorProto.STRING:
                size = count * max(item_bytes(element), _longest_text(node, arrays))
            sizes.append((name, count, size))
        for name, count, size in sizes:
            self._take(node, name, count, size)
        return True

    def _take(self, node: onnx.NodeProto, name: str, count: int, size: int) -> None:
        """Take the bytes of a result from the budget.

        Raises:
            UnsupportedError: They are not left.
        """
        # Of all nodes together: many small constants are as large as one.
        cheap = min(size, self.expected)
        what, where = f"constant '{name}' of {count} elements", where_of(node)
        try:
            self.budget.read(cheap, what, where)
            self.budget.make(size - cheap, what, where)
        except EpimcError as problem:
            said = problem.diagnostic.notes[0].rstrip(".")
            raise UnsupportedError(f"its constant result is too large ({said})") from None
        self.expected -= cheap

    def _work(
        self, node: onnx.NodeProto, arrays: Mapping[str, Array], kinds: Mapping[str, onnx.TypeProto]
    ) -> None:
        """Take the steps of a node from those that are left.

        Raises:
            UnsupportedError: They are more.
        """
        steps = steps_of(node, arrays, [shape_of(kinds.get(name)) for name in node.output])
        if steps > self.steps_left:
            raise UnsupportedError(f"its constant result takes {steps} steps, too many")
        self.steps_left -= steps

    def _constant(self, node: onnx.NodeProto) -> Array:
        key = node.attribute[0].name if len(node.attribute) == 1 else "a constant without a value"
        if key == "value":
            return constant_of(node.attribute[0].t)
        if key == "sparse_value":
            return dense_array(node.attribute[0].sparse_tensor, self.budget)
        value = helper.get_attribute_value(node.attribute[0]) if key in LITERALS else None
        if value is not None:
            return np.array(value, LITERALS[key])
        if key in ("value_string", "value_strings"):
            return _texts(node.attribute[0])
        raise UnsupportedError(f"{key} is not supported")


def _texts(attribute: onnx.AttributeProto) -> Array:
    """The texts of a Constant."""
    texts: Sequence[bytes] = attribute.strings if attribute.strings else [attribute.s]
    # Whatever is no UTF-8 stays what it is, on its way to onnxruntime and back.
    array = np.array([text.decode("utf-8", "surrogateescape") for text in texts], object)
    return array if attribute.name == "value_strings" else array.reshape(())


def _longest_text(node: onnx.NodeProto, arrays: Mapping[str, Array]) -> int:
    """The most characters that a text among a node's results may have.

    What is joined adds up; what is put in the place of each match multiplies.
    """
    stated = sum(len(item.s) + sum(map(len, item.strings)) for item in node.attribute)
    longest = (
        max(map(len, map(str, array.ravel())), default=0)
        for array in arrays.values()
        if array.dtype.kind in "OUT"
    )
    return (stated + sum(longest) + 1) ** 2
