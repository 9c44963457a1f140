"""Random networks with random epitomes on random chips: one suite that everything meets.

Each case is compiled, checked, run and compared, layer by layer, with onnxruntime's integers.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, seed, settings
from onnx import helper, numpy_helper

from tests.end_to_end.running import assert_all, compiled
from tests.helpers.strategies.cases import Case, cases, plain_case
from tests.helpers.strategies.features import FEATURES, features

# Four times, so that several processes can share them.
SEEDS, CASES = (1, 2, 4, 6), 50
LEAST_OF_EACH = 3


@pytest.mark.usefixtures("new_cases")
@pytest.mark.parametrize("chosen", SEEDS)
def test_every_case_is_exact(chosen: int) -> None:
    seen: Counter[str] = Counter()

    # The same cases in every run: a new failure is that of a change.
    @seed(chosen)
    @settings(
        max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(cases())
    def check(case: Case) -> None:
        with compiled(case) as done:
            assert_all(case, done)
            seen.update(["cases", *features(done.modules, done.program)])

    check()
    assert seen["cases"] >= CASES
    rare = {name: seen[name] for name in FEATURES if seen[name] < LEAST_OF_EACH}
    assert not rare, seen


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
    onnx.checker.check_model(model)
    samples = np.random.default_rng(1).standard_normal((3, 2, 6, 6)).astype(np.float32)
    case = plain_case(model, {"x": samples})
    with compiled(case) as done:
        assert_all(case, done)
