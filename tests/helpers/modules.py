"""Small networks at level `nn`, made op by op, and random ones for hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.backends.crossbar.target.schema import load_target
from epimc.ir.core.attributes import Ref
from epimc.ir.core.levels import EPI, NN
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value
from epimc.ir.core.tensors import Tensor
from epimc.ir.core.types import Location, TensorType
from epimc.ir.dialects import epi, nn
from epimc.ir.pipeline import Runner, parse_pipeline
from epimc.ir.verifier import verify
from epimc.support.diagnostics import RefusedNodesError
from tests.crossbars import PASSES
from tests.helpers.plans import Planned

Array = NDArray[Any]


@dataclass
class Net:
    """Builds a module; weights are drawn from one seeded generator.

    Attributes:
        seed: Of weights and samples.
        target: A target's name, or the dict of its keys.
    """

    seed: int = 0
    target: str | dict[str, Any] = "tiny"
    built: Module = field(default_factory=lambda: Module("net", NN))

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def input(self, *shape: int) -> Value:
        """A new module input."""
        number = len(self.built.inputs)
        value = Value(f"x{number}", TensorType(shape))
        self.built.inputs.append((f"in{number}", value))
        return value

    def store(self, name: str, array: Array) -> Ref:
        """Keep a float tensor."""
        name = f"{name}{len(self.built.tensors)}"
        self.built.tensors[name] = Tensor.of(array, "f32")
        return Ref(name)

    def op(self, kind: type[Op], *operands: Value, **attributes: Any) -> Value:
        """Append an op; its shape is what the op itself says."""
        name = f"{kind.name.removeprefix('nn.')}{len(self.built.ops)}"
        kept = {key: value for key, value in attributes.items() if value is not None}
        op = kind(operands, Value(name, TensorType(())), Location((("Op", name),)), kept)
        shape = op.result_shape(lambda ref: self.built.tensors[ref.name].type)
        op.output.type = TensorType(shape)
        self.built.ops.append(op)
        return op.output

    def flat(self, x: Value) -> Value:
        """All elements in their order."""
        perm = tuple(range(len(x.type.shape)))
        return self.op(nn.Rearrange, x, perm=perm, shape=(x.type.size,))

    def conv(
        self,
        x: Value,
        cout: int,
        kernel: tuple[int, int] = (3, 3),
        *,
        bias: Array | None = None,
        weights: Array | None = None,
        **window: Any,
    ) -> Value:
        """A convolution with random weights, unless they are given."""
        shape = (cout, x.type.shape[0], *kernel)
        drawn = self.random.normal(size=shape) if weights is None else weights
        offset = self.random.normal(size=cout) if bias is None else bias
        refs = {"weight": self.store("w", drawn), "bias": self.store("b", offset)}
        return self.op(nn.Conv, x, **refs, **window)

    def gemm(self, x: Value, rows: int, *, bias: bool = True) -> Value:
        """A matmul with random weights."""
        weight = self.store("w", self.random.normal(size=(rows, x.type.shape[0])))
        offset = self.store("b", self.random.normal(size=rows)) if bias else None
        return self.op(nn.Gemm, x, weight=weight, bias=offset)

    def epitome(self, x: Value, planned: Planned, *, bias: bool = True, **window: Any) -> Value:
        """A convolution by a random epitome over a plan, which makes the module one of `epi`."""
        chosen, shape, size = planned
        self.built.level = EPI
        return self.op(
            epi.Conv,
            x,
            epitome=self.store("e", self.random.normal(size=size)),
            bias=self.store("b", self.random.normal(size=shape[0])) if bias else None,
            shape=shape,
            plan=chosen,
            **window,
        )

    def relu(self, x: Value) -> Value:
        """A relu."""
        return self.op(nn.Relu, x)

    def add(self, a: Value, b: Value) -> Value:
        """An addition."""
        return self.op(nn.Add, a, b)

    def samples(self, count: int, seed: int = 1, scale: float = 1.0) -> dict[str, Array]:
        """Random samples by input name, float32."""
        random = np.random.default_rng(seed)
        return {
            name: (random.normal(size=(count, *value.type.shape)) * scale).astype(np.float32)
            for name, value in self.built.inputs
        }

    def module(self, *outputs: Value, calibration: dict[str, Array] | None = None) -> Module:
        """The module with target and calibration samples, verified."""
        module = self.built
        module.outputs = [(f"out{k}", value) for k, value in enumerate(outputs)]
        samples = self.samples(4) if calibration is None else calibration
        refs = [self.store("calibration", samples[name]) for name, _ in module.inputs]
        module.attributes["calibration"] = tuple(refs)
        chip = self.target if isinstance(self.target, dict) else load_target(self.target).to_dict()
        module.attributes["target"] = chip
        module.attributes["passes"] = ()
        verify(module)
        return module


def lower(module: Module, pipeline: str) -> Module:
    """The module after a pipeline of the project's passes."""
    return Runner(PASSES).run(module, parse_pipeline(pipeline, PASSES))


