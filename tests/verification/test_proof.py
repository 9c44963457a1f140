"""What samples need not show: wrong wiring and wrong bounds are seen in the tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from epimc.api import build
from epimc.backends.crossbar.instructions.layers import mvm_layers
from epimc.backends.crossbar.instructions.vector import Requantize
from epimc.backends.crossbar.proof import setting_mismatches
from epimc.backends.onnx.reading import Exported, read_exported
from epimc.bundle.bundle import Bundle
from epimc.compiler.options import Request
from epimc.verification.verify import verify
from tests.crossbars import differences, program_in

pytestmark = pytest.mark.smoke

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """fashion-resnet8 with few bits, so that inputs have a bound of their own."""
    request = Request(EXAMPLES / "fashion-resnet8.onnx", activation_bits=5)
    return build(request, tmp_path_factory.mktemp("proof") / "bundle")


@pytest.fixture(scope="module")
def exported(bundle: Bundle) -> Exported:
    """Its integer reference."""
    assert bundle.folder is not None
    return read_exported((bundle.folder / "reference/integer.onnx").read_bytes(), "it")


def test_the_right_program_claims_what_is_there(bundle: Bundle, exported: Exported) -> None:
    assert differences(exported, program_in(bundle), {}) == {}


def test_terms_the_other_way_round(bundle: Bundle, exported: Exported) -> None:
    program = program_in(bundle)
    index, table = next(
        (k, t)
        for k, t in enumerate(program.tables)
        if isinstance(t, Requantize) and len(t.sources) == 2
    )
    swapped = replace(table, sources=table.sources[::-1])
    tables = (*program.tables[:index], swapped, *program.tables[index + 1 :])
    name = program.maps[table.destination].name
    wrong = differences(exported, replace(program, tables=tables), {})
    assert {f"%{name}/term/0", f"%{name}/term/1"} <= set(wrong)
    assert all(key.startswith(f"%{name}/") for key in wrong)


def test_another_map_as_the_output(bundle: Bundle, exported: Exported) -> None:
    program = program_in(bundle)
    port = replace(program.chip_outputs[0], map=program.inputs[0].map)
    wrong = differences(exported, replace(program, outputs=(port,)), {})
    assert wrong["logits"] == 1


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"bits": 8}, "%input.q/high"), ({"scale": 0.5}, "%input.q/scale"),
     ({"zero_point": 3}, "%input.q/zero_point")],
)  # fmt: skip
def test_the_numbers_of_an_input(
    changes: dict[str, float], name: str, bundle: Bundle, exported: Exported
) -> None:
    program = program_in(bundle)
    feature = replace(program.maps[0], **changes)  # type: ignore[arg-type]
    wrong = differences(exported, replace(program, maps=(feature, *program.maps[1:])), {})
    assert wrong[name] == 1


def test_bits_of_single_layers_must_be_those_of_the_manifest(bundle: Bundle) -> None:
    program = program_in(bundle)
    first, *others = (program.maps[number].name for number in mvm_layers(program))
    assert bundle.manifest.options.layer_bits == {}

    def wrong(layers: dict[str, int], bits: int = 8) -> dict[str, int]:
        return setting_mismatches(program, bits, layers, 5, "twos_complement")

    assert wrong({}) == wrong({first: 8}) == wrong(dict.fromkeys([first, *others], 8), 4) == {}
    assert wrong({first: 4}) == {f"{first}.weight_bits": 1}
    assert wrong({first: 8}, 4) == {f"{name}.weight_bits": 1 for name in others}
    assert wrong({"absent": 8}) == {"absent.weight_bits": 1}


def test_names_of_the_users_do_not_meet_those_of_the_reference(tmp_path: Path) -> None:
    """Tensors called as the reference calls its own: `r/divisor`, `r.acc/bias`, `y/scale`."""
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w"], ["r"], "c1"),
        make("Relu", ["r"], ["r/divisor"], "r1"),
        make("Conv", ["r/divisor", "w"], ["r.acc/bias"], "c2"),
        make("Relu", ["r.acc/bias"], ["y"], "r2"),
        make("Relu", ["r"], ["y/scale"], "r3"),
    ]
    sizes = {"x": 9, "y": 5, "y/scale": 7}
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
    assert verify(build(Request(path), tmp_path / "out")).exact
