"""Parts of a model that the host runs, each as an ONNX model of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from epimc.backends.onnx.large import LARGEST_MODEL
from epimc.frontend.core.bindings import Binding, HostTensor, MoreDims, Padded, shape_of
from epimc.frontend.core.steps import Scope, Step
from epimc.frontend.model.node_names import distinguish
from epimc.ir.core.op import Value
from epimc.ir.semantics.layouts import Factors
from epimc.support.diagnostics import error


@dataclass
class Fragment:
    """A part of a model, being written.

    Attributes:
        scope: The tensors of the model.
        bound: What they are, as far as they are made.
        opset: Of the model.
        operands: What the part takes, in the order of its inputs.
        inputs: Of the model.
        nodes: Those of the part, behind what casts and cuts its inputs.
        constants: Those that it reads.
        size: The bytes of those of the model.
    """

    scope: Scope
    bound: Mapping[str, Binding]
    opset: int
    operands: list[Value] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    size: int = 0

    def take(self, name: str) -> None:
        """Have a tensor that others make, under its name.

        Raises:
            EpimcError: The constants take more than an ONNX file holds.
        """
        binding = self.bound.get(name)
        if name in self.scope.constants:
            contents = self.scope.constants[name]
            self.size += contents.nbytes
            if self.size > LARGEST_MODEL:
                raise error(
                    f"What the host is to run has constants of more than {LARGEST_MODEL} bytes, "
                    f"among them '{name}'; no ONNX file holds them.",
                    hint="Compile the model in parts.",
                )
            self.constants.append(numpy_helper.from_array(contents, name))
        elif isinstance(binding, HostTensor):
            self.operands.append(binding.value)
            info = onnx.ValueInfoProto(name=name)
            if binding.kind is not None:
                info.type.CopyFrom(binding.kind)
            self.inputs.append(info)
        elif isinstance(binding, (Value, MoreDims, Padded)):
            self.take_reals(name, binding)

    def take_reals(self, name: str, binding: Value | MoreDims | Padded) -> None:
        """Have a tensor that the chip makes: float32, cut and cast as the model has it."""
        value = binding if isinstance(binding, Value) else binding.source
        self.operands.append(value)
        kind = self.scope.kinds.get(name)
        element = kind.tensor_type.elem_type if kind is not None else TensorProto.FLOAT
        known = shape_of(kind)
        shape = [self.scope.batch, *value.type.shape] if known is None else [*known]
        plain = element == TensorProto.FLOAT and isinstance(binding, Value)
        entry = name if plain else f"{name}.chip"
        # As it is where the chip has it of the host, of which the call then takes it.
        sizes = shape if plain else [self.scope.batch, *value.type.shape]
        self.inputs.append(helper.make_tensor_value_info(entry, TensorProto.FLOAT, sizes))
        if plain:
            return
        if isinstance(binding, Padded):
            entry = self.padded(entry, binding)
        for kind_, attributes, numbers in self.moves(binding, shape):
            target = f"{name}.{len(self.nodes)}"
            sources = [entry]
            if numbers is not None:
                sources.append(self.number(f"{target}.shape", numbers))
            self.nodes.append(helper.make_node(kind_, sources, [target], **attributes))
            entry = target
        last = helper.make_node("Cast", [entry], [name], to=element)
        self.nodes.append(last)

    def padded(self, entry: str, binding: Padded) -> str:
        """What is around a map, which the chip has not."""
        target, number = f"{entry}.padded", f"{entry}.number"
        before, behind = ([0, *widths] for widths in binding.widths)
        if self.opset < 11:
            stated: dict[str, Any] = {"pads": before + behind, "value": binding.number}
            self.nodes.append(helper.make_node("Pad", [entry], [target], **stated))
            return target
        pads = self.number(f"{entry}.pads", before + behind)
        value = np.array(binding.number, np.float32)
        self.constants.append(numpy_helper.from_array(value, number))
        self.nodes.append(helper.make_node("Pad", [entry, pads, number], [target]))
        return target

    def moves(
        self, binding: Value | MoreDims | Padded, shape: Sequence[int]
    ) -> list[tuple[str, dict[str, Any], list[int] | None]]:
        """The nodes that make a tensor's order of elements of that of its value."""
        if not isinstance(binding, MoreDims):
            return [("Reshape", {}, [*shape])]
        dims, perm = sorted_dims(binding.dims)
        if binding.first or math.prod(dims) < binding.source.type.size:
            # Some of the elements, each where it lies in the value.
            places = np.array(binding.first, np.int64)
            for size, stride in binding.dims:
                places = np.add.outer(places, np.arange(size) * stride)
            return [
                ("Reshape", {}, [-1]),
                ("Gather", {}, [int(place) for place in places.ravel()]),
                ("Reshape", {}, [*shape]),
            ]
        if perm == sorted(perm):
            return [("Reshape", {}, [*shape])]
        return [
            ("Reshape", {}, dims),
            ("Transpose", {"perm": perm}, None),
            ("Reshape", {}, [*shape]),
        ]

    def number(self, name: str, numbers: list[int]) -> str:
        """A constant of integers."""
        self.constants.append(numpy_helper.from_array(np.array(numbers, np.int64), name))
        return name

    def model(
        self, model: onnx.ModelProto, steps: Sequence[Step], results: Sequence[str]
    ) -> onnx.ModelProto:
        """The model of the part.

        Args:
            model: Of which it is a part.
            steps: Its nodes in order.
            results: The tensors that others read.
        """
        inside = {name for step in steps for name in step.makes}
        for name in dict.fromkeys(name for step in steps for name in step.reads):
            if name not in inside:
                self.take(name)
        nodes = [*self.nodes, *(step.proto for step in steps)]
        outputs = [onnx.ValueInfoProto(name=name) for name in results]
        graph = helper.make_graph(nodes, "host", self.inputs, outputs, self.constants)
        # What branches and conversions have added may have the names of others.
        distinguish(graph)
        part = helper.make_model(graph, opset_imports=model.opset_import)
        part.ir_version = model.ir_version
        return part


def sorted_dims(dims: Factors) -> tuple[list[int], list[int]]:
    """The dims of a value as it lies, and how they are permuted to the order of a tensor.

    Args:
        dims: (size, stride) in the tensor's order.
    """
    order = sorted(range(len(dims)), key=lambda k: -dims[k][1])
    # Of dims of one element any place is right: they keep theirs by the sort.
    sizes = [dims[k][0] for k in order]
    perm = [order.index(k) for k in range(len(dims))]
    assert math.prod(sizes) > 0
    return sizes, perm
