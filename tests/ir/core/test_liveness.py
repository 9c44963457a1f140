"""How many bytes values take at once."""

from __future__ import annotations

import pytest

from epimc.ir.core.liveness import most_alive, refuse_large_maps
from epimc.ir.text.parser import parse_module
from epimc.support.diagnostics import EpimcError
from epimc.support.limits import Budget

TEXT = """epimc.module 2 "m" level nn {
  tensor @w : tensor<1x4x3x3xf32> = normal(seed = 1, scale = 1.0)
  input "x" %x : tensor<4x8x8xf32>
  %a = nn.relu(%x) : tensor<4x8x8xf32>
  %b = nn.relu(%a) : tensor<4x8x8xf32>
  %c = nn.add(%a, %b) : tensor<4x8x8xf32>
  %d = nn.conv(%c) {weight = @w, pads = [1, 1, 1, 1]} : tensor<1x8x8xf32>
  output "d" = %d
}
"""


def test_values_are_alive_until_their_last_reader() -> None:
    needed, op = most_alive(parse_module(TEXT))
    # %a, %b and %c; the convolution has %c, %d and a padded map: 256 + 64 + 400.
    assert (needed, op and op.output.name) == (4 * 3 * 256, "c")


def test_what_an_op_needs_for_itself_counts() -> None:
    module = parse_module(TEXT.replace("pads = [1, 1, 1, 1]", "pads = [2, 2, 0, 0]"))
    assert most_alive(module)[0] == 4 * 3 * 256
    wide = TEXT.replace("[1, 1, 1, 1]", "[20, 1, 20, 1], strides = [6, 1]")
    needed, op = most_alive(parse_module(wide))
    assert (needed, op and op.output.name) == (4 * (256 + 64 + 4 * 48 * 10), "d")


def test_an_output_is_alive_to_the_end_and_an_input_alone_counts() -> None:
    text = TEXT.replace('output "d" = %d', 'output "d" = %d\n  output "a" = %a')
    # %a is there beside %c, %d and the padded map.
    assert most_alive(parse_module(text))[0] == 4 * (256 + 256 + 64 + 400)
    lone = 'epimc.module 2 "m" level nn {\n  input "x" %x : tensor<7xf32>\n  output "x" = %x\n}\n'
    assert most_alive(parse_module(lone)) == (28, None)


def test_the_op_is_named_where_it_is_too_much() -> None:
    module = parse_module(TEXT, "f.epi")
    refuse_large_maps(module, Budget(16 * 3072, "IR text 'f.epi'"))
    with pytest.raises(EpimcError) as caught:
        refuse_large_maps(module, Budget(16 * 3072 - 1, "IR text 'f.epi'"))
    assert str(caught.value) == (
        "error: IR text 'f.epi' needs more memory than the limit of 49151 bytes.\n"
        "  --> f.epi:6:3\n"
        "6 |   %c = nn.add(%a, %b) : tensor<4x8x8xf32>\n"
        "  |   ^\n"
        "  note: What is alive at once of one sample takes 3072 bytes, and 49152 with the work on "
        "it; 49151 are left.\n"
        "  hint: Raise the limit (--limit-bytes), or check the shapes."
    )
