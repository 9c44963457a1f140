"""Gradients of ops of reals: those that differences of results say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.ir.core.module import Module
from epimc.ir.core.types import TensorType, as_map
from epimc.ir.dialects import elementwise, nn
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.semantics.windows import Window
from epimc.quantization.rounding.gradients import Parameters, Tape, rounding, spread
from epimc.quantization.rounding.moments import columns
from tests.helpers.modules import Net, lower

Array = NDArray[Any]


def block(seed: int) -> Module:
    """Convolutions of several kinds, clippings, a sum and a difference; one value comes out."""
    net = Net(seed=seed)
    x = net.input(4, 7, 6)
    a = net.op(
        elementwise.Clip, net.conv(x, 6, pads=(1, 1, 1, 1), strides=(2, 1)), low=-2.0, high=3.0
    )
    weights = net.random.normal(size=(6, 2, 3, 2))
    b = net.conv(a, 6, weights=weights, groups=3, pads=(2, 1, 2, 0), dilations=(2, 1))
    c = net.relu(net.add(a, b))
    d = net.op(elementwise.Sub, net.conv(c, 6, (1, 1)), a)
    module = net.module(net.gemm(net.flat(net.relu(d)), 3))
    return lower(module, "fold,epitomize")


def parameters(module: Module) -> dict[Any, tuple[Array, Array]]:
    """Of all layers, float64."""
    layers = [op for op in module.ops if isinstance(op, Epitomized)]
    result = {}
    for op in layers:
        weights = op.weights(module.tensor).astype(np.float64)
        assert op.bias is not None
        bias = module.tensor(op.bias).astype(np.float64)
        result[op.output] = weights.reshape(op.groups, op.shape[0] // op.groups, -1), bias
    return result


@pytest.mark.parametrize("seed", range(4))
def test_slopes_of_a_block_are_those_of_differences(seed: int) -> None:
    module = block(seed)
    # What is flat has no gradient here: the ops before it have.
    ops = module.ops[: next(k for k, op in enumerate(module.ops) if isinstance(op, nn.Rearrange))]
    random, own = np.random.default_rng(seed), parameters(module)
    inputs = {value: random.normal(size=(2, *value.type.shape)) for _, value in module.inputs}

    def tape(changed: Parameters) -> Tape:
        return Tape.of(ops, inputs, changed, {})

    last = ops[-1].output
    by_result = random.normal(size=(2, *last.type.shape))
    slopes = tape(own).slopes(by_result)
    assert len(slopes) == 3
    small = 1e-6
    for value in slopes:
        for k in range(2):
            direction = random.normal(size=own[value][k].shape)

            def moved(far: float, k: int = k, value: Any = value, way: Array = direction) -> float:
                pair = [*own[value]]
                pair[k] = pair[k] + far * way
                result = tape({**own, value: (pair[0], pair[1])}).values[last]
                return float((result * by_result).sum())

            expected = (moved(small) - moved(-small)) / (2 * small)
            assert (slopes[value][k] * direction).sum() == pytest.approx(expected, rel=1e-4)


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from([1, 2, 4]),
)
def test_spread_is_the_transpose_of_columns(
    kernel: Any, strides: Any, pads: Any, dilations: Any, groups: int
) -> None:
    window, random = Window(kernel, strides, pads, dilations), np.random.default_rng(0)
    x = random.normal(size=(2, 4, 6, 7))
    taken = columns(x, window, groups)
    others = random.normal(size=taken.shape)
    back = spread(others, window, x.shape)
    assert (taken * others).sum() == pytest.approx((x * back).sum(), abs=1e-9)


def test_rounding_is_straight_through_up_to_its_bounds() -> None:
    kind = TensorType((5,), "u4", 0.5, 2)
    values = np.array([[-3.0, -0.9, 0.3, 6.4, 9.0]], np.float32)
    result, pull = rounding(values, kind)
    assert result.tolist() == [[-1.0, -1.0, 0.5, 6.5, 6.5]]
    assert pull(np.array([[1, 2, 3, 4, 5]], np.float32)).tolist() == [[0, 2, 3, 4, 0]]


def test_a_vector_is_a_map_of_one_place() -> None:
    net = Net()
    module = lower(net.module(net.gemm(net.input(5), 3)), "fold,epitomize")
    (_, x), (op,) = module.inputs[0], module.ops
    own = parameters(module)
    given_x = np.random.default_rng(0).normal(size=(4, 5))
    tape = Tape.of([op], {x: given_x}, own, {})
    weights, bias = own[op.output]
    assert as_map(op.output.type.shape) == (3, 1, 1)
    assert np.allclose(tape.values[op.output], given_x @ weights[0].T + bias)
    of_weights, of_bias = tape.slopes(np.ones((4, 3)))[op.output]
    assert np.allclose(of_weights[0], given_x.sum(axis=0))
    assert of_bias.tolist() == [4, 4, 4]
