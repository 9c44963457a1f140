"""The integer export of everything between convolutions equals the interpreter, in every value."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.backends.onnx.export import export_integers
from epimc.backends.onnx.large import LargeModel
from epimc.backends.onnx.reading import parameters, prefix_of, with_outputs
from epimc.ir.core.levels import QUANTIZED
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Array, Op, Value
from epimc.ir.core.types import Location, TensorType
from epimc.ir.dialects import epi, moves, nn
from epimc.ir.dialects.rules import window_shape
from epimc.ir.interpreter import interpret
from epimc.ir.semantics import joins, windows
from epimc.ir.semantics.layouts import Selection, runs_of
from epimc.ir.verifier import verify
from epimc.runtime.reference import Reference
from tests.backends.onnx.agreement import same


class IntegerModule:
    """A random integer module over two maps and a gate, and what draws its numbers."""

    def __init__(self, data: st.DataObject) -> None:
        """Declare the inputs."""
        self.data = data
        self.random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
        self.builder = Builder(Module("m", QUANTIZED))
        self.shape = (self.number(1, 4), self.number(1, 4), self.number(1, 4))
        gate = (self.shape[0], 1, 1)
        self.values = [self.input(name, s) for name, s in
                       (("a", self.shape), ("b", self.shape), ("g", gate))]  # fmt: skip

    def number(self, low: int, high: int) -> int:
        """A number that hypothesis chooses."""
        return self.data.draw(st.integers(low, high))

    def activation(self, shape: tuple[int, ...]) -> TensorType:
        """A random type of activations."""
        bits = self.number(2, 8)
        return TensorType(shape, f"u{bits}", 0.25, self.number(0, 2**bits - 1))

    def input(self, name: str, shape: tuple[int, ...]) -> Value:
        """A quantized input."""
        real = Value(name, TensorType(shape))
        self.builder.module.inputs.append((name, real))
        return self.add(epi.Quantize, [real], self.activation(shape))

    def add(self, kind: type[Op], operands: list[Value], to: TensorType, **given: Any) -> Value:
        """Append an op."""
        value = Value(self.builder.fresh("v"), to)
        return self.builder.add(kind, operands, value, Location(), **given)

    def store(self, name: str, array: Array, element: str = "i64") -> Any:
        """A stored tensor."""
        return self.builder.store(name, array, element)

    def look_up(self, x: Value) -> Value:
        """A random table for all channels or for each."""
        to = self.activation(x.type.shape)
        rows = self.data.draw(st.sampled_from([1, x.type.shape[0]]))
        table = self.random.integers(0, 2**to.bits, (rows, 2**x.type.bits))
        return self.add(epi.LookUp, [x], to, table=self.store("table", table, to.element))

    def requantize(self, terms: list[Value]) -> Value:
        """Random multipliers of either sign and offsets."""
        to = self.activation(terms[0].type.shape)
        shape = (len(terms), to.shape[0])
        multipliers = self.random.integers(-(2**31) + 1, 2**31, shape)
        low, high = sorted((self.number(0, 2**to.bits - 1), self.number(0, 2**to.bits - 1)))
        offsets = self.random.integers(-(2**50), 2**50, shape[1])
        given = {"offsets": self.store("offsets", offsets)} if self.number(0, 1) else {}
        return self.add(
            epi.Requantize, terms, to, low=low, high=high,
            multipliers=self.store("multipliers", multipliers),
            shifts=self.store("shifts", self.random.integers(1, 45, shape[1])), **given,
        )  # fmt: skip

    def joined(self, a: Value) -> Value:
        """A map twice, padded, as a map of one pixel and as a vector."""
        kind = a.type.with_shape((2 * a.type.shape[0], *a.type.shape[1:]))
        x = self.add(moves.Concat, [a, a], kind)
        channels, pads = (self.number(0, 2), 1), [self.number(0, 2) for _ in range(4)]
        c, h, w = kind.shape
        shape = (c + sum(channels), h + pads[0] + pads[2], w + pads[1] + pads[3])
        to = kind.with_shape(shape)
        x = self.add(moves.Pad, [x], to, channels=channels, pads=pads)
        pixel, vector = (to.size, 1, 1), (to.size,)
        x = self.add(nn.Rearrange, [x], to.with_shape(pixel), perm=(2, 0, 1), shape=pixel)
        return self.add(nn.Rearrange, [x], to.with_shape(vector), perm=(0, 1, 2), shape=vector)

    def taken(self, x: Value) -> Value:
        """Random channels, rows and columns, a constant beside them, and sums of uneven windows."""
        runs = [
            runs_of(self.random.integers(0, size, self.number(1, 4)).tolist())
            for size in x.type.shape
        ]
        selection = Selection(*runs)
        kind = x.type.with_shape(selection.shape(x.type.shape))
        given = dict(zip(("channels", "rows", "columns"), runs, strict=True))
        chosen = self.add(moves.Select, [x], kind, **given)
        values = self.random.integers(0, 2**kind.bits, kind.shape)
        constant = self.add(
            moves.Constant, [], kind, value=self.store("constant", values, kind.element)
        )
        axis = self.number(0, 2)
        shape = tuple(size * (1 + (k == axis)) for k, size in enumerate(kind.shape))
        to = kind.with_shape(shape)
        both = self.add(moves.Concat, [constant, chosen], to, axis=axis)
        window = windows.Window((2, 2), (1, 2), (1, 0, 1, 1))
        shape = window_shape(shape, shape[0], window)
        counted = (self.number(0, 1), 0, 0, self.number(0, 1))
        sums = self.add(
            epi.SumPool, [both], TensorType(shape, "i64"), kernel=window.kernel,
            strides=window.strides, pads=window.pads, counted=counted,
        )  # fmt: skip
        return self.requantize([sums])

    def finish(self) -> Module:
        """Everything of the kind, each op reading the ones before."""
        a, b, g = self.values
        bent = self.look_up(a)
        i64 = TensorType(self.shape, "i64")
        products = [self.add(epi.Multiply, [bent, x], i64) for x in (b, g, bent)]
        y = self.requantize([*products, bent])
        ends = self.joined(y), self.look_up(y), self.requantize([a, b]), self.taken(b)
        for value in ends:
            real = self.add(epi.Dequantize, [value], TensorType(value.type.shape))
            self.builder.module.outputs.append((f"out.{value.name}", real))
        return self.builder.finish()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_onnxruntime_computes_the_same(data: st.DataObject) -> None:
    network = IntegerModule(data)
    module = network.finish()
    verify(module)
    inputs = {
        name: (network.random.standard_normal((3, *value.type.shape)) * 20).astype(np.float32)
        for name, value in module.inputs
    }
    seen: dict[str, Array] = {}
    interpret(module, inputs, lambda value, array: seen.update({value.name: array}))
    model = export_integers(module)
    prefix = prefix_of(model)
    names = [op.output.name for op in module.ops if not isinstance(op, epi.Dequantize)]
    tensors = [prefix + name for name in names]
    watched = with_outputs(model, tensors).SerializeToString()
    actual = Reference(watched, "it").run(tensors, inputs)
    for name, array in zip(names, actual, strict=True):
        assert same(seen[name], array), name


def test_the_constants_that_verification_compares() -> None:
    builder = Builder(Module("m", QUANTIZED))
    real = Value("x", TensorType((2, 1, 1)))
    builder.module.inputs.append(("x", real))
    u2 = TensorType((2, 1, 1), "u2", 1.0, 1)
    x = builder.add(epi.Quantize, [real], Value("q", u2), Location())
    table = builder.store("t", np.array([[3, 2, 1, 0], [0, 1, 2, 3]]), "u2")
    y = builder.add(epi.LookUp, [x], Value("y", u2), Location(), table=table)
    z = builder.add(moves.Concat, [y, x], Value("z", u2.with_shape((4, 1, 1))), Location())
    w = Value("w", u2.with_shape((5, 1, 3)))
    builder.add(moves.Pad, [z], w, Location(), channels=(0, 1), pads=(0, 2, 0, 0))
    model = export_integers(builder.finish())
    actual = parameters(LargeModel.of(model))
    assert actual["%y/values"].tolist() == [3, 2, 1, 0, 0, 1, 2, 3]
    assert actual["%w/pads"].tolist() == [0, 0, 0, 2, 0, 1, 0, 0]
    assert actual["%z/zero_point"] == 1
    nodes = {node.output[0]: list(node.input) for node in model.graph.node}
    assert nodes["%z"] == ["%y", "%q"]
    assert nodes["%w"] == ["%z", "%w/pads", "%z/zero_point"]


def test_padding_is_the_real_zero() -> None:
    x = np.array([[[[7]]]])
    padded = joins.pad(x, (1, 0), (0, 0, 1, 1), 3)
    assert padded.tolist() == [[[[3, 3], [3, 3]], [[7, 3], [3, 3]]]]
