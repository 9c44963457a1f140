"""Large networks with parts of the host, or functions that ONNX models state, in onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import epimc
from epimc.ir.core.module import Module
from epimc.ir.observers import CompileObserver, Step
from epimc.quantization.calibration import running

Array = NDArray[Any]
Ranges = dict[str, tuple[float, float] | None]


def model(*behind: onnx.NodeProto, shape: tuple[int, ...] = (2, 6, 6)) -> onnx.ModelProto:
    """A convolution to `c`, and nodes behind it to `y`."""
    weights = np.random.default_rng(0).standard_normal((4, shape[0], 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], "conv"), *behind]
    inputs = [helper.make_tensor_value_info("x", 1, ["N", *shape])]
    outputs = [helper.make_tensor_value_info("y", 1, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(weights, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


class Ways:
    """Which ways calibration went, and the ranges that came of it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.taken: list[str] = []
        for name in ("run_session", "run_interpreter"):
            patch.setattr(running, name, self.noted(name, getattr(running, name)))
        self.patch = patch

    def noted(self, name: str, function: Any) -> Any:
        """The function, which is noted when it is called."""

        def call(*arguments: Any) -> None:
            self.taken.append(name)
            function(*arguments)

        return call

    def ranges(self, made: onnx.ModelProto, folder: Path, few: int) -> Ranges:
        """The ranges of a model's values, with so many products for the interpreter."""
        self.patch.setattr(running, "FEW_PRODUCTS", few)
        self.taken.clear()
        modules: list[Module] = []

        class Watching(CompileObserver):
            def stage_finished(self, step: Step) -> None:
                if step.name == "calibrate" and step.module is not None:
                    modules.append(step.module)

        # Drawn samples: of the user's own, the import sees what leaves a domain.
        epimc.compile(made, folder, observers=[Watching()])
        return {value.name: value.range for value in modules[-1].values()}


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    """A fresh note."""
    return Ways(monkeypatch)


def agree(ours: Ranges, theirs: Ranges) -> None:
    """Hold two kinds of ranges to each other."""
    assert [*ours] == [*theirs]
    for name, expected in theirs.items():
        assert ours[name] == (expected and pytest.approx(expected, rel=1e-4))


def test_the_host_at_the_end_is_left_out(ways: Ways, tmp_path: Path) -> None:
    end = helper.make_node("Softmax", ["r"], ["y"], "softmax", axis=1)
    made = model(helper.make_node("Relu", ["c"], ["r"], "relu"), end)
    ours = ways.ranges(made, tmp_path / "a", 0)
    assert ways.taken == ["run_session"]
    theirs = ways.ranges(made, tmp_path / "b", 2**62)
    assert ways.taken == ["run_interpreter"]
    agree(ours, theirs)
    assert None in ours.values()


def test_what_the_chip_takes_from_the_host_needs_it(ways: Ways, tmp_path: Path) -> None:
    made = model(
        helper.make_node("Softmax", ["c"], ["s"], "softmax", axis=1),
        helper.make_node("Conv", ["s", "v"], ["y"], "last"),
    )
    made.graph.initializer.append(numpy_helper.from_array(np.ones((1, 4, 1, 1), np.float32), "v"))
    ways.ranges(made, tmp_path / "a", 0)
    assert ways.taken == ["run_interpreter"]


def test_a_function_beyond_its_domain(ways: Ways, tmp_path: Path) -> None:
    made = model(
        helper.make_node("Log", ["c"], ["l"], "log"),
        helper.make_node("Relu", ["l"], ["r"], "relu"),
        helper.make_node("Add", ["r", "c"], ["y"], "sum"),
    )
    ours = ways.ranges(made, tmp_path / "a", 0)
    assert ways.taken == ["run_session", "run_interpreter"]
    assert ours == ways.ranges(made, tmp_path / "b", 2**62)


def test_a_function_within_its_domain(ways: Ways, tmp_path: Path) -> None:
    square = helper.make_node("Mul", ["c", "c"], ["q"], "square")
    made = model(square, helper.make_node("Sqrt", ["q"], ["y"], "root"))
    ours = ways.ranges(made, tmp_path / "a", 0)
    assert ways.taken == ["run_session"]
    agree(ours, ways.ranges(made, tmp_path / "b", 2**62))
