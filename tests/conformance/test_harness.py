"""What the harness promises: rules that can fail, processes that may crash, a log to go on from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import epimc
from epimc.support.diagnostics import error
from tests.conformance import __main__ as command
from tests.conformance.baseline import Baseline
from tests.conformance.page import cell, operator_counts, page
from tests.conformance.records import (
    BARRED,
    CHIP,
    CRASHED,
    FAILED,
    HOST,
    MIXED,
    REFUSED,
    Record,
    Results,
    from_json,
    kept,
    read,
)
from tests.conformance.reports import failures, kind_of, regressions, totals
from tests.conformance.rules import Verdict, judged
from tests.conformance.running import barred, run
from tests.conformance.suite import DataSet, Trial, trials
from tests.conformance.workers import Worker, run_all

RAMP = np.linspace(-1, 1, 200, dtype=np.float32)


def verdict(value: Any, expected: Any, *, on_host: bool = False, largest: float = 1.0) -> Verdict:
    """Of one output with the suite's usual tolerance."""
    inputs = {"x": np.full(3, largest, np.float32)}
    return judged({"y": value}, {"y": expected}, inputs, (1e-3, 1e-7), on_host=on_host)


# --- rules ----------------------------------------------------------------------------------------


def noisy(decibels: float) -> Any:
    """RAMP with an error of so many dB, which alternates."""
    size = np.sqrt(np.square(RAMP).mean()) * 10 ** (-decibels / 20)
    return RAMP + np.float32(size) * np.where(np.arange(RAMP.size) % 2, 1, -1).astype(np.float32)


def test_floats_pass_by_their_sqnr() -> None:
    good = verdict(noisy(20.1), RAMP)
    assert good.problem == ""
    assert good.sqnr_db == pytest.approx(20.1, abs=0.01)


def test_floats_pass_by_their_cosine() -> None:
    middling = verdict(noisy(18), RAMP)
    assert middling.problem == ""
    assert middling.cosine == pytest.approx(0.992, abs=0.001)


def test_floats_fail_below_both() -> None:
    assert verdict(noisy(10), RAMP).problem.startswith("10.0 dB, cosine 0.95")


def test_on_the_host_the_tolerance_of_the_suite_decides() -> None:
    assert verdict(noisy(40), RAMP).problem == ""
    assert "beyond the suite's tolerance" in verdict(noisy(40), RAMP, on_host=True).problem
    assert verdict(RAMP * np.float32(1.0001), RAMP, on_host=True).problem == ""


def test_a_constant_does_not_pass_by_its_cosine() -> None:
    ones = np.ones(5, np.float32)
    assert verdict(2 * ones, ones).problem == "a constant is off by 1"
    assert verdict(1.05 * ones, ones).problem == ""
    assert verdict(ones[:1] / 2, ones[:1]).problem == "a constant is off by 0.5"


def test_zeros_pass_near_zero_as_the_inputs_are_large() -> None:
    zeros = np.zeros(5, np.float32)
    assert verdict(zeros + np.float32(0.015), zeros).problem == ""
    assert verdict(zeros + np.float32(0.025), zeros).problem == "a constant is off by 0.025"
    assert verdict(zeros + np.float32(0.025), zeros, largest=2).problem == ""


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_specials_stand_where_they_are_expected(special: float) -> None:
    expected = np.append(RAMP, np.float32(special))
    assert verdict(np.append(noisy(30), np.float32(special)), expected).problem == ""
    for other in (0, np.nan, np.inf, -np.inf):
        if not np.array_equal(other, special, equal_nan=True):
            value = np.append(noisy(30), np.float32(other))
            assert verdict(value, expected).problem == "NaN or infinity stand elsewhere"


def test_integers_and_booleans_are_equal_but_for_one_in_a_hundred() -> None:
    expected = np.arange(200)
    value = expected.copy()
    value[:2] += 1
    assert verdict(value, expected).problem == ""
    value[2] += 1
    assert verdict(value, expected).problem == "only 98.5% of the elements are equal"
    truth = expected > 100
    assert verdict(~truth, truth).problem == "only 0.0% of the elements are equal"


def test_strings_and_empty_tensors_are_equal() -> None:
    texts = np.array(["a", "b"], dtype=object)
    assert verdict(texts, texts).problem == ""
    assert verdict(texts[::-1], texts).problem
    empty = np.zeros((0, 3), np.float32)
    assert verdict(empty, empty).problem == ""
    assert verdict(empty[:, :2], empty).problem == "float32[0, 2] instead of float32[0, 3]"


def test_sequences_and_optionals_are_judged_by_their_elements() -> None:
    assert verdict([noisy(30), RAMP], [RAMP, RAMP]).problem == ""
    assert verdict([noisy(3), RAMP], [RAMP, RAMP]).problem.startswith("3.0 dB")
    assert verdict([RAMP], [RAMP, RAMP]).problem == "a sequence of 1 instead of a sequence of 2"
    assert verdict(None, None).problem == ""
    assert verdict(RAMP, None).problem == "float32[200] instead of nothing"


