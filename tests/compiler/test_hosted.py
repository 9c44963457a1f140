"""What passes find that the chip cannot have runs on the host, and is told with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from epimc.api import build
from epimc.backends.crossbar.target.schema import load_target
from epimc.bundle.bundle import Bundle
from epimc.compiler.compiler import compile_model
from epimc.compiler.dumps import Dumps
from epimc.compiler.memory import InMemory
from epimc.compiler.options import Request
from epimc.ir.observers import CompileObserver
from epimc.support.diagnostics import EpimcError
from epimc.verification.verify import verify
from tests.end_to_end.running import with_buffer
from tests.helpers.onnx_networks import Network


class Stages(CompileObserver):
    """The names of the stages that have started."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def stage_started(self, name: str, number: int, count: int) -> None:
        self.started.append(name)


def built(folder: Path, model: onnx.ModelProto, samples: Any = None, **options: Any) -> Bundle:
    """The bundle of a model, whose program is exact."""
    wanted = Request(folder / "m.onnx", **options)
    memory = InMemory(model=model, calibration=samples)
    bundle = build(wanted, folder / "out", memory=memory)
    assert verify(bundle).exact
    return bundle


def two_layers() -> onnx.ModelProto:
    """A wide layer and a narrow one."""
    net = Network({"x": (24, 4, 4)})
    return net.model(net.conv(net.conv("x", 24, 2), 2, 3))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A target whose buffers are too small for a window of 24 channels."""
    path = tmp_path / "small.toml"
    path.write_text(with_buffer(load_target("tiny"), 64).to_toml(), encoding="utf-8")
    return path


def test_a_window_that_does_not_fit(tmp_path: Path, small: Path) -> None:
    bundle = built(tmp_path, two_layers(), target=str(small))
    assert bundle.remarks == (
        "the host runs node 'conv0' (Conv): "
        "a single window of it takes 216 bytes of a buffer of 64",
    )
    assert (bundle.manifest.on_chip.nodes, bundle.manifest.on_chip.nodes_on_chip) == (2, 1)


def test_nodes_are_counted_by_reasons(tmp_path: Path, small: Path) -> None:
    net = Network({"x": (24, 4, 4)})
    model = net.model(net.conv(net.conv(net.conv("x", 24, 24), 24, 2), 2, 3))
    bundle = built(tmp_path, model, target=str(small))
    assert bundle.remarks == (
        "the host runs Conv: 2 nodes, first 'conv0': "
        "a single window of it takes 216 bytes of a buffer of 64",
    )
    assert [node.on_chip for node in bundle.placed] == [False, False, True]


def test_strictly_it_is_refused(tmp_path: Path, small: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        built(tmp_path, two_layers(), target=str(small), strict=True)
    assert str(caught.value).splitlines()[:2] == [
        "error: The host would run 1 node, which --strict forbids.",
        "  note: node 'conv0' (Conv): a single window of it takes 216 bytes of a buffer of 64.",
    ]


def test_observers_and_dumps_begin_anew(tmp_path: Path, small: Path) -> None:
    stages, dumps = Stages(), Dumps()
    wanted = Request(tmp_path / "m.onnx", target=str(small))
    compile_model(wanted, [stages, dumps], InMemory(model=two_layers()))
    assert stages.started.count("import") == 2
    assert stages.started[-1] == "reference"
    assert all("host.call" in text or "xbar.host" in text for text in dumps.texts.values())


def test_values_that_no_scale_has(tmp_path: Path) -> None:
    net = Network({"x": (3, 2, 2)})
    x = net.conv("x", 3, 4, 1)
    model = net.model(
        net.conv(net.node("Mul", x, net.constant(np.array(3e38, np.float32))), 4, 2, 1)
    )
    samples = {"x": np.full((2, 3, 2, 2), 1e3, np.float32)}
    bundle = built(tmp_path, model, samples)
    remark = bundle.remarks[-1]
    assert remark.startswith("the host runs all nodes: the range [-")
    assert remark.endswith("of value %mul1 is too wide for a float32 scale")
    assert bundle.manifest.on_chip.nodes_on_chip == 0


def test_an_output_that_is_not_finite(tmp_path: Path) -> None:
    net = Network({"x": (3,)})
    model = net.model(net.node("Sqrt", net.node("Neg", "x")))
    bundle = built(tmp_path, model, {"x": np.ones((2, 3), np.float32)})
    assert bundle.manifest.on_chip.nodes_on_chip < 2
    assert "its result is not finite on the calibration samples" in bundle.remarks[0]


def test_differences_below_a_step(tmp_path: Path) -> None:
    net = Network({"a": (4,), "b": (4,)})
    model = net.model(net.node("Sigmoid", net.node("Sub", "a", "b")))
    a = np.array([[1e4, -1e4, 5e3, 1.0], [9e3, 100.0, -5.0, 3e3]], np.float32)
    samples = {"a": a, "b": a + np.float32(0.5)}
    bundle = built(tmp_path, model, samples)
    assert bundle.remarks == (
        "the host runs node 'sub0' (Sub): its result is less than a step of an operand of 8 bits",
    )
