"""The pass `layout`: what goes in, what must come out, and that it computes the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Value
from epimc.ir.core.types import Location, TensorType
from epimc.ir.dialects import moves, nn
from epimc.ir.interpreter import interpret
from epimc.ir.passes.layout import Layout, moved_elements
from epimc.ir.pipeline import Runner
from epimc.ir.semantics.layouts import runs_of
from epimc.ir.text.parser import parse_module
from epimc.ir.text.printer import print_module
from tests.crossbars import PASSES

HEAD = 'epimc.module 2 "m" level nn {\n'


def lines(text: str) -> list[str]:
    """The statements of a text, each on one line."""
    return [line.strip() for line in text.strip().splitlines()]


def after(body: str) -> list[str]:
    """The ops and outputs of a module after the pass."""
    module = parse_module(f"{HEAD}{body}}}\n", "m.epi")
    text = print_module(Runner(PASSES).run(module, [Layout()]))
    kept = ("%", "output")
    return [line for line in lines(text) if line.startswith(kept)]


GOLDEN = {
    "an identity": (
        """
        input "x" %x : tensor<2x3x4xf32>
        %a = nn.relu(%x) : tensor<2x3x4xf32>
        %b = nn.rearrange(%a) {perm = [0, 1, 2], shape = [2, 3, 4]} : tensor<2x3x4xf32>
        output "y" = %b
        """,
        """
        %a = nn.relu(%x) : tensor<2x3x4xf32>
        output "y" = %a
        """,
    ),
    "an identity between input and output": (
        """
        input "x" %x : tensor<2x1x4xf32>
        %a = nn.rearrange(%x) {perm = [1, 0, 2], shape = [2, 1, 4]} : tensor<2x1x4xf32>
        output "y" = %a
        """,
        """
        %a = nn.rearrange(%x) {perm = [0, 1, 2], shape = [2, 1, 4]} : tensor<2x1x4xf32>
        output "y" = %a
        """,
    ),
    "two outputs stay two": (
        """
        input "x" %x : tensor<4xf32>
        %a = nn.relu(%x) : tensor<4xf32>
        %b = nn.rearrange(%a) {perm = [0], shape = [2, 2]} : tensor<2x2xf32>
        %c = nn.rearrange(%b) {perm = [0, 1], shape = [4]} : tensor<4xf32>
        %d = nn.rearrange(%b) {perm = [0, 1], shape = [4]} : tensor<4xf32>
        output "y" = %c
        output "z" = %d
        """,
        """
        %a = nn.relu(%x) : tensor<4xf32>
        %d = nn.rearrange(%a) {perm = [0], shape = [4]} : tensor<4xf32>
        output "y" = %a
        output "z" = %d
        """,
    ),
    "several merge": (
        """
        input "x" %x : tensor<2x3x4xf32>
        %a = nn.rearrange(%x) {perm = [1, 2, 0], shape = [3, 4, 2]} : tensor<3x4x2xf32> loc(T "a")
        %b = nn.rearrange(%a) {perm = [0, 1, 2], shape = [12, 2]} : tensor<12x2xf32> loc(R "b")
        %c = nn.rearrange(%b) {perm = [1, 0], shape = [24]} : tensor<24xf32> loc(R "c")
        output "y" = %c
        """,
        """
        %c = nn.rearrange(%x) {perm = [0, 1, 2], shape = [24]} : tensor<24xf32> \
loc(T "a", R "b", R "c")
        output "y" = %c
        """,
    ),
    "a residual block in another order": (
        """
        tensor @w : tensor<2x2x1x1xf32> = [1.0, 2.0, 3.0, 4.0]
        input "x" %x : tensor<2x3x4xf32>
        %a = nn.conv(%x) {weight = @w} : tensor<2x3x4xf32>
        %b = nn.rearrange(%a) {perm = [1, 2, 0], shape = [3, 4, 2]} : tensor<3x4x2xf32> loc(T "b")
        %c = nn.relu(%b) : tensor<3x4x2xf32> loc(Relu "c")
        %d = nn.rearrange(%c) {perm = [2, 0, 1], shape = [2, 3, 4]} : tensor<2x3x4xf32>
        %e = nn.conv(%d) {weight = @w} : tensor<2x3x4xf32>
        %f = nn.rearrange(%e) {perm = [1, 2, 0], shape = [3, 4, 2]} : tensor<3x4x2xf32> loc(T "f")
        %g = nn.add(%c, %f) : tensor<3x4x2xf32> loc(Add "g")
        output "y" = %g
        """,
        """
        %a = nn.conv(%x) {weight = @w} : tensor<2x3x4xf32>
        %c = nn.relu(%a) : tensor<2x3x4xf32> loc(Relu "c")
        %e = nn.conv(%c) {weight = @w} : tensor<2x3x4xf32>
        %g.before = nn.add(%c, %e) : tensor<2x3x4xf32> loc(Add "g")
        %g = nn.rearrange(%g.before) {perm = [1, 2, 0], shape = [3, 4, 2]} : tensor<3x4x2xf32> \
