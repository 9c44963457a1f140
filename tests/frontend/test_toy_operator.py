"""A new ONNX operator is one record: everything else learns of it by its registration."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.helper import make_node

from epimc.cli.main import main
from epimc.frontend import (
    Emitter,
    ImportedModel,
    OnnxOperator,
    operator,
    register,
    unregister,
)
from epimc.frontend.core.operator import lookup
from epimc.frontend.document import operator_list
from epimc.ir.core.op import Value
from epimc.ir.dialects import elementwise, nn
from tests.helpers.strict import import_strictly

Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]


def sinh(node: Emitter) -> Value:
    """(exp(x) - exp(-x)) / 2."""
    x = node.activation()
    minus = node.store(np.full(x.type.shape[0], -1.0), role="minus")
    half = node.store(np.full(x.type.shape[0], 0.5), role="half")
    negative = node.part("negative").emit(nn.Affine, [x], scale=minus)
    powers = [
        node.part("exp", number).emit(elementwise.Activation, [value], function="exp")
        for number, value in enumerate((x, negative))
    ]
    twice = node.part("twice").emit(elementwise.Sub, powers)
    return node.emit(nn.Affine, [twice], scale=half)


SINH = OnnxOperator("Sinh", "The hyperbolic sine", since=9, importer=sinh, folds=True)


@pytest.fixture
def registered() -> Iterator[None]:
    assert lookup("Sinh") is None
    register(SINH)
    yield
    unregister("Sinh")


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("opset", [9, 26])
def test_it_is_imported(build: Build, compare: Compare, opset: int) -> None:
    module = compare(build([make_node("Sinh", ["x"], ["y"])], opset=opset)).module
    assert [op.output.name for op in module.ops] == [
        "y.negative", "y.exp0", "y.exp1", "y.twice", "y",
    ]  # fmt: skip
    assert list(module.tensors) == ["y_minus", "y_half"]


@pytest.mark.usefixtures("registered")
def test_it_is_refused_in_older_opsets(build: Build, compare: Compare) -> None:
    unregister("Sinh")
    register(replace(SINH, since=13))
    model = build([make_node("Sinh", ["x"], ["y"])], opset=12)
    # The record's importer is not asked; the function becomes a table.
    assert [op.name for op in import_strictly(model).module.ops] == ["nn.function"]
    made = compare(build([make_node("Sinh", ["x"], ["y"])], opset=13))
    assert "nn.function" not in [op.name for op in made.module.ops]


@pytest.mark.usefixtures("registered")
def test_it_is_folded(build: Build, compare: Compare) -> None:
    nodes = [make_node("Sinh", ["c"], ["s"]), make_node("Add", ["x", "s"], ["y"])]
    constant = np.array([-1.0, 0.0, 2.0], np.float32)
    module = compare(build(nodes, {"x": ("N", 3)}, {"c": constant})).module
    (op,) = module.ops
    assert isinstance(op, nn.Affine)
    np.testing.assert_allclose(module.tensors["s"].array, np.sinh(constant), rtol=1e-6)


@pytest.mark.usefixtures("registered")
def test_it_is_compiled_and_proven(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = np.random.default_rng(1).uniform(-0.2, 0.2, (2, 3, 3, 3)).astype(np.float32)
    nodes = [make_node("Conv", ["x", "w"], ["c"]), make_node("Sinh", ["c"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("x", 1, ["N", 3, 6, 6])],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "toy.onnx")
    bundle = str(tmp_path / "bundle")
    assert main(["compile", str(tmp_path / "toy.onnx"), "-o", bundle, "--target", "tiny"]) == 0
    capsys.readouterr()
    assert main(["verify", bundle, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["exact"] is True
    # The integers are near the float model's sinh, of which the compiler's parts know nothing.
    assert report["outputs"][0]["sqnr_db"] > 25


@pytest.mark.usefixtures("registered")
def test_it_is_listed(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ops"]) == 0
    assert ["Sinh", "9", "both", "The", "hyperbolic", "sine"] in [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]
    assert main(["ops", "Sinh"]) == 0
    assert capsys.readouterr().out == (
        "Sinh: The hyperbolic sine.\n"
        "  read from opset 9 on\n"
        "  computed inputs: it becomes ops of the IR\n"
        "  constant inputs: it becomes a constant\n"
    )
    assert "- Sinh: the hyperbolic sine" in operator_list().splitlines()


@pytest.mark.usefixtures("registered")
def test_it_is_registered_once() -> None:
    with pytest.raises(ValueError, match="Sinh is registered already"):
        register(SINH)
    assert lookup("Sinh") is SINH


@pytest.mark.parametrize("op_types", [("Other", "Relu"), ("Other", "Other")])
def test_of_operators_that_are_declared_together_all_are_registered_or_none(
    op_types: tuple[str, ...],
) -> None:
    with pytest.raises(ValueError, match=f"{op_types[1]} is registered already"):
        operator(*op_types)(sinh)
    assert lookup("Other") is None


def test_without_its_record_nothing_knows_it(build: Build) -> None:
    # As a table, like any function of each element.
    assert [op.name for op in import_strictly(build([make_node("Sinh", ["x"], ["y"])])).module.ops]
    assert "Sinh" not in operator_list()
    with pytest.raises(KeyError):
        unregister("Sinh")
