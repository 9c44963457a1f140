"""What a layer loses is what the outputs change by when it alone is rounded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from epimc.ir.core.module import Module
from epimc.ir.dialects import epi
from epimc.ir.interpreter import interpret
from epimc.ir.text.parser import parse_module
from epimc.quantization.allocation.allocate import layers_with_weights, outermost
from epimc.quantization.allocation.reruns import Behind, ends_of
from epimc.quantization.allocation.sensitivity import Losses, losses
from epimc.quantization.calibrate import calibration_samples
from epimc.quantization.calibration.running import spread
from epimc.quantization.rounding import damping
from epimc.quantization.rounding.options import EFFORTS, RoundingOptions, WeightGranularity
from epimc.quantization.rounding.propagation import pieces_of
from epimc.quantization.rounding.weights import column_scales, integer_steps
from epimc.support.diagnostics import EpimcError

# A residual block behind a stem, a part that nothing reads, and two outputs.
NET = """epimc.module 2 "net" level calibrated {
  attribute calibration = [@samples]
  tensor @samples : tensor<40x3x6x6xf32> = normal(seed = 1, scale = 1.0)
  tensor @stem : tensor<4x3x3x3xf32> = normal(seed = 2, scale = 0.3)
  tensor @b : tensor<4xf32> = normal(seed = 3, scale = 0.5)
  tensor @one : tensor<4x4x3x3xf32> = normal(seed = 4, scale = 0.2)
  tensor @two : tensor<4x2x1x1xf32> = normal(seed = 5, scale = 0.5)
  tensor @dead : tensor<2x4x1x1xf32> = normal(seed = 6, scale = 0.5)
  tensor @last : tensor<5x4x1x1xf32> = normal(seed = 7, scale = 0.5)
  input "x" %x : tensor<3x6x6xf32> range [-4.0, 4.0]
  %s = epi.conv(%x) {epitome = @stem, bias = @b, shape = [4, 3, 3, 3], plan = [[0, 4, 0, 3, 0, 0, 0, 0]]} : tensor<4x4x4xf32> range [-9.0, 9.0]
  %r = nn.relu(%s) : tensor<4x4x4xf32> range [0.0, 9.0]
  %c = epi.conv(%r) {epitome = @one, bias = @b, shape = [4, 4, 3, 3], plan = [[0, 4, 0, 4, 0, 0, 0, 0]], pads = [1, 1, 1, 1]} : tensor<4x4x4xf32> range [-9.0, 9.0]
  %d = epi.conv(%c) {epitome = @two, shape = [4, 2, 1, 1], plan = [[0, 4, 0, 2, 0, 0, 0, 0]], groups = 2} : tensor<4x4x4xf32> range [-9.0, 9.0]
  %a = nn.add(%d, %r) : tensor<4x4x4xf32> range [-9.0, 9.0]
  %n = epi.conv(%a) {epitome = @dead, shape = [2, 4, 1, 1], plan = [[0, 2, 0, 4, 0, 0, 0, 0]]} : tensor<2x4x4xf32> range [-9.0, 9.0]
  %l = epi.conv(%a) {epitome = @last, shape = [5, 4, 1, 1], plan = [[0, 5, 0, 4, 0, 0, 0, 0]]} : tensor<5x4x4xf32> range [-9.0, 9.0]
  output "y" = %l
  output "z" = %a
}
"""  # noqa: E501
PLAIN = RoundingOptions()
WIDTHS = (2, 3, 4, 6)


def measured(
    options: RoundingOptions,
    threads: int | None = None,
    granularity: WeightGranularity = "column",
    text: str = NET,
) -> Losses:
    """What the layers of the net lose."""
    module = parse_module(text)
    widths = {layer.output: WIDTHS for layer in layers_with_weights(module)}
    samples = calibration_samples(module)
    return losses(module, samples, widths, options, granularity, threads)


def by_name(actual: Losses) -> dict[str, dict[int, float]]:
    """The same by the names of the layers' results."""
    return {value.name: each for value, each in actual.items()}


def with_nearest(
    module: Module, name: str, bits: int, granularity: WeightGranularity = "column"
) -> None:
    """Round the weights of one layer in place."""
    (op,) = [op for op in layers_with_weights(module) if op.output.name == name]
    epitome = module.tensor(op.epitome)
    scales, _ = column_scales(epitome, op, bits, granularity)
    rounded = integer_steps(epitome, scales, bits) * scales.reshape(-1, 1, 1, 1)
    stored = module.tensors[op.epitome.name]
    module.tensors[op.epitome.name] = replace(stored, array=rounded.astype(np.float32))


