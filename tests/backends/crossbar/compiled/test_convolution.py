from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.backends.crossbar.compiled.forms import FORMS, PORTABLE, Form
from epimc.backends.crossbar.compiled.requantize import Rescaling
from epimc.ir.semantics.arrays import Array
from epimc.ir.semantics.convolution import accumulator_bounds
from epimc.ir.semantics.requantization import requantization, requantize
from epimc.ir.semantics.windows import Window
from tests.backends.crossbar.compiled.layers import Layer, layers, nchw

RUNNING = tuple(form for form in FORMS if form.runs)


def accumulated(layer: Layer, form: Form | None = None) -> Array:
    kernel = layer.kernel(form)
    out = np.full((len(layer.x), *kernel.shape), -1, kernel.dtype)
    kernel.accumulate(layer.x, out)
    return out


@settings(max_examples=60)
@given(layer=layers(), form=st.sampled_from(RUNNING))
def test_accumulators(layer: Layer, form: Form) -> None:
    np.testing.assert_array_equal(accumulated(layer, form), layer.accumulators())


@settings(max_examples=60)
@given(layer=layers(bits=8, weight_bits=8), form=st.sampled_from(RUNNING))
def test_accumulators_of_bytes(layer: Layer, form: Form) -> None:
    fits = np.abs(layer.bias).max() < 2**30
    assert not fits or layer.kernel(form).dtype == np.int32
    np.testing.assert_array_equal(accumulated(layer, form), layer.accumulators())


@settings(max_examples=60)
@given(data=st.data(), weight_bits=st.sampled_from([1, 8, 16, 17]))
def test_filters_of_single_channels(data: st.DataObject, weight_bits: int) -> None:
    layer = data.draw(layers(data.draw(st.integers(1, 9)), weight_bits, by_channel=True))
    np.testing.assert_array_equal(accumulated(layer), layer.accumulators())


@pytest.mark.parametrize("form", RUNNING)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_bound_of_32_bits(form: Form, sign: int) -> None:
    """Sums at the last integer of 32 bits, and just beyond it."""
    weights = np.full((1, 65_793, 1, 1), sign * 128 - (sign > 0))
    x = np.full((1, 1, 1, weights.shape[1]), 255, np.uint8)
    rest = 2**31 - 1 - 255 * int(np.abs(weights).sum())
    for more, kind in ((0, np.int32), (1, np.int64)):
        bias = np.array([sign * (rest + more)])
        layer = Layer(weights, bias, Window((1, 1)), 1, 0, 8, x)
        assert layer.kernel(form).dtype == kind
        assert accumulated(layer, form).item() == sign * (2**31 - 1 + more)


@pytest.mark.parametrize("form", RUNNING)
def test_more_products_than_32_bits_hold(form: Form) -> None:
    count = 200_000
    x = np.full((2, 1, 1, count), 255, np.uint8)
    layer = Layer(np.full((3, count, 1, 1), -128), np.arange(3), Window((1, 1)), 1, 0, 8, x)
    np.testing.assert_array_equal(accumulated(layer, form), layer.accumulators())


@st.composite
def rescalings(
    draw: st.DrawFn, bounds: Sequence[int], channels: int, place: int
) -> tuple[Rescaling, tuple[Array, Array, Array, Sequence[int], int, int, int]]:
    """A requantization of terms with these bounds, and the numbers that it is made of."""
    bits = draw(st.integers(1, 16))
    high = 2**bits - 1
    numbers = []
    for _ in range(channels):
        scales = [
            draw(st.integers(-50, 50))
            / 50
            * high
            / max(1, bound)
            * (not term or draw(st.booleans()))
            for term, bound in enumerate(bounds)
        ]
        scales[0] = scales[0] or high / bounds[0]
        numbers.append(requantization(scales, list(bounds), draw(st.floats(-9, 9))))
    multipliers = np.array([number[0] for number in numbers]).T
    shifts, offsets = (np.array([number[n] for number in numbers]) for n in (1, 2))
    zero_points = [0 if bound > 2**16 else draw(st.integers(0, bound)) for bound in bounds]
    zero = draw(st.integers(0, high))
    low = draw(st.sampled_from([0, zero]))
    kind = np.dtype(np.uint8 if bits <= 8 else np.uint16)
    rescaling = Rescaling(multipliers, shifts, offsets, zero_points, zero, low, high, kind, place)
    return rescaling, (multipliers, shifts, offsets, zero_points, zero, low, high)


