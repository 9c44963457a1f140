"""`fold`: what goes into weights and windows computes the same, and only where that is exact."""

from __future__ import annotations

import numpy as np
import pytest

from epimc.ir.core.module import Module
from epimc.ir.interpreter import interpret
from epimc.ir.passes.fold import Fold
from epimc.ir.text.parser import parse_module
from epimc.ir.verifier import verify

pytestmark = pytest.mark.smoke

HEAD = """epimc.module 2 "m" level nn {
  tensor @w : tensor<2x3x3x3xf32> = normal(seed = 1, scale = 1.0)
  tensor @three : tensor<3xf32> = [0.5, 1.0, -2.0]
  tensor @positive : tensor<3xf32> = [0.5, 1.0, 2.0]
  tensor @two : tensor<2xf32> = [0.25, -3.0]
  input "x" %x : tensor<3x6x5xf32>
"""


def folded(body: str) -> tuple[Module, list[str]]:
    """The folded module, which computes what it did, and its ops."""
    module = parse_module(HEAD + body + "}\n")
    result = Fold().run(module)
    verify(result)
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 5))
    before, after = (interpret(m, {"x": x}) for m in (module, result))
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_allclose(after[name], array, rtol=1e-5, atol=1e-5)
    return result, [op.name for op in result.ops]


PAD = "  %p = nn.pad(%x) {pads = [1, 0, 2, 1]} : tensor<3x9x6xf32>\n"
CONV = "  %y = nn.conv(%p) {weight = @w, pads = [0, 1, 0, 0]} : tensor<2x7x5xf32>\n"


def test_a_pad_goes_into_a_convolution() -> None:
    module, names = folded(f'{PAD}{CONV}  output "y" = %y\n')
    assert names == ["nn.conv"]
    assert module.ops[0].attributes["pads"] == (1, 1, 2, 1)


def test_a_pad_that_others_read_stays_for_them() -> None:
    relu = "  %r = nn.relu(%p) : tensor<3x9x6xf32>\n"
    _, names = folded(f'{PAD}{CONV}{relu}  output "y" = %y\n  output "r" = %r\n')
    assert names == ["nn.pad", "nn.conv", "nn.relu"]
    _, names = folded(f'{PAD}{CONV}  output "y" = %y\n  output "p" = %p\n')
    assert names == ["nn.pad", "nn.conv"]


def test_pads_of_channels_and_the_first_of_two_stay() -> None:
    pads = (
        "  %q = nn.pad(%x) {channels = [1, 0]} : tensor<4x6x5xf32>\n"
        "  %p = nn.pad(%q) {pads = [1, 1, 1, 1]} : tensor<4x8x7xf32>\n"
        "  %y = nn.average_pool(%p) {kernel = [2, 2]} : tensor<4x7x6xf32>\n"
    )
    _, names = folded(f'{pads}  output "y" = %y\n')
    assert names == ["nn.pad", "nn.average_pool"]


@pytest.mark.parametrize(
    ("before", "pool", "names"),
    [
        ("nn.relu(%x)", "nn.max_pool", ["nn.relu", "nn.max_pool"]),
        ("nn.clip(%x) {low = 0.5}", "nn.max_pool", ["nn.clip", "nn.max_pool"]),
        ("nn.clip(%x) {low = -0.5}", "nn.max_pool", ["nn.clip", "nn.pad", "nn.max_pool"]),
        ("nn.add(%x, %x)", "nn.max_pool", ["nn.add", "nn.pad", "nn.max_pool"]),
        ("nn.add(%x, %x)", "nn.average_pool", ["nn.add", "nn.average_pool"]),
    ],
)
def test_pads_go_into_pools_where_that_is_exact(before: str, pool: str, names: list[str]) -> None:
    body = (
        f"  %a = {before} : tensor<3x6x5xf32>\n"
        "  %p = nn.pad(%a) {pads = [1, 1, 1, 1]} : tensor<3x8x7xf32>\n"
        f"  %y = {pool}(%p) {{kernel = [2, 2]}} : tensor<3x7x6xf32>\n"
    )
    assert folded(f'{body}  output "y" = %y\n')[1] == names


@pytest.mark.parametrize("pool", ["nn.max_pool", "nn.average_pool"])
def test_pads_as_large_as_the_window_stay(pool: str) -> None:
    body = (
        "  %a = nn.relu(%x) : tensor<3x6x5xf32>\n"
        "  %p = nn.pad(%a) {pads = [2, 0, 0, 0]} : tensor<3x8x5xf32>\n"
        f"  %y = {pool}(%p) {{kernel = [2, 1]}} : tensor<3x7x5xf32>\n"
    )
    assert folded(f'{body}  output "y" = %y\n')[1] == ["nn.relu", "nn.pad", pool]


def test_norms_fold_or_become_affine() -> None:
    norm = "{scale = @three, offset = @three, mean = @three, variance = @positive}"
    body = (
        f"  %n = nn.batch_norm(%x) {norm} : tensor<3x6x5xf32>\n"
        "  %c = nn.conv(%n) {weight = @w} : tensor<2x4x3xf32>\n"
        "  %y = nn.affine(%c) {scale = @two, offset = @two} : tensor<2x4x3xf32>\n"
        '  output "y" = %y\n'
    )
    module, names = folded(body)
    assert names == ["nn.affine", "nn.conv"]
    assert set(module.tensors) == {"n.scale", "n.offset", "w.folded", "w.bias"}
