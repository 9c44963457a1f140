"""Layers that say themselves how many bits their weights have, and in which steps."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from epimc.backends.crossbar.check.checker import check
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.lower.emit import emit
from epimc.backends.crossbar.sim.paths import PATHS
from epimc.backends.crossbar.sim.simulator import ENGINES, Simulator
from epimc.backends.crossbar.target.schema import load_target
from epimc.backends.onnx.export import integer_model
from epimc.backends.onnx.reading import read_exported
from epimc.ir.core.module import Builder, Module
from epimc.ir.dialects import epi
from epimc.ir.interpreter import interpret
from epimc.ir.text.parser import parse_module
from epimc.ir.verifier import verify
from epimc.quantization.quantize import Quantize
from epimc.support.diagnostics import EpimcError
from tests.backends.onnx.agreement import disagreements
from tests.crossbars import differences
from tests.helpers.modules import LOWERING, Net, lower

TEXT = """epimc.module 2 "m" level calibrated {
  tensor @w : tensor<2x1x1x1xf32> = [0.5, -1.5]
  tensor @s : tensor<2xf32> = [0.25, 0.5]
  tensor @t : tensor<3xf32> = [0.25, 0.5, 1.0]
  input "x" %x : tensor<2x2x2xf32> range [0.0, 1.0]
  %y = epi.conv(%x) {epitome = @w, STATED, shape = [2, 2, 1, 1], plan = PLAN}
    : tensor<2x2x2xf32> range [-1.0, 1.0]
  output "y" = %y
}
"""
APART = "[[0, 2, 0, 1, 0, 0, 0, 0], [0, 2, 1, 1, 0, 0, 0, 0]]"
CROSSED = "[[0, 2, 0, 1, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0]]"


def module_of(stated: str, plan: str = APART) -> Module:
    """A calibrated module whose layer states something."""
    return parse_module(TEXT.replace("STATED", stated).replace("PLAN", plan))


def test_stated_bits_and_steps_are_what_the_integers_have() -> None:
    module = module_of("weight_scales = @s, weight_bits = 4")
    verify(module)
    integers = Quantize(weight_bits=8).run(module)
    (conv,) = [op for op in integers.ops if isinstance(op, epi.Conv)]
    assert integers.tensors[conv.epitome.name].type.element == "s4"
    assert integers.tensor(conv.epitome).ravel().tolist() == [2, -3]
    assert conv.weight_scales is not None
    assert integers.tensor(conv.weight_scales).tolist() == [0.25, 0.5]
    assert conv.weight_bits is None


def test_bits_alone_leave_the_steps_to_the_pass() -> None:
    integers = Quantize(weight_bits=8).run(module_of("weight_bits = 3"))
    (conv,) = [op for op in integers.ops if isinstance(op, epi.Conv)]
    assert integers.tensor(conv.epitome).ravel().tolist() == [3, -3]


def test_columns_of_one_channel_must_have_one_step() -> None:
    with pytest.raises(EpimcError) as caught:
        Quantize().run(module_of("weight_scales = @s", CROSSED))
    message = "error: Columns that feed one output channel have different scales."
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("weight_bits = 0", "a weight has 1 to 16 bits"),
        ("weight_bits = 17", "a weight has 1 to 16 bits"),
        ("weight_scales = @t", "there must be 2 weight scales"),
    ],
)
def test_what_is_stated_is_checked(stated: str, message: str) -> None:
    with pytest.raises(EpimcError, match=message):
        verify(module_of(stated))


def test_layers_of_different_bits_are_exact_in_one_program() -> None:
    chip = load_target("tiny").to_dict()
    # Nothing lossy, and room for activations of two bytes.
    chip["converters"] |= {"adc_bits": 12}
    chip["tile"] |= {"buffer_bytes": 2**16, "crossbars": 64}
    chip["memory"] |= {"off_chip_bytes": 2**20}
    net = Net(5, chip)
    x = net.input(3, 6, 5)
    first = net.relu(net.conv(x, 4, (1, 1)))
    second = net.relu(net.conv(first, 4, (2, 2)))
    module = lower(net.module(net.conv(second, 3, (1, 1))), "fold,epitomize,calibrate")
    bits = iter((4, 9, 16))
    builder = Builder(module)
    builder.inputs_of(module)
    for op in module.ops:
        stated = {"weight_bits": next(bits)} if isinstance(op, epi.Conv) else {}
        builder.copy(op, **stated)
    for old, new in builder.mapped.items():
        new.range = old.range
    builder.outputs_of(module)
    integers = lower(builder.finish(), "quantize{weight_bits=8,activation_bits=9}")
    program = emit(lower(integers, LOWERING))
    assert check(program) == []
    assert [table.weight_bits for table in program.tables_of(Mvm)] == [4, 9, 16]
    exported = read_exported(integer_model(integers), "it")
    assert differences(exported, program, {}) == {}
    samples = net.samples(3, seed=7, scale=1.3)
    expected = interpret(integers, samples)
    assert disagreements(integers, samples) == []
    for engine, path in product(ENGINES, PATHS):
        outputs = Simulator(program, engine=engine, path=path).run(samples)
        assert all(np.array_equal(outputs[name], array) for name, array in expected.items())
