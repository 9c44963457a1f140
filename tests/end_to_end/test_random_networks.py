"""Random small networks: every integer of every layer equals onnxruntime's."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from epimc.api import Session
from epimc.backends.crossbar.bundle import Bundle, read_bundle, write_bundle
from epimc.backends.crossbar.target import Target
from epimc.compiler import Request, compile_model
from epimc.diagnostics import EpimcError
from epimc.report import program_summary
from epimc.samples import write_samples
from epimc.verify import Report, verify
from tests.end_to_end.networks import networks, small_targets

Samples = dict[str, NDArray[np.float32]]
Net = tuple[onnx.ModelProto, Samples]

CASES = 50
BITS = st.sampled_from([(8, 8), (8, 8), (4, 6), (2, 4), (8, 5)])
POLICIES = st.just("none") | st.builds(
    "uniform:{}x{}".format, st.integers(9, 60), st.integers(1, 8)
)

# The same cases in every run: a new failure is that of a change.
fixed = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def with_buffer(target: Target, size: int) -> Target:
    """The target with so many bytes in a tile's buffer."""
    data: dict[str, Any] = target.to_dict()
    data["tile"] = {**data["tile"], "buffer_bytes": size}
    return Target.from_dict(data)


def compile_tightly(request: Request, target: Target) -> Bundle:
    """Compile for the target with the smallest buffers that are said to do."""
    while True:
        Path(request.target).write_text(target.to_toml())
        try:
            return compile_model(request)
        except EpimcError as problem:
            needed = re.search(r"needs a buffer of (\d+) bytes", problem.diagnostic.message)
            if needed is None:
                raise
        assert int(needed[1]) > target.tile.buffer_bytes
        target = with_buffer(target, int(needed[1]))


def verified(
    net: Net, bits: tuple[int, int], epitome: str = "none", target: Target | None = None
) -> tuple[Bundle, Report]:
    """Compile into a bundle, read it back and verify it; `epim-256` unless a target is given."""
    model, samples = net
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(model, folder / "model.onnx")
        write_samples(folder / "samples.npz", samples)
        chosen = "epim-256" if target is None else str(folder / "target.toml")
        paths = folder / "model.onnx", folder / "samples.npz"
        request = Request(paths[0], chosen, *bits, paths[1], epitome)
        made = compile_model(request) if target is None else compile_tightly(request, target)
        write_bundle(folder / "bundle", made)
        bundle = read_bundle(folder / "bundle")
        return bundle, verify(bundle)


def assert_right(report: Report, *, near: bool) -> None:
    """Exact in all layers, and perhaps near the float model."""
    assert report.exact, (report.parameters, [x for x in report.layers if x.mismatches])
    assert report.layers
    assert all(layer.elements for layer in report.layers)
    if near:
        # The integer reference could be wrong as well: then it is far from the user's model.
        assert all(output.cosine is None or output.cosine > 0.98 for output in report.outputs)


@fixed
@given(networks(), BITS, POLICIES)
def test_on_epim_256(net: Net, bits: tuple[int, int], epitome: str) -> None:
    _, report = verified(net, bits, epitome)
    assert_right(report, near=(bits, epitome) == ((8, 8), "none"))


def test_on_small_chips() -> None:
    seen: Counter[str] = Counter()

    @fixed
    @given(networks(), small_targets(), BITS, POLICIES)
    def check(net: Net, target: Target, bits: tuple[int, int], epitome: str) -> None:
        bundle, report = verified(net, bits, epitome, target)
        assert_right(report, near=(bits, epitome) == ((8, 8), "none"))
        assert_paths_agree(bundle, net[1])
        summary = program_summary(bundle.program)
        seen.update(
            {
                "cases": 1,
                "several tiles": summary["tiles"] > 1,
                "spills": bool(summary["spilled"]),
                "both": summary["tiles"] > 1 and bool(summary["spilled"]),
                "split layers": "add" in summary["instructions"],
                "several rounds": any(layer["rounds"] > 1 for layer in summary["layers"]),
            }
        )

    check()
    assert seen["cases"] >= CASES
    assert seen["several tiles"] >= CASES // 2, seen
    assert seen["both"] >= CASES // 10, seen
    assert seen["split layers"] >= CASES // 5, seen
    assert seen["several rounds"] >= CASES // 20, seen


def test_a_term_that_is_nearly_nothing() -> None:
    """Beside the other one its multiplier would be 0."""
    weights = np.random.default_rng(0).standard_normal((2, 2, 3, 3)) * 1e-11
    shape: list[str | int | None] = ["N", 2, 6, 6]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["x", "c"], ["y"], "add"),
    ]
    x, y = (helper.make_tensor_value_info(name, 1, shape) for name in ("x", "y"))
    constant = numpy_helper.from_array(weights.astype(np.float32), "w")
    graph = helper.make_graph(nodes, "tiny", [x], [y], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    samples = np.random.default_rng(1).standard_normal((3, 2, 6, 6)).astype(np.float32)
    _, report = verified((model, {"x": samples}), (8, 8))
    assert_right(report, near=True)


def assert_paths_agree(bundle: Bundle, samples: Samples) -> None:
    """With a lossless ADC the fused and the bit-serial path give the same bits."""
    one = {name: array[:1] for name, array in samples.items()}
    fused, serial = (Session(bundle, path=path).run(None, one) for path in ("fused", "bit-serial"))
    for ours, theirs in zip(fused, serial, strict=True):
        np.testing.assert_array_equal(ours, theirs)