@pytest.mark.parametrize("value", [RAMP.astype(np.float64), RAMP.reshape(1, -1), [RAMP], None, 1.0])
def test_types_and_shapes_are_those_expected(value: Any) -> None:
    assert verdict(value, RAMP).problem.endswith("instead of float32[200]")


def test_an_output_that_is_missing() -> None:
    assert judged({}, {"y": RAMP}, {}, (0, 0), on_host=False).problem == "there is no output 'y'"


# --- tests ----------------------------------------------------------------------------------------


def doubled(names: Sequence[str] = ("y",), scale: float = 2.0) -> Trial:
    """A test with y = x + x for each name."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 50])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 50]) for name in names]
    nodes = [helper.make_node("Add", ["x", "x"], [name], name) for name in names]
    graph = helper.make_graph(nodes, "doubled", [x], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    value = RAMP.reshape(4, 50)
    data = DataSet({"x": value}, dict.fromkeys(names, np.float32(scale) * value))
    return Trial("test_doubled", model, [data], 1e-3, 1e-7)


def test_a_test_that_passes_on_the_chip() -> None:
    record = run(doubled(["y", "z.0"]))
    assert (record.status, record.chip, record.host) == (CHIP, ("Add",), ())
    assert record.operators == ("Add",)
    assert record.sqnr_db is not None
    assert record.sqnr_db > 40
    assert record.passed


def test_a_test_that_onnxruntime_does_not_pass() -> None:
    trial = doubled(scale=3)
    record = run(trial)
    assert record.status == BARRED
    assert record.said.startswith("onnxruntime gives other results: Not equal to tolerance")
    trial.model.graph.node[0].op_type = "Unknown"
    assert barred(trial).startswith("onnxruntime refuses it: ")


def test_a_test_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error("No.", where="node 'a'", notes=["Why."])

    monkeypatch.setattr(epimc.backend, "prepare", refuse)
    record = run(doubled())
    assert (record.status, record.said) == (REFUSED, "No. (node 'a') Why.")


def test_a_defect_is_a_failure_with_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise IndexError("out of range")

    monkeypatch.setattr(epimc.backend, "prepare", fail)
    record = run(doubled())
    assert (record.status, record.said) == (FAILED, "IndexError: out of range")


def test_what_is_not_exact_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Inexact:
        exact = False

    monkeypatch.setattr(epimc, "verify", lambda _: Inexact())
    record = run(doubled())
    assert (record.status, record.said) == (FAILED, "not exact")


def test_a_bfloat16_goes_through_onnxruntime() -> None:
    trial = trials()["test_cast_FLOAT_to_BFLOAT16"]()
    (data,) = trial.data
    (value,) = Baseline(trial.model).run(data.inputs).values()
    (expected,) = data.outputs.values()
    assert value.dtype == expected.dtype
    assert np.array_equal(value.view(np.uint16), expected.view(np.uint16))


@pytest.mark.parametrize("name", ["test_cast_INT4_to_FLOAT", "test_cast_FLOAT_to_UINT4"])
def test_numbers_of_four_bits_go_through_onnxruntime(name: str) -> None:
    assert barred(trials()[name]()) == ""


# --- processes ------------------------------------------------------------------------------------

SERVER = """
import os, sys, time
print('"ready"', flush=True)
for line in sys.stdin:
    test = line.strip()
    if test.startswith("early"):
        os.abort()
    print('"begun"', flush=True)
    if test.startswith("crash"):
        os.abort()
    if test.startswith("hang"):
        time.sleep(3600)
    print('{"test": "%s", "status": "host"}' % test, flush=True)
