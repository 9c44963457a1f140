"""Windows over maps: how much they may pad and read, told from their numbers alone."""

from __future__ import annotations

import pytest

from epimc.ir.text.parser import parse_module
from epimc.support.diagnostics import EpimcError

HEAD = """epimc.module 2 "m" level nn {
  tensor @w : tensor<1x1x1x1xf32> = [1.0]
  tensor @k : tensor<1x1x512x512xf32> = normal(seed = 1, scale = 1.0)
"""


def problem(x: str, op: str, result: str) -> str:
    """What is wrong with an op on a map."""
    text = f'{HEAD}  input "x" %x : tensor<{x}xf32>\n  %y = {op} : tensor<{result}xf32>\n}}\n'
    with pytest.raises(EpimcError) as caught:
        parse_module(text, "f.epi")
    message, place, *_ = str(caught.value).split("\n")
    assert place == "  --> f.epi:5:3"
    return message.removeprefix("error: Invalid ")


@pytest.mark.parametrize("pool", ["max_pool", "average_pool"])
def test_windows_that_read_too_much(pool: str) -> None:
    window = "{kernel = [4095, 4095], pads = [2047, 2047, 2047, 2047]}"
    assert problem("1x4096x4096", f"nn.{pool}(%x) {window}", "1x4096x4096") == (
        f"nn.{pool}: its windows read 281337554534400 elements of one sample, "
        "more than 17179869184."
    )


def test_a_convolution_whose_windows_read_too_much() -> None:
    # Each of its weights may cost a file a few bytes, and meet as many elements as there are.
    assert problem("1x1000x1000", "nn.conv(%x) {weight = @k}", "1x489x489") == (
        "nn.conv: its windows read 62684135424 elements of one sample, more than 17179869184."
    )


@pytest.mark.parametrize(
    "op",
    [
        "nn.conv(%x) {weight = @w, pads = [2147483647, 0, 0, 0], strides = [2147483647, 1]}",
        "nn.max_pool(%x) {kernel = [1073741825, 1], pads = [1073741824, 0, 1073741824, 0], "
        "strides = [1073741824, 1]}",
    ],
)
def test_padding_that_is_too_large(op: str) -> None:
    name = op.partition("(")[0]
    assert problem("1x4x4", op, "1x2x4") == (
        f"{name}: the padded map has more than 268435456 elements."
    )


def test_dilations_that_skip_a_map() -> None:
    window = "{kernel = [2, 1], dilations = [1000001, 1], pads = [1, 0, 1, 0]}"
    assert problem("1x1000000x1", f"nn.max_pool(%x) {window}", "1x1x1") == (
        "nn.max_pool: the dilations would make a window of nothing but padding."
    )
