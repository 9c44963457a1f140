"""Small networks end to end: exact on every path, and near the float model."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from epimc.api import build
from epimc.backends.crossbar.check.checker import TABLES, check
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.sim.paths import PATHS
from epimc.backends.crossbar.sim.simulator import ENGINES, Simulator
from epimc.backends.onnx.reading import read_exported
from epimc.compiler.options import Request
from epimc.ir.interpreter import interpret
from epimc.ir.semantics import quantization
from epimc.ir.text.parser import read_module
from epimc.ir.text.printer import print_module, write_module
from epimc.ir.verifier import verify as verify_module
from epimc.verification.verify import verify
from tests.backends.crossbar.mutations import nested
from tests.crossbars import differences, program_in
from tests.helpers.observed import Observed
from tests.helpers.onnx_networks import EVALUATED, NETWORKS

SETTINGS = [("epim-256", 8, 8), ("tiny", 8, 8), ("tiny", 3, 5), ("epim-256", 8, 9)]
# What 8 bits reach at least on these networks and random samples, in dB.
SQNR = 25


ALL = {**NETWORKS, **EVALUATED}


@pytest.fixture(params=ALL)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The file of a network."""
    path = tmp_path / f"{request.param}.onnx"
    path.write_bytes(ALL[request.param]().SerializeToString())
    return path


@pytest.mark.parametrize(("target", "weight_bits", "bits"), SETTINGS)
def test_networks_are_exact(model: Path, target: str, weight_bits: int, bits: int) -> None:
    observed = Observed()
    request = Request(model, target=target, weight_bits=weight_bits, activation_bits=bits)
    bundle = build(request, model.parent / "out", observers=[observed])
    modules = observed.modules
    report = verify(bundle)
    assert report.parameters == {}
    assert report.exact
    for output in report.outputs if bits == 8 else ():
        assert (output.sqnr_db or 0) > SQNR, output.name
    inputs = {
        name: np.random.default_rng(5).standard_normal((4, *value.type.shape)).astype(np.float32)
        for name, value in modules["quantize"].inputs
    }
    exact = interpret(modules["quantize"], inputs)
    for engine, path in product(ENGINES, PATHS):
        results = Simulator(program_in(bundle), path=path, engine=engine).run(inputs)
        for name, array in exact.items():
            assert np.array_equal(results[name], array), (engine, path, name)
    lowered = modules["allocate"]
    activations = {
        name: quantization.quantize_input(
            inputs[name], value.type.step, value.type.zero_point, bits
        )
        for name, value in lowered.inputs
    }
    mapped = interpret(lowered, activations)
    for name, value in lowered.outputs:
        real = quantization.dequantize_output(
            mapped[name].astype(np.int64), value.type.step, value.type.zero_point
        )
        assert np.array_equal(real, exact[name]), name


def test_every_stage_comes_back_from_its_text(model: Path) -> None:
    observed = Observed()
    build(Request(model, target="tiny"), model.parent / "out", observers=[observed])
    assert len(observed.modules) == 11
    for name, module in observed.modules.items():
        path = model.parent / f"{name}.epi"
        write_module(module, path)
        read = read_module(path)
        verify_module(read)
        assert print_module(read) == print_module(module)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_number_between_the_layers_is_compared(name: str, tmp_path: Path) -> None:
    """A program with one wrong number in a table is found without running anything."""
    path = tmp_path / "m.onnx"
    path.write_bytes(NETWORKS[name]().SerializeToString())
    bundle = build(Request(path), tmp_path / "out")
    program = program_in(bundle)
    exported = read_exported((tmp_path / "out/reference/integer.onnx").read_bytes(), "it")
    assert differences(exported, program, bundle.fragments) == {}
    for index, table in enumerate(program.tables):
        if isinstance(table, Mvm):
            continue
        cases = list(nested(table))
        # A table of 256 values is long, and all are alike.
        for what, changed in cases[:: max(1, len(cases) // 24)]:
            tables = (*program.tables[:index], changed, *program.tables[index + 1 :])
            wrong = replace(program, tables=tables)
            # The cheap stages first: what they let through can be compared.
            results = check(wrong, TABLES) or differences(exported, wrong, bundle.fragments)
            results = results or check(wrong)
            assert results, (index, type(table).__name__, what)