@pytest.mark.parametrize("granularity", ["column", "tensor"])
@pytest.mark.parametrize("name", ["s", "c", "d", "n", "l"])
def test_the_loss_is_the_error_of_the_outputs(name: str, granularity: WeightGranularity) -> None:
    actual = by_name(measured(PLAIN, granularity=granularity))[name]
    real, changed = parse_module(NET), parse_module(NET)
    samples = calibration_samples(real)["x"]
    # Every second piece is rerun.
    x = np.concatenate([samples[part] for part in pieces_of(len(samples), real)[::2]])
    for bits in (2, 4):
        changed = parse_module(NET)
        with_nearest(changed, name, bits, granularity)
        expected, outputs = interpret(real, {"x": x}), interpret(changed, {"x": x})
        errors = [
            np.square(outputs[key] - expected[key]).mean() / expected[key].var() for key in expected
        ]
        assert actual[bits] == pytest.approx(np.mean(errors), rel=1e-4, abs=1e-12)


def test_wider_weights_lose_in_proportion_to_their_layer() -> None:
    for name, actual in by_name(measured(EFFORTS["good"])).items():
        if name == "n":
            assert set(actual.values()) == {0.0}
        else:
            assert actual[2] > actual[3] > actual[4] > actual[6] > 0
            assert actual[4] / actual[6] == pytest.approx(16, rel=0.5)


def test_compensated_rounding_loses_less() -> None:
    nearest, good = by_name(measured(PLAIN)), by_name(measured(EFFORTS["good"]))
    assert all(good[name][3] < nearest[name][3] for name in ("s", "c", "l"))


def test_few_samples_are_measured_as_they_are_rounded() -> None:
    """Of fewer than 16 samples `quantize` takes ranges alone."""
    few = NET.replace("tensor<40x3x6x6xf32>", "tensor<12x3x6x6xf32>")
    ranges = RoundingOptions(weight_range="mse")
    assert by_name(measured(EFFORTS["good"], text=few)) == by_name(measured(ranges, text=few))


def test_the_damping_is_that_of_quantize(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no damping is worth it, weights become the nearest integers."""
    good, ranges = EFFORTS["good"], RoundingOptions(weight_range="mse", correct_bias=True)
    assert by_name(measured(good)) != by_name(measured(ranges))
    monkeypatch.setattr(damping, "WORTH", 0.0)
    nearest = by_name(measured(ranges))
    for name, each in by_name(measured(good)).items():
        assert each == pytest.approx(nearest[name], rel=1e-6)


def test_losses_beyond_float32_are_told() -> None:
    huge = NET.replace("scale = 1.0)", "scale = 8e37)")
    with pytest.raises(EpimcError) as caught:
        measured(EFFORTS["good"], text=huge)
    assert str(caught.value) == (
        "error: What the outputs lose by 2-bit weights of layer 's' is more than float32 holds.\n"
        "  hint: Check the calibration samples, whose values are very large, or give layers their "
        "bits in a file (--epitome FILE)."
    )


def test_large_values_lose_what_small_ones_do() -> None:
    """Of inputs times 1e18, and biases as many times, squares are beyond float32."""
    large = NET.replace("scale = 1.0)", "scale = 1e18)").replace(
        "(seed = 3, scale = 0.5)", "(seed = 3, scale = 5e17)"
    )
    plain, actual = by_name(measured(PLAIN)), by_name(measured(PLAIN, text=large))
    for name, each in plain.items():
        assert actual[name] == pytest.approx(each, rel=1e-3)


def test_nothing_depends_on_threads_or_on_other_runs() -> None:
    one, two, again = (by_name(measured(EFFORTS["good"], threads)) for threads in (1, 3, 3))
    assert one == two == again


def test_what_is_behind_a_layer() -> None:
    module = parse_module(NET)
    behind = Behind.of(module, ends_of(module))
    names = {op.output.name: [x.output.name for x in ops] for op, ops in behind.ops.items()}
    assert names == {
        "s": ["r", "c", "d", "a", "l"],
        "c": ["d", "a", "l"],
        "d": ["a", "l"],
        "n": [],
        "l": [],
    }
    # Of the inputs of ops those of layers, and the one of the sum that a layer leaves alone.
    assert {value.name for value in behind.needed} == {"x", "r", "c", "a", "l"}


def test_the_outermost_layers() -> None:
    module = parse_module(NET)
    assert {value.name for value in outermost(module)} == {"s", "n", "l"}


def test_of_many_samples_some_are_taken() -> None:
    taken = spread({"x": np.arange(25)}, 10)["x"]
    assert taken.tolist() == list(range(0, 25, 3))
    assert isinstance(parse_module(NET).ops[0], epi.Conv)
