"""Real functions in float64, and the ops that name them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from epimc.ir.semantics.functions import FUNCTIONS, erf, sigmoid, softplus
from epimc.ir.text.parser import parse_module
from epimc.ir.verifier import verify
from epimc.support.diagnostics import EpimcError

pytestmark = pytest.mark.smoke

LINE = np.linspace(-9, 9, 1801)


def test_erf_is_exact() -> None:
    expected = np.array([math.erf(x) for x in LINE])
    np.testing.assert_allclose(erf(LINE), expected, rtol=0, atol=4e-15)


# Where infinity is the right result: it is clipped where it is quantized.
INFINITE = {"exp"}


def test_nothing_overflows() -> None:
    far = np.array([-1e6, -800.0, 0.0, 800.0, 1e6])
    with np.errstate(all="raise", under="ignore"):
        assert sigmoid(far).tolist() == [0, 0, 0.5, 1, 1]
        assert softplus(far).tolist() == [0, 0, math.log(2), 800, 1e6]
        for name, function in FUNCTIONS.items():
            if name not in INFINITE:
                values = function.compute(far, *(value for _, value in function.parameters))
                assert np.isfinite(values).all(), f"{name}: write it so, or name it in INFINITE"


def module(line: str) -> str:
    """A module of one op over a map of three channels."""
    return (
        'epimc.module 2 "m" level nn {\n'
        "  tensor @three : tensor<3xf32> = [0.5, 1.0, -2.0]\n"
        "  tensor @two : tensor<2xf32> = [0.5, 1.0]\n"
        '  input "x" %x : tensor<3x4x5xf32>\n'
        '  input "g" %g : tensor<3x1x1xf32>\n'
        '  input "v" %v : tensor<3xf32>\n'
        f"  %y = {line}\n"
        '  output "y" = %y\n}\n'
    )


@pytest.mark.parametrize(
    "line",
    [
        'nn.activation(%x) {function = "leaky_relu", alphas = @three} : tensor<3x4x5xf32>',
        'nn.activation(%v) {function = "selu", alpha = 1.5, beta = 1.0} : tensor<3xf32>',
        "nn.clip(%x) {low = -1.0, high = 2.5} : tensor<3x4x5xf32>",
        "nn.clip(%v) {high = 0} : tensor<3xf32>",
        "nn.sub(%x, %x) : tensor<3x4x5xf32>",
        "nn.multiply(%x, %g) : tensor<3x4x5xf32>",
        "nn.concat(%x, %x) : tensor<6x4x5xf32>",
        "nn.pad(%x) {channels = [1, 0], pads = [0, 1, 2, 3]} : tensor<4x6x9xf32>",
        "nn.rearrange(%v) {perm = [0], shape = [3, 1, 1]} : tensor<3x1x1xf32>",
    ],
)
def test_good_ops(line: str) -> None:
    verify(parse_module(module(line)))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            'nn.activation(%x) {function = "tanh", alpha = 0.5} : tensor<3x4x5xf32>',
            "tanh takes no alpha",
        ),
        (
            'nn.activation(%x) {function = "elu", alphas = @two} : tensor<3x4x5xf32>',
            "there must be 3 alphas",
        ),
        (
            'nn.activation(%x) {function = "elu", alphas = @three, alpha = 1.0} '
            ": tensor<3x4x5xf32>",
            "alpha and alphas exclude each other",
        ),
        (
            "nn.clip(%x) {low = 2.0, high = 1.0} : tensor<3x4x5xf32>",
            "the bounds [2.0, 1.0] are not in order",
        ),
        (
            "nn.multiply(%g, %x) : tensor<3x4x5xf32>",
            "shapes [3, 1, 1] and [3, 4, 5] cannot be multiplied",
        ),
        (
            "nn.multiply(%x, %v) : tensor<3x4x5xf32>",
            "shapes [3, 4, 5] and [3] cannot be multiplied",
        ),
        ("nn.concat(%x, %g) : tensor<6x4x5xf32>", "all sizes but those along 'axis' must be equal"),
        (
            "nn.concat(%x, %x) {axis = 3} : tensor<6x4x5xf32>",
            "'axis' must be one of the 3 dims of the operands",
        ),
        ("nn.select(%x) : tensor<3x4x5xf32>", "it selects nothing in particular"),
        (
            "nn.select(%x) {rows = [[0, 2, 1], [4, 1, 0]]} : tensor<3x3x5xf32>",
            "an index lies outside [3, 4, 5]",
        ),
        (
            "nn.select(%x) {channels = [[1, 3, -1]]} : tensor<3x4x5xf32>",
            "an index lies outside [3, 4, 5]",
        ),
        (
            "nn.select(%v) {rows = [[0, 1, 0]]} : tensor<3xf32>",
            "a value of shape [3] has no such dims",
        ),
        (
            "nn.select(%x) {channels = [[0, 3]]} : tensor<3x4x5xf32>",
            "attribute 'channels': expected a list of 3 integers",
        ),
        ("nn.constant() {value = @three} : tensor<2xf32>", "the result is of shape [3], not [2]"),
        (
            "nn.average_pool(%x) {kernel = [3, 3], pads = [1, 1, 1, 1], counted = [0, 0, 2, 0]} "
            ": tensor<3x4x5xf32>",
            "more padding counts than there is",
        ),
        ("nn.concat() : tensor<6x4x5xf32>", "expected 1 operands, found 0"),
        (
            "nn.pad(%v) {pads = [0, 1, 2, 3]} : tensor<4x6x9xf32>",
            "operand %v has rank 1",
        ),
    ],
)
def test_bad_ops(line: str, problem: str) -> None:
    with pytest.raises(EpimcError) as caught:
        verify(parse_module(module(line)))
    name = line.partition("(")[0]
    assert str(caught.value).splitlines()[0] == f"error: Invalid {name}: {problem}."


def integer_module(line: str) -> str:
    """A module of one integer op over activations of 2 bits."""
    kind = "u2, scale = 0.5, zero_point = 1"
    return (
        'epimc.module 2 "m" level quantized {\n'
        "  tensor @table : tensor<1x4xu2> = [3, 2, 1, 0]\n"
        "  tensor @short : tensor<1x3xu2> = [3, 2, 1]\n"
        "  tensor @wide : tensor<3x4xu4> = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]\n"
        "  tensor @ones : tensor<1x3xi64> = [1, -1, 1]\n"
        "  tensor @three : tensor<3xi64> = [1, 1, 1]\n"
        "  tensor @two : tensor<2xi64> = [1, 1]\n"
        '  input "x" %x : tensor<3xf32>\n'
        f"  %q = epi.quantize(%x) : tensor<3x{kind}>\n"
        f"  %y = {line}\n"
        "  %q.real = epi.dequantize(%q) : tensor<3xf32>\n"
        '  output "x" = %q.real\n}\n'
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("epi.lookup(%q) {table = @table} : tensor<3xu2, scale = 1.0>", ""),
        (
            "epi.lookup(%q) {table = @short} : tensor<3xu2, scale = 1.0>",
            "the table must be [1 or 3, 4]",
        ),
        (
            "epi.lookup(%q) {table = @wide} : tensor<3xu2, scale = 1.0>",
            "the table must hold u2",
        ),
        (
            "epi.requantize(%q) {multipliers = @ones, shifts = @three, offsets = @three, "
            "low = 0, high = 3} : tensor<3xu2, scale = 1.0>",
            "",
        ),
        (
            "epi.requantize(%q) {multipliers = @ones, shifts = @three, offsets = @two, "
            "low = 0, high = 3} : tensor<3xu2, scale = 1.0>",
            "there must be 3 offsets",
        ),
        ("epi.multiply(%q, %q) : tensor<3xi64>", ""),
        ("epi.multiply(%q, %q) : tensor<3xu2, scale = 1.0>", "the result is u2, expected i64"),
        (
            "nn.concat(%q, %q) : tensor<6xu2, scale = 0.5>",
            "the result must have the element type and quantization of the operand",
        ),
    ],
)
def test_integer_ops(line: str, problem: str) -> None:
    if not problem:
        verify(parse_module(integer_module(line)))
        return
    with pytest.raises(EpimcError) as caught:
        verify(parse_module(integer_module(line)))
    name = line.partition("(")[0]
    assert str(caught.value).splitlines()[0] == f"error: Invalid {name}: {problem}."
