"""What samples need not show: wrong wiring and wrong bounds are seen in the tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from epimc.api import build
from epimc.backends.crossbar.bundle import Bundle
from epimc.backends.crossbar.instructions.vector import Requantize
from epimc.backends.onnx.reading import parameters, read_model, wiring_of
from epimc.compiler import Request, Watcher
from epimc.proof import parameter_mismatches, wiring_mismatches
from epimc.verify import verify

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """fashion-resnet8 with few bits, so that inputs have a bound of their own."""
    request = Request(EXAMPLES / "fashion-resnet8.onnx", activation_bits=5)
    return build(request, tmp_path_factory.mktemp("proof") / "bundle", None, Watcher())


def test_wiring(bundle: Bundle) -> None:
    assert bundle.folder is not None
    model = read_model((bundle.folder / "reference/integer.onnx").read_bytes())
    wiring, program = wiring_of(model), bundle.program
    assert wiring_mismatches(program, wiring) == {}
    index, table = next(
        (k, t)
        for k, t in enumerate(program.tables)
        if isinstance(t, Requantize) and len(t.sources) == 2
    )
    swapped = replace(table, sources=table.sources[::-1])
    tables = (*program.tables[:index], swapped, *program.tables[index + 1 :])
    name = program.maps[table.destination].name
    assert wiring_mismatches(replace(program, tables=tables), wiring) == {f"{name}.wiring": 1}
    port = replace(program.outputs[0], map=program.inputs[0].map)
    found = wiring_mismatches(replace(program, outputs=(port,)), wiring)
    assert found == {"=> logits.wiring": 1}


def test_the_bound_of_an_input(bundle: Bundle) -> None:
    assert bundle.folder is not None
    model = read_model((bundle.folder / "reference/integer.onnx").read_bytes())
    maps = tuple(replace(held, bits=8 if held.bits else 0) for held in bundle.program.maps)
    wrong = replace(bundle.program, maps=maps)
    found = parameter_mismatches(wrong, parameters(model), {}, {}, {}, "%")
    assert found["%input.q.high"] == 1


def test_names_of_the_users_do_not_meet_those_of_the_reference(tmp_path: Path) -> None:
    """Tensors called as the reference calls its own: `r.divisor`, `r.acc.bias`, `y.scale`."""
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w"], ["r"], "c1"),
        make("Relu", ["r"], ["r.divisor"], "r1"),
        make("Conv", ["r.divisor", "w"], ["r.acc.bias"], "c2"),
        make("Relu", ["r.acc.bias"], ["y"], "r2"),
        make("Relu", ["r"], ["y.scale"], "r3"),
    ]
    sizes = {"x": 9, "y": 5, "y.scale": 7}
    x, y, scale = (
        helper.make_tensor_value_info(name, 1, ["N", 3, size, size]) for name, size in sizes.items()
    )
    weights = np.random.default_rng(0).standard_normal((3, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(nodes, "g", [x], [y, scale], [numpy_helper.from_array(weights, "w")])
    opsets = [helper.make_opsetid("", 13)]
    path = tmp_path / "m.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    )
    assert verify(build(Request(path), tmp_path / "out", None, Watcher())).exact