def quantized(module: Module, weight_bits: int = 8, activation_bits: int = 8) -> Module:
    """The module down to integers."""
    options = f"weight_bits={weight_bits},activation_bits={activation_bits}"
    return lower(module, f"fold,epitomize,calibrate,quantize{{{options}}}")


def quantizable(module: Module, weight_bits: int, activation_bits: int) -> Module:
    """The module down to integers; a drawn one is passed over that so few bits cannot have."""
    try:
        return quantized(module, weight_bits, activation_bits)
    except RefusedNodesError:
        # A sum that never reaches a step of one of its operands.
        assume(False)
        raise


LOWERING = "map,place,schedule,allocate"

SIZES = st.integers(1, 3)


@st.composite
def windows(draw: st.DrawFn, x: Value, *, pool: bool) -> tuple[tuple[int, int], dict[str, Any]]:
    """A kernel and a window that fit over a map."""
    _, height, width = x.type.shape
    dilations = draw(st.tuples(SIZES, SIZES))
    strides = draw(st.tuples(SIZES, SIZES))
    kernel, pads = [0, 0], [0, 0, 0, 0]
    for axis, size in enumerate((height, width)):
        kernel[axis] = draw(st.integers(1, 4))
        extent = (kernel[axis] - 1) * dilations[axis] + 1
        most = kernel[axis] - 1 if pool else extent + 1
        pads[axis] = draw(st.integers(0, min(most, 4)))
        pads[axis + 2] = draw(st.integers(0, min(most, 4)))
        starts = range(-pads[axis], size + pads[axis + 2] - extent + 1, strides[axis])
        taps = [range(start, start + extent, dilations[axis]) for start in starts]
        # A window of nothing but padding has no maximum.
        if not taps or (pool and any(all(not 0 <= t < size for t in reads) for reads in taps)):
            kernel[axis], pads[axis], pads[axis + 2] = 1, 0, 0
    window = {"strides": strides, "pads": tuple(pads), "dilations": dilations}
    return (kernel[0], kernel[1]), window


@st.composite
def networks(draw: st.DrawFn, target: str | dict[str, Any] = "tiny", depth: int = 7) -> Net:
    """A random network: convolutions, relus, residuals, pools, and perhaps a classifier.

    `net.last` are the values that nothing reads: the outputs.
    """
    net = Net(draw(st.integers(0, 2**32 - 1)), target)
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)))
    values = [net.input(*shape)]
    if draw(st.booleans()):
        values.append(net.input(*shape))
    for _ in range(draw(st.integers(1, depth))):
        values.append(draw(steps(net, values)))
    maps = [value for value in values if len(value.type.shape) == 3]
    if draw(st.booleans()):
        flat = net.flat(draw(st.sampled_from(maps)))
        values.append(net.gemm(flat, draw(st.integers(1, 5)), bias=draw(st.booleans())))
    return net


@st.composite
def steps(draw: st.DrawFn, net: Net, values: list[Value]) -> Value:
    """One more op over values that are there."""
    x = draw(st.sampled_from(values[-3:]))
    kind = draw(st.sampled_from(["conv", "conv", "relu", "add", "add", "max", "average"]))
    if kind == "conv":
        kernel, window = draw(windows(x, pool=False))
        return net.conv(x, draw(st.integers(1, 6)), kernel, **window)
    if kind == "relu":
        return net.relu(x)
    if kind == "add":
        partners = [value for value in values if value.type == x.type]
        other = draw(st.sampled_from(partners))
        return net.add(x, other)
    kernel, window = draw(windows(x, pool=True))
    pool = nn.MaxPool if kind == "max" else nn.AveragePool
    return net.op(pool, x, kernel=kernel, **window)


def unread(module: Module) -> list[Value]:
    """The values that no op reads: what a network gives out."""
    uses = module.uses()
    return [value for value in module.values() if not uses[value]]
