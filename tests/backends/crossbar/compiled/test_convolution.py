from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.backends.crossbar.compiled.forms import FORMS, PORTABLE, Form
from epimc.backends.crossbar.compiled.weights import digits_of
from epimc.ir.semantics.arrays import Array
from epimc.ir.semantics.convolution import accumulator_bounds
from epimc.ir.semantics.windows import Window
from tests.backends.crossbar.compiled.layers import Layer, large_layer, layers
from tests.backends.crossbar.compiled.rescalings import Drawn, drawn_terms, rescalings

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


def test_digits_are_as_many_as_they_must_be() -> None:
    for count in range(1, 4):
        ones = sum(256**place for place in range(count))
        low, high = -128 * ones, 127 * ones
        assert [digits_of(np.array([value])) for value in (low, high)] == [count, count]
        assert [digits_of(np.array([value])) for value in (low - 1, high + 1)] == [count + 1] * 2


@pytest.mark.parametrize("form", RUNNING)
def test_the_widest_weights_of_any_bits(form: Form) -> None:
    x = np.full((1, 1, 1, 3), 65535, np.uint16)
    x[..., 1] = 1
    for bits in range(1, 29):
        top = 2 ** (bits - 1)
        # The last ones that so many digits hold, and the next.
        edges = [128, 127, 32640, 32639, 8355840, 8355839]
        values = [-top, top - 1, *(edge for edge in edges if edge < top)]
        weights = np.repeat(np.array([*values, *(-value for value in values)]), 3)
        weights = np.clip(weights, -top, top - 1).reshape(-1, 3, 1, 1)
        layer = Layer(weights, np.arange(len(weights)), Window((1, 1)), 1, 7, 16, x)
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


@settings(max_examples=60)
@given(data=st.data(), form=st.sampled_from(RUNNING))
def test_activations(data: st.DataObject, form: Form) -> None:
    by_channel = data.draw(st.booleans())
    weight_bits = data.draw(st.integers(1, 14))
    layer = data.draw(layers(weight_bits=weight_bits, by_channel=by_channel))
    kernel, sums = layer.kernel(None if by_channel else form), layer.accumulators()
    bound = int(accumulator_bounds(layer.weights, layer.bias, layer.bits).max())
    kinds = data.draw(st.sampled_from([[], ["u1"], ["u1"], ["u2", "i8"]]))
    terms, bounds = drawn_terms(kinds, sums.shape)
    place = data.draw(st.integers(0, len(terms)))
    bounds.insert(place, max(bound, 2**17))
    drawn: Drawn = data.draw(rescalings(bounds, sums.shape[3], place))
    out = np.full(sums.shape, 77, drawn.rescaling.dtype)
    kernel.activations(layer.x, drawn.rescaling, terms, out)
    terms.insert(place, sums)
    np.testing.assert_array_equal(out, drawn.expected(terms))


def test_results_do_not_depend_on_other_samples() -> None:
    layer = large_layer()
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


def test_maps_of_more_positions_than_are_packed_at_a_time() -> None:
    layer = large_layer()
    expected = layer.accumulators()
    for form in RUNNING:
        np.testing.assert_array_equal(accumulated(layer, form), expected)


def test_maps_that_lie_otherwise() -> None:
    """Views of other maps, and maps that are not to be written to."""
    layer = large_layer()
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


def test_threads_share_a_convolution() -> None:
    layer = large_layer()
    kernel, expected = layer.kernel(), layer.accumulators()
    outs = [np.empty(expected.shape, kernel.dtype) for _ in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda out: kernel.accumulate(layer.x, out), outs))
    for out in outs:
        np.testing.assert_array_equal(out, expected)