loc(T "b", T "f")
        output "y" = %g
        """,
    ),
    "what is computed for each element": (
        """
        tensor @s : tensor<2xf32> = [0.5, 1]
        input "x" %x : tensor<2x3x4xf32>
        input "g" %g : tensor<2x3x4xf32>
        %a = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %b = nn.rearrange(%g) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %c = nn.sub(%a, %b) : tensor<2x4x3xf32>
        %d = nn.multiply(%c, %b) : tensor<2x4x3xf32>
        %e = nn.clip(%d) {low = -1.0} : tensor<2x4x3xf32>
        %f = nn.activation(%e) {function = "leaky_relu", alphas = @s} : tensor<2x4x3xf32>
        %h = nn.activation(%f) {function = "tanh"} : tensor<2x4x3xf32>
        %y = nn.rearrange(%h) {perm = [0, 2, 1], shape = [2, 3, 4]} : tensor<2x3x4xf32>
        output "y" = %y
        """,
        """
        %c = nn.sub(%x, %g) : tensor<2x3x4xf32>
        %d = nn.multiply(%c, %g) : tensor<2x3x4xf32>
        %e = nn.clip(%d) {low = -1.0} : tensor<2x3x4xf32>
        %f = nn.activation(%e) {function = "leaky_relu", alphas = @s} : tensor<2x3x4xf32>
        %h = nn.activation(%f) {function = "tanh"} : tensor<2x3x4xf32>
        output "y" = %h
        """,
    ),
    "slopes of channels that move": (
        """
        tensor @s : tensor<2xf32> = [0.5, 1]
        input "x" %x : tensor<3x2xf32>
        %a = nn.rearrange(%x) {perm = [1, 0], shape = [2, 3]} : tensor<2x3xf32>
        %f = nn.activation(%a) {function = "leaky_relu", alphas = @s} : tensor<2x3xf32>
        output "y" = %f
        """,
        """
        %a = nn.rearrange(%x) {perm = [1, 0], shape = [2, 3]} : tensor<2x3xf32>
        %f = nn.activation(%a) {function = "leaky_relu", alphas = @s} : tensor<2x3xf32>
        output "y" = %f
        """,
    ),
    "concatenations and pads": (
        """
        input "x" %x : tensor<2x3x4xf32>
        input "g" %g : tensor<5x3x4xf32>
        %a = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %b = nn.rearrange(%g) {perm = [0, 2, 1], shape = [5, 4, 3]} : tensor<5x4x3xf32>
        %c = nn.concat(%a, %b) : tensor<7x4x3xf32>
        %d = nn.pad(%c) {channels = [1, 0], pads = [1, 2, 3, 4]} : tensor<8x8x9xf32>
        %e = nn.rearrange(%d) {perm = [2, 0, 1], shape = [9, 8, 8]} : tensor<9x8x8xf32>
        %f = nn.pad(%e) {channels = [1, 2], pads = [3, 4, 5, 6]} : tensor<12x16x18xf32>
        %y = nn.rearrange(%f) {perm = [1, 0, 2], shape = [16, 12, 18]} : tensor<16x12x18xf32>
        output "y" = %y
        """,
        """
        %c = nn.concat(%x, %g) : tensor<7x3x4xf32>
        %d = nn.pad(%c) {channels = [1, 0], pads = [2, 1, 4, 3]} : tensor<8x9x8xf32>
        %f = nn.pad(%d) {channels = [3, 5], pads = [1, 4, 2, 6]} : tensor<16x12x18xf32>
        output "y" = %f
        """,
    ),
    "concatenations of channels that move": (
        """
        input "x" %x : tensor<2x3x4xf32>
        %a = nn.rearrange(%x) {perm = [1, 0, 2], shape = [3, 2, 4]} : tensor<3x2x4xf32>
        %c = nn.concat(%a, %a) : tensor<6x2x4xf32>
        output "y" = %c
        """,
        """
        %a = nn.rearrange(%x) {perm = [1, 0, 2], shape = [3, 2, 4]} : tensor<3x2x4xf32>
        %c = nn.concat(%a, %a) : tensor<6x2x4xf32>
        output "y" = %c
        """,
    ),
    "concatenations along another dim, and selections": (
        """
        input "x" %x : tensor<2x3x4xf32>
        input "g" %g : tensor<2x5x4xf32>
        %a = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %b = nn.rearrange(%g) {perm = [0, 2, 1], shape = [2, 4, 5]} : tensor<2x4x5xf32>
        %c = nn.concat(%a, %b) {axis = 2} : tensor<2x4x8xf32>
        %d = nn.select(%c) {channels = [[1, 2, -1]], columns = [[0, 3, 2]]} : tensor<2x4x3xf32>
        %y = nn.rearrange(%d) {perm = [0, 2, 1], shape = [2, 3, 4]} : tensor<2x3x4xf32>
        output "y" = %y
        """,
        """
        %c = nn.concat(%x, %g) {axis = 1} : tensor<2x8x4xf32>
        %d = nn.select(%c) {channels = [[1, 2, -1]], rows = [[0, 3, 2]]} : tensor<2x3x4xf32>
        output "y" = %d
        """,
    ),
    "pools turn": (
        """
        input "x" %x : tensor<2x5x4xf32>
        %a = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 5]} : tensor<2x4x5xf32>
        %b = nn.max_pool(%a) {kernel = [2, 3], pads = [1, 0, 0, 2]} : tensor<2x4x5xf32>
        %c = nn.average_pool(%b) {kernel = [3, 2], strides = [1, 2]} : tensor<2x2x2xf32>
        %d = nn.relu(%c) : tensor<2x2x2xf32>
        %e = nn.rearrange(%d) {perm = [0, 2, 1], shape = [2, 2, 2]} : tensor<2x2x2xf32>
        output "y" = %e
        """,
        """
        %b = nn.max_pool(%x) {kernel = [3, 2], pads = [0, 1, 2, 0]} : tensor<2x5x4xf32>
        %c = nn.average_pool(%b) {kernel = [2, 3], strides = [2, 1]} : tensor<2x2x2xf32>
        %d = nn.relu(%c) : tensor<2x2x2xf32>
        output "y" = %d
        """,
    ),
    "a permuted flatten in front of two matmuls": (
        """
        tensor @w : tensor<1x4xf32> = [1.0, 2.0, 3.0, 4.0]
        input "x" %x : tensor<2x1x2xf32>
        %a = nn.rearrange(%x) {perm = [1, 2, 0], shape = [4]} : tensor<4xf32>
        %b = nn.gemm(%a) {weight = @w} : tensor<1xf32>
        %c = nn.gemm(%a) {weight = @w} : tensor<1xf32>
        output "y" = %b
        output "z" = %c
        """,
        """
        %a = nn.rearrange(%x) {perm = [0, 1, 2], shape = [4]} : tensor<4xf32>
        %b = nn.gemm(%a) {weight = @w.permuted} : tensor<1xf32>
        %c = nn.gemm(%a) {weight = @w.permuted.1} : tensor<1xf32>
        output "y" = %b
        output "z" = %c
        """,
    ),
    "a flatten of what was cut already": (
        """
        tensor @w : tensor<1x8xf32> = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
        input "x" %x : tensor<4x2xf32>
        %a = nn.rearrange(%x) {perm = [0, 1], shape = [2, 2, 2]} : tensor<2x2x2xf32>
        %b = nn.rearrange(%a) {perm = [1, 0, 2], shape = [8]} : tensor<8xf32>
        %c = nn.gemm(%b) {weight = @w} : tensor<1xf32>
        output "y" = %c
        """,
        """
        %b = nn.rearrange(%x) {perm = [0, 1], shape = [8]} : tensor<8xf32>
        %c = nn.gemm(%b) {weight = @w.permuted} : tensor<1xf32>
        output "y" = %c
        """,
    ),
    "a vector that is cut, permuted and flattened": (
        """
        tensor @w : tensor<1x8xf32> = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
        input "x" %x : tensor<8xf32>
        %a = nn.rearrange(%x) {perm = [0], shape = [2, 2, 2]} : tensor<2x2x2xf32>
        %b = nn.rearrange(%a) {perm = [1, 0, 2], shape = [8]} : tensor<8xf32>
        %c = nn.gemm(%b) {weight = @w} : tensor<1xf32>
        output "y" = %c
        """,
        """
        %c = nn.gemm(%x) {weight = @w.permuted} : tensor<1xf32>
        output "y" = %c
        """,
    ),
    "a flatten that somebody else reads too": (
        """
        tensor @w : tensor<1x4xf32> = [1.0, 2.0, 3.0, 4.0]
        input "x" %x : tensor<2x1x2xf32>
        %a = nn.rearrange(%x) {perm = [1, 2, 0], shape = [4]} : tensor<4xf32>
        %b = nn.gemm(%a) {weight = @w} : tensor<1xf32>
        output "y" = %b
        output "z" = %a
        """,
        """
        %a = nn.rearrange(%x) {perm = [1, 2, 0], shape = [4]} : tensor<4xf32>
        %b = nn.gemm(%a) {weight = @w} : tensor<1xf32>
        output "y" = %b
        output "z" = %a
        """,
    ),
    "nothing sinks where that moves more": (
        """
        input "x" %x : tensor<2x3x4xf32>
        %a = nn.rearrange(%x) {perm = [1, 2, 0], shape = [3, 4, 2]} : tensor<3x4x2xf32>
        %b = nn.relu(%a) : tensor<3x4x2xf32>
        output "y" = %a
        output "z" = %b
        """,
        """
        %a = nn.rearrange(%x) {perm = [1, 2, 0], shape = [3, 4, 2]} : tensor<3x4x2xf32>
        %b = nn.relu(%a) : tensor<3x4x2xf32>
        output "y" = %a
        output "z" = %b
        """,
    ),
    "channels that stay let an affine op through": (
        """
        tensor @s : tensor<2xf32> = [1.0, 2.0]
        input "x" %x : tensor<2x3x4xf32>
        %a = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 12]} : tensor<2x12xf32>
        %b = nn.affine(%a) {scale = @s} : tensor<2x12xf32>
        %c = nn.rearrange(%b) {perm = [1, 0], shape = [12, 2]} : tensor<12x2xf32>
        %d = nn.affine(%c) {scale = @t} : tensor<12x2xf32>
        tensor @t : tensor<12xf32> = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        output "y" = %d
        """,
        """
        %b = nn.affine(%x) {scale = @s} : tensor<2x3x4xf32>
        %c = nn.rearrange(%b) {perm = [2, 1, 0], shape = [12, 2]} : tensor<12x2xf32>
        %d = nn.affine(%c) {scale = @t} : tensor<12x2xf32>
        output "y" = %d
        """,
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    before, expected = GOLDEN[name]
    assert after(before) == lines(expected)


# --- random networks -----------------------------------------------------------------------------

SHAPES = ((2, 2, 4), (4, 2, 2), (2, 4, 2), (16,), (4, 4), (2, 8))


class Net:
    """A random network of rearrangements and of what they may sink through."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.builder = Builder(Module("m", "nn"))
        x = Value("x", TensorType(draw(st.sampled_from(SHAPES))))
        self.builder.module.inputs.append(("x", x))
        self.values = [x]
        random = np.random.default_rng(draw(st.integers(0, 9)))
        self.ref = self.builder.store("w", random.standard_normal((16, 16)), "f32")
        self.scales = {n: self.builder.store("s", np.arange(1.0, n + 1), "f32") for n in (2, 4, 16)}

    def op(self) -> None:
        """Append one op."""
        x = self.draw(st.sampled_from(self.values[-3:]))
        shape = x.type.shape
        kinds = ["relu", "rearrange", "rearrange", "affine", "add"]
        kinds += ["concat", "select"]
        kinds += ["pool", "point"] if len(shape) == 3 else ["gemm"] if len(shape) == 1 else []
        getattr(self, self.draw(st.sampled_from(kinds)))(x)

    def put(
        self, kind: type, operands: list[Value], shape: tuple[int, ...], /, **given: object
    ) -> None:
        result = Value(f"v{len(self.builder.module.ops)}", TensorType(shape))
        self.values.append(self.builder.add(kind, operands, result, Location(), **given))

    def relu(self, x: Value) -> None:
        self.put(nn.Relu, [x], x.type.shape)

    def add(self, x: Value) -> None:
        alike = [value for value in self.values if value.type.shape == x.type.shape]
        self.put(nn.Add, [x, self.draw(st.sampled_from(alike))], x.type.shape)

    def affine(self, x: Value) -> None:
        shape = x.type.shape
        if shape[0] in self.scales:
            self.put(nn.Affine, [x], shape, scale=self.scales[shape[0]])

    def rearrange(self, x: Value) -> None:
        shape = x.type.shape
        perm = tuple(self.draw(st.permutations(range(len(shape)))))
        permuted = tuple(shape[axis] for axis in perm)
        cut = self.draw(st.sampled_from((permuted, permuted, *SHAPES)))
        self.put(nn.Rearrange, [x], cut, perm=perm, shape=cut)

    def pool(self, x: Value) -> None:
        """A pool that keeps the shape."""
        kind = self.draw(st.sampled_from((nn.MaxPool, nn.AveragePool)))
        given = {"counted": (0, 0, 1, 1)} if kind is nn.AveragePool else {}
        self.put(kind, [x], x.type.shape, kernel=(3, 2), pads=(1, 0, 1, 1), **given)

    def point(self, x: Value) -> None:
        """Two convolutions 1x1, to some channels and to as many as there were."""
        channels, *size = x.type.shape
        between = self.draw(st.sampled_from((channels, 3)))
        for outputs, inputs in ((between, channels), (channels, between)):
            array = np.cos(np.arange(outputs * inputs)).reshape(outputs, inputs, 1, 1)
            weight = self.builder.store("p", array, "f32")
            self.put(nn.Conv, [x], (outputs, *size), weight=weight)
            x = self.values[-1]
        # What has another size stays between both.
        del self.values[-2]

    def concat(self, x: Value) -> None:
        """A value twice, one behind the other, and half of the result."""
        axis, rank = self.draw(st.integers(0, len(x.type.shape) - 1)), len(x.type.shape)
        shape = tuple(size * (1 + (k == axis)) for k, size in enumerate(x.type.shape))
        twice = Value(f"twice{len(self.builder.module.ops)}", TensorType(shape))
        self.builder.add(moves.Concat, [x, x], twice, Location(), axis=axis)
        key = ("channels", "rows" if rank == 3 else "columns", "columns")[axis]
        size = x.type.shape[axis]
        self.put(moves.Select, [twice], x.type.shape, **{key: runs_of(range(1, 2 * size, 2))})

    def select(self, x: Value) -> None:
        """A selection that keeps the shape."""
        keys = [("channels",), ("channels", "columns"), ("channels", "rows", "columns")]
        names = keys[len(x.type.shape) - 1]
        runs = [
            runs_of(self.draw(st.lists(st.integers(0, size - 1), min_size=size, max_size=size)))
            for size in x.type.shape
        ]
        self.put(moves.Select, [x], x.type.shape, **dict(zip(names, runs, strict=True)))

    def gemm(self, x: Value) -> None:
        self.put(nn.Gemm, [x], (16,), weight=self.ref)

    def module(self) -> Module:
        """The finished module; its last values are the outputs."""
        made = [op.output for op in self.builder.module.ops]
        self.builder.module.outputs = [(v.name, v) for v in made[-2:]]
        return self.builder.finish()


@st.composite
def modules(draw: st.DrawFn) -> Module:
    """A module of a few ops."""
    net = Net(draw)
    net.relu(net.values[0])
    for _ in range(draw(st.integers(2, 12))):
        net.op()
    return net.module()


@settings(deadline=None, max_examples=200)
@given(modules())
def test_it_computes_the_same_and_moves_no_more(module: Module) -> None:
    result = Runner(PASSES).run(module, [Layout()])
    assert moved_elements(result) <= moved_elements(module)
    shape = module.inputs[0][1].type.shape
    x = np.random.default_rng(0).standard_normal((3, *shape))
    expected = interpret(module, {"x": x})
    actual = interpret(result, {"x": x})
    for name, array in expected.items():
        assert actual[name].shape == array.shape
        np.testing.assert_allclose(actual[name], array, rtol=1e-9, atol=1e-9)
    again = Runner(PASSES).run(result, [Layout()])
    assert moved_elements(again) <= moved_elements(result)
