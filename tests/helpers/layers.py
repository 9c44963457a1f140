"""Quantized modules of one layer, with any plan, for tests from the IR down to the program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.backends.crossbar.target.schema import load_target
from epimc.ir.core.levels import QUANTIZED
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Value
from epimc.ir.core.types import Location, TensorType, as_map
from epimc.ir.dialects import epi
from epimc.ir.epitome import plan
from epimc.ir.epitome.plan import Patch, Plan, Shape
from epimc.ir.semantics import quantization, windows

BITS = 8
SCALE = 0.5


@dataclass(frozen=True)
class Layer:
    """One convolution of any number of groups.

    Attributes:
        weights: [Cout, Cin / groups, Kh, Kw].
        epitome: [groups * Eo, Ei, Eh, Ew].
        plan: Its sampling plan.
        groups: Of the convolution.
        weight_bits: Of the epitome.
        window: Of the convolution.
        zero_point: Of the activations that it reads.
        seed: Of the weights.
    """

    weights: Shape
    epitome: Shape
    plan: Plan
    groups: int
    weight_bits: int
    window: windows.Window
    zero_point: int = 0
    seed: int = 0

    def integers(self) -> NDArray[np.int8]:
        """The epitome: random integers, and 0 where no patch uses it."""
        limit = quantization.weight_limit(self.weight_bits)
        drawn = np.random.default_rng(self.seed).integers(-limit, limit + 1, self.epitome)
        used = plan.used(self.plan, self.epitome, self.window.kernel)
        return np.where(used, drawn, 0).astype(np.int8)


def module_of(layer: Layer, height: int = 5, width: int = 4, **target: Any) -> Module:
    """A quantized module of the layer between its borders; `target` changes tables of `tiny`."""
    described = load_target("tiny").to_dict()
    for key, changes in target.items():
        described[key] |= changes
    builder = Builder(Module("layer", QUANTIZED, {"target": described}))
    cout, cin = layer.weights[:2]
    shape = (cin * layer.groups, height, width)
    x = Value("x", TensorType(shape))
    builder.module.inputs.append(("x", x))
    kind = TensorType(shape, f"u{BITS}", SCALE, layer.zero_point)
    q = builder.add(epi.Quantize, [x], Value("q", kind), Location())
    size = tuple(layer.window.output_size(n, axis) for axis, n in enumerate((height, width)))
    result = (cout, *size)
    acc = builder.add(
        epi.Conv,
        [q],
        Value("acc", TensorType(result, "i64")),
        Location((("Conv", "conv"),)),
        epitome=builder.store("w", layer.integers(), f"s{layer.weight_bits}"),
        bias=builder.store("b", np.arange(cout) - 3, "i64"),
        shape=layer.weights,
        plan=layer.plan,
        groups=layer.groups,
        strides=layer.window.strides,
        pads=layer.window.pads,
        dilations=layer.window.dilations,
    )
    y = builder.add(
        epi.Requantize,
        [acc],
        Value("y", TensorType(result, f"u{BITS}", SCALE, 7)),
        Location(),
        multipliers=builder.store("m", np.full((1, cout), 2**20 + 1), "i64"),
        shifts=builder.store("s", np.full(cout, 26), "i64"),
        low=0,
        high=2**BITS - 1,
    )
    real = builder.add(epi.Dequantize, [y], Value("real", TensorType(result)), Location())
    builder.module.outputs.append(("y", real))
    return builder.finish()


def inputs_of(module: Module, samples: int, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Real inputs that reach every activation."""
    random = np.random.default_rng(seed)
    return {
        name: (random.uniform(-130, 130, (samples, *as_map(value.type.shape)))).astype(np.float32)
        for name, value in module.inputs
    }


@st.composite
def group_plans(draw: st.DrawFn, weights: Shape, epitome: Shape) -> Plan:
    """Any plan of one group: blocks of outputs, each cut into blocks of inputs by itself."""
    (cout, cin, kh, kw), (eo, ei, eh, ew) = weights, epitome
    patches = []
    o0 = 0
    while o0 < cout:
        on = draw(st.integers(1, min(eo, cout - o0)))
        i0 = 0
        while i0 < cin:
            in_ = draw(st.integers(1, min(ei, cin - i0)))
            corner = [draw(st.integers(0, n)) for n in (eo - on, ei - in_, eh - kh, ew - kw)]
            patches.append(Patch(o0, on, i0, in_, *corner))
            i0 += in_
        o0 += on
    return tuple(patches)


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    """Layers of one to five groups: identity plans, or a random plan of its own for each group."""
    groups = draw(st.integers(1, 5))
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (2, 3)]))
    outputs, inputs = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    weights = (groups * outputs, inputs, *kernel)
    window = windows.Window(
        kernel,
        (draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        (kernel[0] // 2, draw(st.integers(0, kernel[1] - 1)), draw(st.integers(0, 1)), 1),
    )
    epitome, patches = weights, plan.identity(weights)
    if draw(st.booleans()):
        eo, ei = draw(st.integers(1, outputs)), draw(st.integers(1, inputs))
        eh, ew = (n + draw(st.integers(0, 1)) for n in kernel)
        epitome, single = (groups * eo, ei, eh, ew), (outputs, inputs, *kernel)
        patches = tuple(
            patch._replace(o0=patch.o0 + g * outputs, eo=patch.eo + g * eo)
            for g in range(groups)
            for patch in draw(group_plans(single, (eo, ei, eh, ew)))
        )
    return Layer(
        weights,
        epitome,
        patches,
        groups,
        draw(st.integers(2, 8)),
        window,
        draw(st.integers(0, 255)),
        draw(st.integers(0, 99)),
    )
