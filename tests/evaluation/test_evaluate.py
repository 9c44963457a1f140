"""`epimc.evaluate`: figures that no batch, process or interruption changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

import epimc
from epimc.evaluation.results import EvaluateResult
from epimc.support.diagnostics import EpimcError
from tests.evaluation.conftest import CLASSES, COUNT, Case, classifier

Array = NDArray[Any]
ALL = ("float", "epitomized", "integers", "program")


def document(result: EvaluateResult) -> str:
    """All that a result says."""
    return json.dumps(result.to_json()) + str(result)


@pytest.fixture(scope="module")
def expected(case: Case) -> EvaluateResult:
    """In one process, with the usual batch."""
    return epimc.evaluate(case.bundle, case.images, labels=case.labels, of=ALL)


def test_the_figures_are_those_of_the_outputs(case: Case, expected: EvaluateResult) -> None:
    options = onnxruntime.SessionOptions()
    # As the reference runs it; optimized, the last digits are others.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = onnxruntime.InferenceSession(classifier().SerializeToString(), options)
    floats = np.concatenate([model.run(None, {"x": image[None]})[0] for image in case.images])
    (program,) = epimc.load(case.bundle).run(None, {"x": case.images})
    assert (expected.samples, expected.labelled) == (COUNT, True)
    assert tuple(model.name for model in expected.models) == ALL
    for model_, scores in zip(expected.models[::3], (floats, program), strict=True):
        order = np.argsort(-scores, axis=1, kind="stable")
        right = order == case.labels[:, None]
        assert model_.top1 is not None
        assert model_.top1.share == right[:, 0].mean()
        assert model_.top5 is not None
        assert model_.top5.share == right[:, :5].any(axis=1).mean()
        assert model_.top1.low < model_.top1.share < model_.top1.high
    last = expected.models[-1]
    assert last.agreement is not None
    assert last.agreement.share == (program.argmax(1) == floats.argmax(1)).mean()
    errors = np.abs(program.astype(float) - floats)
    (output,) = last.outputs
    assert output.name == "y"
    assert output.mean == pytest.approx(errors.mean(), rel=1e-12)
    assert output.largest == errors.max()
    assert expected.models[0].outputs == ()
    # The ADC of `tiny` loses nothing.
    assert expected.models[2].outputs == last.outputs


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("jobs", [1, 2])
def test_batches_and_processes_change_nothing(
    batch: int, jobs: int, case: Case, expected: EvaluateResult
) -> None:
    result = epimc.evaluate(
        case.bundle, case.images, labels=case.labels, of=ALL, batch=batch, jobs=jobs
    )
    assert document(result) == document(expected)


def test_onnxruntime_computes_the_same_integers(case: Case, expected: EvaluateResult) -> None:
    result = epimc.evaluate(
        case.bundle, case.images, labels=case.labels, of=ALL, integers="onnxruntime", batch=5
    )
    assert document(result) == document(expected)


def test_an_iterable_gives_the_same(case: Case, expected: EvaluateResult) -> None:
    def batches() -> Iterator[dict[str, Array]]:
        for first in range(0, COUNT, 3):
            part = slice(first, first + 3)
            yield {"x": case.images[part], "labels": case.labels[part]}

    for batch, jobs in ((4, 1), (2, 2)):
        result = epimc.evaluate(case.bundle, batches(), of=ALL, batch=batch, jobs=jobs)
        assert document(result) == document(expected)
    pairs = [(case.images[k : k + 5], case.labels[k : k + 5]) for k in range(0, COUNT, 5)]
    assert document(epimc.evaluate(case.bundle, pairs, of=ALL)) == document(expected)
    result = epimc.evaluate(
        case.bundle, (case.images[k : k + 1] for k in range(COUNT)), labels=case.labels, of=ALL
    )
    assert document(result) == document(expected)
    first = epimc.evaluate(case.bundle, batches(), of="program", first=10)
    arrays = {"x": case.images, "labels": case.labels}
    again = epimc.evaluate(case.bundle, arrays, of="program", first=10)
    assert first.samples == 10
    assert document(first) == document(again)


# --- going on -------------------------------------------------------------------------------------


class InterruptError(Exception):
    """What ends an evaluation in the middle."""


def interrupt_after(samples: int) -> Any:
    """A progress that raises."""

    def progress(done: int, count: int | None) -> None:
        if done >= samples:
            raise InterruptError

    return progress


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_evaluation_goes_on(
    jobs: int, case: Case, expected: EvaluateResult, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", case.images)
    options: dict[str, Any] = {"labels": case.labels, "of": ALL, "state": tmp_path / "state"}
    data = tmp_path / "x.npy"
    with pytest.raises(InterruptError):
        epimc.evaluate(
            case.bundle, data, **options, batch=4, jobs=jobs, progress=interrupt_after(8)
        )
    kept = {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()}
    assert "evaluation.json" in kept
    assert "0000000000-0000000008.npz" in kept or jobs > 1
    seen: list[int] = []
    result = epimc.evaluate(
        case.bundle, data, **options, batch=3, progress=lambda done, count: seen.append(done)
    )
    assert document(result) == document(expected)
    assert seen[0] >= 8
    # What is there is neither computed nor written again.
    for name, contents in kept.items():
        assert (tmp_path / "state" / name).read_bytes() == contents
    again = epimc.evaluate(case.bundle, data, **options)
    assert document(again) == document(expected)


def test_the_state_of_another_evaluation_is_refused(case: Case, tmp_path: Path) -> None:
    state = tmp_path / "state"
    epimc.evaluate(case.bundle, case.images, labels=case.labels, of="program", state=state)
    for data, options, named in (
        (case.images + 1, {}, "'data'"),
        (case.images, {"labels": case.labels[::-1].copy()}, "'labels'"),
        (case.images, {"of": ALL}, "'of'"),
        (case.images, {"first": 5}, "'samples'"),
    ):
        same = {"of": "program", "labels": case.labels, "state": state}
        wanted: dict[str, Any] = {**same, **options}
        with pytest.raises(EpimcError) as caught:
            epimc.evaluate(case.bundle, data, **wanted)
        assert caught.value.diagnostic.message == (
            f"Folder '{state}' has the state of another evaluation."
        )
        assert f"{named} is not the same." in caught.value.diagnostic.notes


def test_a_damaged_state_is_refused(case: Case, tmp_path: Path) -> None:
    state = tmp_path / "state"
    epimc.evaluate(
        case.bundle, case.images, labels=case.labels, of="program", state=state, batch=10
    )
    piece = state / f"0000000000-{COUNT:010}.npz"
    piece.write_bytes(piece.read_bytes()[:-30])
    with pytest.raises(EpimcError) as caught:
        epimc.evaluate(case.bundle, case.images, labels=case.labels, of="program", state=state)
    assert caught.value.diagnostic.message == (f"State file '{piece}' is not as it was written.")
    piece.unlink()
    result = epimc.evaluate(case.bundle, case.images, labels=case.labels, of="program", state=state)
    assert document(result) == document(
        epimc.evaluate(case.bundle, case.images, labels=case.labels, of="program")
    )


def test_a_state_lies_in_a_folder_of_its_own(case: Case, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(EpimcError, match="is not empty, and has no state of an evaluation"):
        epimc.evaluate(case.bundle, case.images, state=tmp_path)
    with pytest.raises(EpimcError, match="it lies in the bundle"):
        epimc.evaluate(case.bundle, case.images, state=case.bundle)
    with pytest.raises(EpimcError, match="An iterable cannot be gone on with"):
        epimc.evaluate(case.bundle, iter([case.images]), state=tmp_path / "state")


def test_two_evaluations_at_once_have_not_one_state(case: Case, tmp_path: Path) -> None:
    """The second is refused while the first runs, whatever it evaluates, and changes nothing."""
    state, refusals = tmp_path / "state", set[str]()
    options: dict[str, Any] = {"labels": case.labels, "of": "program", "state": state}

    def another(done: int, count: int | None) -> None:
        for first in (None, 5):
            with pytest.raises(EpimcError) as caught:
                epimc.evaluate(case.bundle, case.images, **options, first=first)
            refusals.add(str(caught.value))

    epimc.evaluate(case.bundle, case.images, **options, batch=10, progress=another)
    assert refusals == {
        f"error: Another evaluation that runs now has its state in the folder '{state}'.\n"
        "  hint: Choose another folder, or wait for its end."
    }
    names = sorted(path.name for path in state.iterdir())
    assert names == [f"0000000000-{COUNT:010}.npz", "evaluation.json"]
    # It has ended.
    epimc.evaluate(case.bundle, case.images, **options)


# --- what does not fit ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"of": "programme"}, "'programme' is nothing that can be evaluated."),
        ({"of": ()}, "Nothing is to be evaluated."),
        ({"batch": 0}, "Wrong option: batch = 0 is not at least 1."),
        ({"progress": 5}, "Progress cannot be told to what has the type int."),
        ({"first": 0}, "Wrong option: first = 0 is not at least 1."),
        ({"labels": [1, 2]}, f"The array of labels has 2 labels for {COUNT} samples."),
        ({"labels": np.zeros(COUNT)}, "The array of labels has float64 of the shape (23,), not"),
        (
            {"labels": np.full(COUNT, CLASSES)},
            "Label 7 of sample 0 is none of the model's 7 classes, which count from 0.",
        ),
    ],
)
def test_wrong_options(options: dict[str, Any], problem: str, case: Case) -> None:
    with pytest.raises(EpimcError) as caught:
        epimc.evaluate(case.bundle, case.images, **options)
    assert caught.value.diagnostic.message.startswith(problem)


def test_an_error_of_another_process_is_told_here(case: Case) -> None:
    labels = np.zeros(COUNT, np.int64)
    labels[-1] = -1
    for jobs in (1, 2):
        with pytest.raises(EpimcError) as caught:
            epimc.evaluate(case.bundle, case.images, labels=labels, jobs=jobs, batch=1)
        assert caught.value.diagnostic.message == (
            "Label -1 of sample 22 is none of the model's 7 classes, which count from 0."
        )


def test_a_batch_that_does_not_fit(case: Case) -> None:
    with pytest.raises(EpimcError) as caught:
        epimc.evaluate(case.bundle, case.images, batch=10**6, limit_bytes=10**8)
    diagnostic = caught.value.diagnostic
    assert diagnostic.message.startswith("A batch of 1000000 samples takes up to ")
    assert diagnostic.message.endswith(" bytes; the limit is 100000000.")
    fitting = int(diagnostic.hint.split()[2].rstrip(","))
    assert diagnostic.hint == f"Use --batch {fitting}, or raise the limit (--limit-bytes)."
    result = epimc.evaluate(
        case.bundle, case.images, labels=case.labels, of="program", batch=fitting, limit_bytes=10**8
    )
    assert result.samples == COUNT
    with pytest.raises(EpimcError, match=f"A batch of {fitting + 1} samples"):
        epimc.evaluate(case.bundle, case.images, batch=fitting + 1, limit_bytes=10**8)


def test_a_program_with_other_adcs(case: Case) -> None:
    """Each as a run with `adc_bits` has it, beside the float model, and the lossless one last."""
    session = epimc.load(case.bundle)
    (exact,) = session.run(None, {"x": case.images})
    options: dict[str, Any] = {"labels": case.labels, "of": "program", "adc_bits": (3, 2, 3, 8)}
    result = epimc.evaluate(case.bundle, case.images, **options)
    assert [(model.name, model.adc_bits) for model in result.models] == [
        ("program", 3),
        ("program", 2),
        ("program", 8),
    ]
    for model in result.models:
        lossy = epimc.load(case.bundle, adc_bits=model.adc_bits)
        (scores,) = lossy.run(None, {"x": case.images})
        assert model.top1 is not None
        assert model.top1.share == (scores.argmax(axis=1) == case.labels).mean()
        assert (scores == exact).all() == (model.adc_bits == 8)
    assert str(result).splitlines()[3].startswith("program, 2-bit ADC  ")
    again = epimc.evaluate(case.bundle, case.images, **options, batch=5, jobs=2)
    assert document(again) == document(result)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"adc_bits": 3, "of": "float"}, "Bits of ADCs are the program's, which is not to be"),
        ({"adc_bits": "4,x"}, "'x' is no number of bits."),
        ({"adc_bits": 0}, "An ADC has 1 to "),
    ],
)
def test_wrong_bits(options: dict[str, Any], problem: str, case: Case) -> None:
    with pytest.raises(EpimcError) as caught:
        epimc.evaluate(case.bundle, case.images, **options)
    assert caught.value.diagnostic.message.startswith(problem)
