"""Other processes: what they are told, what they refuse, and models that need care there."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import epimc
from epimc.bundle.bundle import read_bundle
from epimc.evaluation.frames import receive, send
from epimc.evaluation.messages import job_of
from epimc.evaluation.options import Model
from epimc.evaluation.processes import Helper
from epimc.evaluation.work import Batch, Work
from epimc.samples.opening import open_source
from epimc.samples.samples import inputs_of
from epimc.samples.sources import Source
from epimc.support.diagnostics import EpimcError
from tests.end_to_end.test_session import samples, two_ports
from tests.evaluation.conftest import COUNT, Case

WORK = Work((Model("program"),), "simulator", {"batch": 4})


@contextmanager
def prepared(job: dict[str, Any]) -> Iterator[Helper]:
    """A process that knows a job."""
    helper = Helper()
    try:
        helper.begin(job)
        yield helper
    finally:
        helper.close()


def test_messages_come_back() -> None:
    stream = io.BytesIO()
    arrays = {"0": np.arange(6.0).reshape(2, 3), "labels": np.array([1, 2])}
    for header, sent in (({"a": [1, None, "ü"]}, arrays), ({}, {})):
        send(stream, header, sent)
    stream.seek(0)
    header, received = receive(stream)
    assert header == {"a": [1, None, "ü"]}
    assert received.keys() == arrays.keys()
    assert all((received[name] == array).all() for name, array in arrays.items())
    assert receive(stream) == ({}, {})
    with pytest.raises(EOFError):
        receive(stream)


def test_a_bundle_or_data_that_have_changed_are_refused(case: Case, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", case.images)
    bundle = read_bundle(case.bundle)
    source = open_source(tmp_path / "x.npy", inputs_of(bundle.program), 2**30)
    assert isinstance(source, Source)
    job = job_of(WORK, bundle, source)
    batch = Batch(0, 4, case.labels[:4])
    with prepared(job) as helper:
        record = helper.record(batch, source, ["x"])
        assert record["program.class"].shape == (4,)
        # An error is no end.
        wrong = Batch(0, 4, case.labels[:4] + 100)
        with pytest.raises(EpimcError, match="is none of the model's 7 classes"):
            helper.record(wrong, source, ["x"])
        again = helper.record(batch, source, ["x"])
        assert all((again[name] == array).all() for name, array in record.items())
    with (
        prepared({**job, "digest": "0" * 64}) as helper,
        pytest.raises(EpimcError, match=f"Bundle '{case.bundle}' has changed while"),
    ):
        helper.record(batch, source, ["x"])
    np.save(tmp_path / "x.npy", case.images + 1)
    with (
        prepared(job) as helper,
        pytest.raises(EpimcError, match=r"The data file '.*x.npy' has changed while"),
    ):
        helper.record(batch, source, ["x"])


def test_a_broken_image_is_named_as_it_is_here(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "b.png").write_bytes(b"no image")
    monkeypatch.chdir(tmp_path)
    bundle = read_bundle(case.bundle)
    source = open_source(epimc.Images("images"), inputs_of(bundle.program), 2**30)
    assert isinstance(source, Source)
    with prepared(job_of(WORK, bundle, source)) as helper:
        assert helper.record(Batch(0, 1, None), source, ["x"])["program.class"].shape == (1,)
        with pytest.raises(EpimcError) as caught:
            helper.record(Batch(1, 2, None), source, ["x"])
    assert caught.value.diagnostic.message == "Image 'images/b.png' cannot be read."


def test_a_model_with_a_fixed_batch(tmp_path: Path) -> None:
    data = samples(9)
    expected = None
    for batch in (4, "N"):
        session = epimc.compile(
            two_ports(batch), tmp_path / str(batch), target="tiny", calibration=data
        )
        for size, jobs in ((1, 1), (3, 2), (64, 1)):
            result = epimc.evaluate(
                session, data, of="float,epitomized,program", batch=size, jobs=jobs
            )
            expected = expected or result
            assert result.models[-1] == expected.models[-1]
            assert result == expected


def test_more_jobs_than_batches(case: Case) -> None:
    result = epimc.evaluate(case.bundle, case.images, batch=COUNT, jobs=5)
    assert result == epimc.evaluate(case.bundle, case.images)
