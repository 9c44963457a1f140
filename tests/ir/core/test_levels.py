"""Every pass on every dump: the right result, or one error that says what is to be done.

What is right: the next dump of the pipeline, byte for byte; and where the pipeline has another
pass next, but the level allows this one, a valid module that computes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.backends.onnx.fragments import fragments_of
from epimc.cli.main import main
from epimc.compiler.compiler import Job, compile_model
from epimc.compiler.dumps import Dumps
from epimc.compiler.options import Request
from epimc.frontend import import_model
from epimc.ir.core.levels import LEVELS, NN, QUANTIZED
from epimc.ir.core.module import Module
from epimc.ir.core.registry import OPS
from epimc.ir.dialects import nn
from epimc.ir.interpreter import interpret
from epimc.ir.pipeline import Pass, Runner, parse_pipeline, pass_class
from epimc.ir.text.parser import read_module
from epimc.ir.text.printer import print_module
from epimc.ir.verifier import expect_level
from epimc.runtime.host import OnnxHost
from epimc.support.diagnostics import EpimcError
from tests.crossbars import PASSES
from tests.helpers.modules import LOWERING, Net, lower, quantized
from tests.helpers.strategies.networks import networks

EXAMPLES = Path(__file__).parents[3] / "examples"
ANYWHERE = ("layout", "fold", "equalize")
# They stay at level calibrated.
MIXING = ("allocate_bits", "price_bits")

# Passes at level nn move weights about in float32; everything is computed in float64.
ROUNDING = 1e-4


@dataclass(frozen=True)
class Dumped:
    """One example, as `epimc compile --dump-ir` leaves it.

    Attributes:
        folder: With the dumps.
        steps: The passes, in order: dump k is the IR before pass k.
        paths: The dumps, the imported model first.
        modules: What they hold.
    """

    folder: Path
    steps: list[Pass]
    paths: list[Path]
    modules: list[Module]


@pytest.fixture(scope="module", params=["mnist-conv", "fashion-resnet8"])
def dumped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dumped:
    """The dumps of an example, calibrated on standard normal samples."""
    folder = tmp_path_factory.mktemp(request.param)
    wanted = Request(EXAMPLES / f"{request.param}.onnx", target="tiny", weight_bits=4)
    dumps = Dumps()
    compile_model(wanted, [dumps])
    dumps.write(folder)
    paths = sorted(folder.glob("*.epi"))
    modules = [read_module(path) for path in paths]
    return Dumped(folder, list(Job.of(wanted).stages.passes), paths, modules)


def assert_same_function(before: Module, after: Module, count: int = 2) -> None:
    """Two float modules compute the same on samples, up to ROUNDING of the largest element."""
    random = np.random.default_rng(0)
    x = {name: random.normal(size=(count, *value.type.shape)) for name, value in before.inputs}
    fragments = fragments_of(before)
    host = OnnxHost(fragments) if fragments else None
    expected, got = interpret(before, x, host=host), interpret(after, x, host=host)
    assert list(expected) == list(got)
    for name, array in expected.items():
        size = float(np.abs(array).max())
        np.testing.assert_allclose(got[name], array, rtol=0, atol=ROUNDING * size + 1e-30)


def test_every_pass_on_every_dump(dumped: Dumped) -> None:
    outcomes = {"next": 0, "allowed": 0, "refused": 0}
    for number, module in enumerate(dumped.modules):
        for place, step in enumerate(dumped.steps):
            if module.level != step.requires:
                assert_refused(dumped, number, place)
                outcomes["refused"] += 1
                continue
            result = Runner(PASSES).run(module, [step])
            if place == number:
                assert print_module(result) == dumped.paths[number + 1].read_text("utf-8")
                outcomes["next"] += 1
            else:
                assert_same_function(module, result)
                outcomes["allowed"] += 1
    # Four dumps at level nn take any of four passes, each of which is the next of one of them.
    assert outcomes == {"next": 10, "allowed": 12, "refused": 88}


def assert_refused(dumped: Dumped, number: int, place: int) -> None:
    """The pass at a place of the pipeline has one error for dump `number`, with the right words."""
    module, step = dumped.modules[number], dumped.steps[place]
    with pytest.raises(EpimcError) as caught:
        Runner(PASSES).run(module, [step])
    where = (
        f"Pass '{step.name}' takes IR at level {step.requires}, "
        f"the module is at level {module.level}: "
    )
    said = caught.value.diagnostic
    if place < number:
        assert said.message == f"{where}'{step.name}' has run already."
        assert said.hint.startswith(f"Start from IR at level {step.requires}")
    else:
        names = [other.name for other in dumped.steps[number:place]]
        names = [name for name in names if name not in ANYWHERE]
        assert said.message == f"{where}run '{','.join(names)}' first."
        assert said.hint == ""


def test_the_passes_that_an_error_names_are_enough(dumped: Dumped) -> None:
    # Without the optimizations it is another program, and as valid.
    result = Runner(PASSES).run(
        dumped.modules[0], parse_pipeline(f"epitomize,calibrate,quantize,{LOWERING}", PASSES)
    )
    assert result.level == list(LEVELS)[-1]


@pytest.mark.parametrize(
    ("dump", "name", "message"),
    [
        (
            "06-quantize.epi",
            "quantize",
            "Pass 'quantize' takes IR at level calibrated, the module is at level quantized: "
            "'quantize' has run already.\n"
            "  hint: Start from IR at level calibrated, as 'calibrate' leaves it.\n",
        ),
        (
            "10-allocate.epi",
            "place",
            "Pass 'place' takes IR at level mapped, the module is at level allocated: "
            "'place' has run already.\n"
            "  hint: Start from IR at level mapped, as 'map' leaves it.\n",
        ),
        (
            "03-equalize.epi",
            "quantize",
            "Pass 'quantize' takes IR at level calibrated, the module is at level nn: "
            "run 'epitomize,calibrate' first.\n",
        ),
    ],
)
def test_the_command_says_what_to_do(
    dump: str, name: str, message: str, dumped: Dumped, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["opt", str(dumped.folder / dump), "-p", name]) == 2
    assert capsys.readouterr() == ("", f"error: {message}")


def test_the_integers_stay_the_same_on_crossbars(dumped: Dumped) -> None:
    first, *others = dumped.modules[6:]
    assert first.level == QUANTIZED
    known: dict[str, NDArray[Any]] = {}
    random = np.random.default_rng(1)
    x = {name: random.normal(size=(1, *value.type.shape)) for name, value in first.inputs}
    interpret(first, x, lambda value, array: known.update({value.name: array}))
    for module in others:
        inputs = {name: known[value.name] for name, value in module.inputs}
        results = interpret(module, inputs)
        for name, value in module.outputs:
            np.testing.assert_array_equal(results[name], known[value.name])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks(), st.lists(st.sampled_from(ANYWHERE), min_size=1, max_size=5))
def test_passes_at_level_nn_in_any_order(
    tmp_path_factory: pytest.TempPathFactory,
    network: tuple[onnx.ModelProto, Mapping[str, NDArray[np.float32]]],
    names: list[str],
) -> None:
    path = tmp_path_factory.mktemp("any") / "m.onnx"
    onnx.save(network[0], path)
    module = import_model(path).module
    # What only the host reads is not the business of passes.
    assume(not any(value.type.is_host for _, value in module.inputs))
    result = lower(module, ",".join(names))
    assert result.level == NN
    assert_same_function(module, result)
    assert_same_function(module, lower(result, "epitomize"))


def test_a_batch_normalization_that_is_not_folded() -> None:
    net = Net()
    x = net.conv(net.input(2, 5, 5), 3)
    parameters = {key: net.store(key, net.random.normal(size=3)) for key in ("scale", "offset")}
    parameters["mean"] = net.store("mean", net.random.normal(size=3))
    parameters["variance"] = net.store("variance", net.random.uniform(0.5, 2, size=3))
    module = net.module(net.relu(net.op(nn.BatchNorm, x, **parameters)))
    assert_same_function(module, lower(module, "epitomize"))
    lowered = lower(module, f"epitomize,calibrate,quantize,{LOWERING}")
    assert [op.name for op in lowered.ops] == ["xbar.mvm", "xbar.requantize"]


def test_every_pass_but_the_optimizations_leads_to_the_next_level() -> None:
    kinds = [pass_class(name, PASSES) for name in PASSES]
    staying = tuple(kind.name for kind in kinds if kind.requires == kind.ensures)
    assert staying == (*ANYWHERE, *MIXING)
    steps = [(kind.requires, kind.ensures) for kind in kinds if kind.requires != kind.ensures]
    order = list(LEVELS)
    assert steps == list(pairwise(order))


def test_every_op_of_a_level_has_a_form_at_the_next() -> None:
    from epimc.backends.crossbar import dialect as xbar
    from epimc.backends.crossbar.instructions.registry import BY_OP
    from epimc.backends.crossbar.lower.map import on_crossbars
    from epimc.ir.core.traits import Border, CallsHost, FromHost, PicksResult
    from epimc.ir.dialects import epi

    kinds = [kind for kind in xbar.DIALECT.ops if issubclass(kind, xbar.XbarOp)]
    lowered = [op for kind in kinds for op in kind.lowers]
    assert len(lowered) == len({*lowered})
    integer = {op for op in OPS.values() if QUANTIZED in op.levels}
    border = {op for op in integer if issubclass(op, Border)}
    # What is of the host has rules of its own, or none but for whoever reads it.
    hosted = {op for op in integer if issubclass(op, CallsHost | FromHost | PicksResult)}
    assert all(on_crossbars.covers(op) for op in hosted)
    assert integer == {*lowered, *border, *hosted, epi.Conv}
    assert len(border) == 2
    assert {op.name for op in OPS.values() if issubclass(op, xbar.XbarOp)} == {*BY_OP}


def test_what_is_no_pass_names_the_level_that_it_reads() -> None:
    net = Net()
    module = quantized(net.module(net.relu(net.input(1, 2, 2))))
    expect_level(module, "It", NN, QUANTIZED)
    with pytest.raises(EpimcError) as caught:
        expect_level(module, "It", "mapped", "placed")
    assert str(caught.value) == (
        "error: It takes IR at level mapped or placed, module 'net' is at level quantized.\n"
        "  hint: Run the passes that lie between."
    )
    with pytest.raises(EpimcError) as caught:
        expect_level(module, "It", "nn", "epi")
    assert caught.value.diagnostic.hint == "Start from IR at level epi."