@settings(max_examples=60)
@given(data=st.data(), form=st.sampled_from(RUNNING))
def test_activations(data: st.DataObject, form: Form) -> None:
    by_channel = data.draw(st.booleans())
    weight_bits = data.draw(st.integers(1, 14))
    layer = data.draw(layers(weight_bits=weight_bits, by_channel=by_channel))
    kernel, sums = layer.kernel(None if by_channel else form), layer.accumulators()
    bound = int(accumulator_bounds(layer.weights, layer.bias, layer.bits).max())
    kinds = data.draw(st.lists(st.sampled_from(["u1", "u1", "u2", "i4", "i8"]), max_size=2))
    bounds = [min(np.iinfo(kind).max, 2**32) for kind in kinds]
    random = np.random.default_rng(0)
    terms = [
        random.integers(0, most, sums.shape, endpoint=True).astype(kind)
        for most, kind in zip(bounds, kinds, strict=True)
    ]
    place = data.draw(st.integers(0, len(terms)))
    bounds.insert(place, max(bound, 2**17))
    rescaling, numbers = data.draw(rescalings(bounds, sums.shape[3], place))
    multipliers, shifts, offsets, zero_points, zero, low, high = numbers
    sources = [nchw(term) for term in terms]
    sources.insert(place, nchw(sums))
    sources = [source - point for source, point in zip(sources, zero_points, strict=True)]
    expected = requantize(sources, multipliers, shifts, zero, low, high, offsets)
    out = np.full(sums.shape, 77, rescaling.dtype)
    kernel.activations(layer.x, rescaling, terms, out)
    np.testing.assert_array_equal(out, expected.transpose(0, 2, 3, 1))


def test_results_do_not_depend_on_other_samples() -> None:
    layer = layers_of_many_samples()
    every = accumulated(layer)
    for sample in range(len(layer.x)):
        single = accumulated(
            Layer(
                layer.weights,
                layer.bias,
                layer.window,
                layer.groups,
                layer.zero_point,
                layer.bits,
                layer.x[sample : sample + 1],
            )
        )
        np.testing.assert_array_equal(single[0], every[sample])


def layers_of_many_samples() -> Layer:
    """Of more positions than are packed at a time."""
    random = np.random.default_rng(1)
    return Layer(
        weights=random.integers(-128, 128, (40, 64, 3, 3)),
        bias=random.integers(-999, 999, 40),
        window=Window((3, 3), (2, 1), (1, 1, 1, 1)),
        groups=1,
        zero_point=9,
        bits=8,
        x=random.integers(0, 256, (9, 23, 21, 64)).astype(np.uint8),
    )


def test_maps_of_more_positions_than_are_packed_at_a_time() -> None:
    layer = layers_of_many_samples()
    expected = layer.accumulators()
    for form in RUNNING:
        np.testing.assert_array_equal(accumulated(layer, form), expected)


def test_maps_that_lie_otherwise() -> None:
    """Views of other maps, and maps that are not to be written to."""
    layer = layers_of_many_samples()
    expected = accumulated(layer, PORTABLE)
    kernel = layer.kernel()
    turned = np.ascontiguousarray(layer.x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
    fixed = layer.x.copy()
    fixed.setflags(write=False)
    for x in (turned, fixed):
        out = np.empty(expected.shape, kernel.dtype)
        kernel.accumulate(x, out)
        np.testing.assert_array_equal(out, expected)
    with pytest.raises(ValueError, match="copy"):
        kernel.accumulate(layer.x, np.empty(expected.shape[::-1], kernel.dtype).T)
