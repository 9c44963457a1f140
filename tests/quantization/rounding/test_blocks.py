"""Where a net is parted into blocks."""

from __future__ import annotations

import pytest

from epimc.ir.core.module import Module
from epimc.ir.core.op import Value
from epimc.ir.dialects import elementwise
from epimc.ir.epitome.plan import Patch
from epimc.quantization.rounding.blocks import LAYERS, MOST_LAYERS, blocks_of
from epimc.quantization.rounding.layer import LARGEST_INPUTS
from tests.helpers.modules import Net, lower


def names(module: Module) -> list[list[str]]:
    """The ops of each block."""
    return [[op.name for op in block.ops] for block in blocks_of(module)]


def lowered(net: Net, *outputs: Value) -> Module:
    """The module with layers."""
    return lower(net.module(*outputs), "fold,epitomize")


def residual(net: Net, x: Value, *, activation: bool = False) -> Value:
    """Two convolutions beside a way around them."""
    channels = x.type.shape[0]
    inner = net.relu(net.conv(x, channels, pads=(1, 1, 1, 1)))
    if activation:
        inner = net.op(elementwise.Activation, inner, function="sigmoid")
    return net.relu(net.add(net.conv(inner, channels, (1, 1)), x))


RESIDUAL = ["epi.conv", "nn.relu", "epi.conv", "nn.add", "nn.relu"]
LAYER = ["epi.conv", "nn.relu"]


def test_a_residual_block_is_one() -> None:
    net = Net()
    x = residual(net, residual(net, net.input(3, 6, 6)))
    module = lowered(net, x)
    assert names(module) == [RESIDUAL, RESIDUAL]
    first, second = blocks_of(module)
    assert first.x is module.inputs[0][1]
    assert second.x is first.result
    assert second.result is module.outputs[0][1]
    assert len(second.layers) == 2


def test_layers_in_a_row_are_together_while_they_are_few() -> None:
    net = Net()
    x = net.input(3, 6, 6)
    for _ in range(LAYERS + 1):
        x = net.relu(net.conv(x, 3, (1, 1)))
    assert names(lowered(net, x)) == [LAYER * LAYERS, LAYER]


def test_a_block_that_cannot_be_parted_has_as_many_layers_as_it_has() -> None:
    net = Net()
    x = net.input(3, 6, 6)
    y = x
    for _ in range(LAYERS + 2):
        y = net.relu(net.conv(y, 3, (1, 1)))
    assert names(lowered(net, net.add(x, y))) == [[*LAYER * (LAYERS + 2), "nn.add"]]


def test_a_way_around_very_many_layers_makes_no_block() -> None:
    net = Net()
    x = a = net.input(3, 6, 6)
    for _ in range(MOST_LAYERS + 1):
        a = net.relu(net.conv(a, 3, (1, 1)))
    assert names(lowered(net, net.add(a, x))) == [LAYER] * (MOST_LAYERS + 1)


def test_what_has_no_gradient_parts_a_block_into_layers() -> None:
    net = Net()
    x = residual(net, net.input(3, 6, 6), activation=True)
    assert names(lowered(net, x)) == [LAYER, ["epi.conv"]]
    net = Net()
    x = net.flat(residual(net, net.input(3, 6, 6)))
    assert names(lowered(net, net.gemm(x, 2))) == [RESIDUAL, [lowered(net, x).ops[0].name]]


def test_what_is_read_elsewhere_comes_out_of_no_block() -> None:
    net = Net()
    a = net.conv(net.input(3, 6, 6), 3, (1, 1))
    b = net.relu(a)
    assert names(lowered(net, b, a)) == [["epi.conv"]]


def test_two_values_that_go_in_make_no_block() -> None:
    net = Net()
    x, y = net.input(3, 6, 6), net.input(3, 6, 6)
    z = net.add(net.conv(x, 3, (1, 1)), y)
    assert names(lowered(net, net.relu(z))) == [["epi.conv"]]


@pytest.mark.parametrize("is_identity", [True, False])
def test_an_epitome_that_is_not_the_weights_is_in_none(is_identity: bool) -> None:
    net = Net()
    shape = (4, 4, 1, 1)
    half = tuple(Patch(o, 2, 0, 4, 0, 0, 0, 0) for o in (0, 2))
    whole = (Patch(0, 4, 0, 4, 0, 0, 0, 0),)
    planned = (whole, shape, shape) if is_identity else (half, shape, (2, 4, 1, 1))
    module = net.module(net.relu(net.epitome(net.input(4, 5, 5), planned)))
    assert names(module) == ([LAYER] if is_identity else [])


def test_a_layer_of_very_many_inputs_is_in_none() -> None:
    for inputs, count in ((LARGEST_INPUTS, 1), (LARGEST_INPUTS + 1, 0)):
        net = Net()
        assert len(blocks_of(lowered(net, net.gemm(net.input(inputs), 2)))) == count
