"""The pass `calibrate`: ranges by every observer, at borders and where nothing is usual."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from epimc.compiler.compiler import Job
from epimc.compiler.options import Request
from epimc.ir.core.module import Module
from epimc.ir.observers import CompileObserver
from epimc.ir.pipeline import Runner, parse_pipeline
from epimc.quantization.calibrate import rounded
from epimc.quantization.calibration import running
from epimc.quantization.calibration.clipping import border_values, clipped_values
from epimc.support.diagnostics import EpimcError
from tests.crossbars import PASSES
from tests.helpers.modules import Net, lower

Array = NDArray[Any]
OBSERVERS = ["minmax", "percentile", "mse", "entropy"]


def network(outlier: float = 50.0) -> Net:
    """conv + relu + conv + relu + gemm, on samples one of which has an outlier."""
    net = Net(5)
    x = net.input(1, 8, 8)
    weights = np.zeros((2, 1, 1, 1))
    weights[0] = 1.0
    a = net.relu(net.conv(x, 2, (1, 1), weights=weights, bias=np.zeros(2)))
    b = net.relu(net.conv(a, 3))
    samples = net.samples(40)
    samples["in0"][7, 0, 3, 3] = outlier
    net.module(net.gemm(net.flat(b), 4), calibration=samples)
    return net


def ranges(module: Module) -> dict[str, tuple[float, float] | None]:
    """The range of each value by its name."""
    return {value.name: value.range for value in module.values()}


def calibrated(net: Net, options: str = "") -> dict[str, tuple[float, float] | None]:
    """The ranges after calibration."""
    return ranges(lower(net.built, f"epitomize,calibrate{{{options}}}"))


@pytest.mark.parametrize("observer", OBSERVERS)
def test_what_an_observer_clips(observer: str) -> None:
    every = calibrated(network())
    chosen = calibrated(network(), f"observer={observer},percentile=99.9,activation_bits=4")
    # The first relu has an outlier, and an output channel that is always 0.
    assert every["relu1"] == (0.0, 50.0)
    low, high = chosen["relu1"] or (0, 0)
    assert low == 0.0
    assert high == 50.0 if observer == "minmax" else 0.0 < high < 49.0
    # What goes in and out, and a sum before a relu.
    for name in ("x0", "conv0", "gemm5"):
        assert chosen[name] == every[name]


def test_the_bits_that_a_compile_has_are_those_that_ranges_are_for() -> None:
    options = ("quantize{activation_bits=5}", "calibrate{observer=mse}")
    stages = Job.of(Request(Path("m.onnx"), activation_bits=4, pass_options=options)).stages
    assert str(stages.floats[-1]) == "calibrate{observer=mse,activation_bits=5}"


def test_borders_and_what_is_moved_there() -> None:
    net = Net()
    x = net.input(2, 4, 4)
    inner = net.relu(x)
    last = net.conv(inner, 3)
    module = net.module(net.flat(last))
    names = {value.name for value in border_values(module)}
    assert names == {x.name, last.name, module.ops[-1].output.name}
    assert clipped_values(module) == {inner}


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("few", [0, 2**62], ids=["session", "interpreter"])
def test_constants_and_zeros_have_ranges(
    observer: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "FEW_PRODUCTS", few)
    net = Net()
    x = net.input(2, 4, 4)
    weights = np.zeros((3, 2, 1, 1))
    constant = net.relu(net.conv(x, 3, (1, 1), weights=weights, bias=np.full(3, 0.75)))
    dead = net.relu(net.conv(constant, 3, (1, 1), weights=-np.ones((3, 3, 1, 1)), bias=np.zeros(3)))
    net.module(net.conv(dead, 2, (1, 1)))
    chosen = calibrated(net, f"observer={observer}")
    assert chosen[constant.name] == (0.75, 0.75)
    assert chosen[dead.name] == (0.0, 0.0)
    # And quantizes.
    lower(net.built, f"epitomize,calibrate{{observer={observer}}},quantize")


@pytest.mark.parametrize("few", [0, 2**62], ids=["session", "interpreter"])
def test_infinite_samples(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "FEW_PRODUCTS", few)
    with pytest.raises(EpimcError) as caught:
        calibrated(network(np.inf), "observer=mse")
    assert str(caught.value) == (
        "error: Value %x0 is not finite on the calibration samples.\n"
        "  note: in pass 'calibrate'\n"
        "  hint: Check the weights of the model and the samples."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("percentile=49.9", "percentile = 49.9 is not in 50..100."),
        ("percentile=101", "percentile = 101.0 is not in 50..100."),
        ("activation_bits=17", "activation_bits = 17 is not in 2..16."),
    ],
)
def test_options_out_of_bounds(options: str, message: str) -> None:
    with pytest.raises(EpimcError) as caught:
        calibrated(network(), options)
    assert str(caught.value) == f"error: Pass 'calibrate': {message}"


def test_an_observer_that_is_not_there() -> None:
    with pytest.raises(EpimcError, match="expected minmax, percentile, mse or entropy"):
        calibrated(network(), "observer=median")


def test_ranges_have_sixteen_bits() -> None:
    assert rounded(1 / 3) == 43691 / 2**17
    assert rounded(-1e-30) == pytest.approx(-1e-30, rel=2**-16)
    assert rounded(0.0) == 0.0


def test_progress_is_told_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    monkeypatch.setattr(running, "FETCHED", 20_000)
    monkeypatch.setattr(running, "FEW_PRODUCTS", 0)
    told: list[tuple[str, int, int]] = []

    class Watching(CompileObserver):
        def stage_progressed(self, name: str, number: int, done: int, count: int) -> None:
            told.append((name, done, count))

    Runner(PASSES, [Watching()]).run(net.built, parse_pipeline("epitomize,calibrate", PASSES))
    count = told[-1][2]
    assert count > 4
    assert told == [("calibrate", done, count) for done in range(1, count + 1)]