"""


@pytest.fixture
def worker() -> Any:
    """A worker with a process that does as the names of tests say."""
    worker = Worker((sys.executable, "-c", SERVER), seconds=10)
    yield worker
    worker.stop()


def test_a_crash_costs_one_test(worker: Worker) -> None:
    records = [worker.run(test) for test in ("a", "crash", "b", "early", "c")]
    assert [record.status for record in records] == [HOST, CRASHED, HOST, BARRED, HOST]
    assert records[1].said.startswith("the process ended with ")


def test_a_test_without_an_end_costs_one_test(worker: Worker) -> None:
    worker.seconds = 0.5
    assert worker.run("hang") == Record("hang", CRASHED, "it took too long")
    worker.seconds = 10
    assert worker.run("a").status == HOST


def test_a_process_that_does_not_start_is_no_result_of_a_test() -> None:
    with pytest.raises(RuntimeError, match="does not start: the process ended with 1"):
        Worker((sys.executable, "-c", "raise SystemExit(1)")).run("a")


def test_tests_run_in_processes_of_their_own() -> None:
    records: list[Record] = []
    run_all(["test_relu", "test_cos"], 1, records.append)
    assert [record.test for record in records] == ["test_relu", "test_cos"]
    assert records[0].chip == ("Relu",)


def test_a_log_is_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run_all(tests: Sequence[str], jobs: int, took: Any) -> None:
        ran.extend(tests)
        for test in tests:
            took(Record(test, HOST))

    monkeypatch.setattr(command, "run_all", run_all)
    log = tmp_path / "log.jsonl"
    command.run_logged(["a", "b"], log, 1, resume=False)
    with log.open("a") as file:
        file.write('{"test": "c", "sta')
    log.write_text(log.read_text() + "\n")
    records = command.run_logged(["a", "b", "c"], log, 1, resume=True)
    assert ran == ["a", "b", "c"]
    assert [record.test for record in records] == ["a", "b", "c"]
    assert [record.test for record in read(log)] == ["a", "b", "c"]


# --- reports --------------------------------------------------------------------------------------

BEFORE = (
    Record("test_a", CHIP, operators=("Add",), chip=("Add",), fixed=("w",), sqnr_db=44.2),
    Record("test_b", MIXED, operators=("Add", "Sin"), chip=("Add",), host=("Sin",)),
    Record("test_c", HOST, operators=("Sin",), host=("Sin",)),
    Record("test_d", REFUSED, "Input 'x' has 3 of 4.", operators=("Sin",)),
    Record("test_e", BARRED, "onnxruntime refuses it: no", operators=("Sin",)),
)


def test_totals() -> None:
    assert totals(BEFORE) == [
        "5 tests, 4 of which onnxruntime passes: 3 pass (75.0%)",
        "2 of them compute an operator on the chip: chip 1, mixed 1, host 1",
        "not passed: barred 1, refused 1",
    ]


def test_failures_are_counted_by_kind() -> None:
    more = Record("test_f", REFUSED, "Input 'other' has 5 of 6.")
    assert list(failures((*BEFORE, more))) == [
        "    2  refused: Input '…' has N of N.",
        "       test_d, test_f",
    ]
    assert kind_of("a 'b' 1.5 2") == "a '…' N N"


def test_regressions() -> None:
    same = regressions(BEFORE, BEFORE)
    assert same == []
    fresh = (
        Record("test_a", HOST, host=("Add",)),
        Record("test_b", FAILED, "not exact"),
        Record("test_c", CHIP, chip=("Sin",)),
        Record("test_new", FAILED, "not exact"),
    )
    assert regressions(BEFORE, fresh) == [
        "test_a: no longer on the chip: Add",
        "test_b: passed before; failed: not exact",
    ]


def test_records_are_kept_and_read(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text(Results.of(reversed(BEFORE)).text())
    assert Results.read(path) == Results.of(BEFORE)
    assert kept(BEFORE[0]) == {
        "test": "test_a",
        "status": "chip",
        "operators": ("Add",),
        "chip": ("Add",),
        "fixed": ("w",),
        "sqnr_db": 44.2,
    }
    assert from_json({"test": "a", "status": "host", "unknown": 1}) == Record("a", HOST)


def test_the_page_counts_operators() -> None:
    counts = operator_counts(BEFORE)
    assert (counts["Add"].tests, counts["Add"].chip, counts["Add"].host) == (2, 2, 0)
    sines = counts["Sin"]
    assert (sines.tests, sines.chip, sines.host, sines.barred) == (3, 0, 2, 1)
    assert sines.reasons == {"refused: Input '…' has N of N.": 1}
    text = page(Results.of(BEFORE))
    assert "| Sin | 3 | 0 | 2 | 1: refused: Input '…' has N of N. | 1 |" in text
    assert "- `test_a` chip, 44.2 dB, computes Add, with w\n" in text
    assert cell("a|b<c") == "a\\|b&lt;c"


def test_the_command_fails_where_something_became_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = Record("test_relu", HOST, host=("Relu",))
    monkeypatch.setattr(command, "run_all", lambda tests, jobs, took: took(now))
    monkeypatch.setattr(command, "KEPT", tmp_path / "kept.json")
    words = ["--match", "^test_relu$", "--log", str(tmp_path / "log")]
    before = Record("test_relu", CHIP, operators=("Relu",), chip=("Relu",))
    (tmp_path / "kept.json").write_text(Results.of([before]).text())
    assert command.main(words) == 1
    assert capsys.readouterr().out.endswith("test_relu: no longer on the chip: Relu\n")
    (tmp_path / "kept.json").write_text(Results.of([now]).text())
    assert command.main(words) == 0
    assert command.main([*words, "--keep"]) == 2
    assert capsys.readouterr().err == "Only the results of all tests are kept.\n"


def test_a_model_of_the_zoo_must_give_the_right_shapes() -> None:
    trial = trials()["test_squeezenet"]()
    assert trial.weightless
    (data,) = trial.data
    assert [value.shape for value in data.inputs.values()] == [(1, 3, 224, 224)]
    assert [value.shape for value in data.outputs.values()] == [(1, 1000, 1, 1)]


def test_operators_of_other_domains_are_named_with_them() -> None:
    trial = doubled()
    trial.model.graph.node.append(onnx.NodeProto(op_type="Scaler", domain="ai.onnx.ml"))
    assert trial.operators == ("Add", "ai.onnx.ml.Scaler")
