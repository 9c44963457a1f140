"""Samples from memory: the same as from a file, whatever they are passed as."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from epimc.samples.image_options import Images
from epimc.samples.sample_arrays import SampleData, samples_of
from epimc.samples.samples import read_samples, write_samples
from epimc.support.diagnostics import EpimcError
from epimc.support.files import sha256
from epimc.support.sample_types import Shaped

X, TWO = [Shaped("x", (2, 3))], [Shaped("x", (2, 3)), Shaped("y", (4,))]
ARRAY = np.arange(30, dtype=np.float32).reshape(5, 2, 3)


@dataclass
class OtherPath(os.PathLike[str]):
    """A path that is no pathlib.Path, as other libraries have them."""

    text: str

    def __fspath__(self) -> str:
        return self.text


class Tensor:
    """What other libraries pass: it becomes an array when it is asked to."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return ARRAY


def batches() -> Iterator[dict[str, Any]]:
    """The array in pieces, as a data loader gives them."""
    yield {"x": ARRAY[:2]}
    yield {"x": ARRAY[2:]}


@pytest.mark.parametrize(
    "samples",
    [
        ARRAY,
        Tensor(),
        {"x": ARRAY},
        [ARRAY[:1], ARRAY[1:]],
        batches(),
        (piece for piece in np.split(ARRAY, 5)),
    ],
)
def test_every_form_gives_what_a_file_gives(samples: Any, tmp_path: Path) -> None:
    write_samples(tmp_path / "x.npz", {"x": ARRAY})
    expected = read_samples(tmp_path / "x.npz", X)
    result = samples_of(samples, X)
    np.testing.assert_array_equal(result.inputs["x"], expected.inputs["x"])
    # The same digest, too: a bundle does not tell from where its samples came.
    assert (result.sha256, result.origin) == (expected.sha256, expected.origin)
    path = str(tmp_path / "x.npz")
    assert all(samples_of(p, X).sha256 == expected.sha256 for p in (path, OtherPath(path)))


def test_labels_come_along() -> None:
    labels = np.arange(5)
    result = samples_of(
        [{"x": ARRAY[:3], "labels": labels[:3]}, {"x": ARRAY[3:], "labels": labels[3:]}], X
    )
    assert result.labels is not None
    np.testing.assert_array_equal(result.labels, labels)


def endless() -> Iterator[Any]:
    """More and more."""
    while True:
        yield ARRAY


@pytest.mark.parametrize(
    ("samples", "inputs", "message"),
    [
        (3, X, "error: Samples cannot be of the type int."),
        ([], X, "error: There are no samples in the calibration data: the iterable is empty."),
        (ARRAY, TWO, "error: One array of samples was passed for 2 inputs."),
        ({"z": ARRAY}, X, "error: The calibration data has no array for the input 'x'."),
        (
            {"x": ARRAY, "z": ARRAY},
            X,
            "error: Array 'z' of the calibration data is no input of the model.",
        ),
        ({"x": ARRAY[0]}, X, "error: Array 'x' of the calibration data has a wrong shape."),
        (
            {"x": ARRAY.astype(int)},
            X,
            "error: Array 'x' of the calibration data has the type int64, not float32.",
        ),
        ([ARRAY, ARRAY[:, :1]], X, "error: The batches of input 'x' have different shapes."),
        (
            [{"x": ARRAY}, {}],
            X,
            "error: Batch 1 of the calibration data has other arrays than the first.",
        ),
        (
            {"x": np.array([{}, []], dtype=object)},
            X,
            "error: Samples are no array of numbers, but of Python objects.",
        ),
        ({"x": [[1.0], [1.0, 2.0]]}, X, "error: Samples are no array of numbers."),
        (
            {"x": ARRAY, "\ud800": ARRAY},
            X,
            "error: Array '\ud800' of the calibration data is no input of the model.",
        ),
        ([1.0, 2.0], X, "error: A batch of 'x' is one number: batches are arrays, samples first."),
        (
            [ARRAY, np.zeros((1, 2, 3), "datetime64[s]")],
            X,
            "error: The batches of input 'x' have different types.",
        ),
        (b"x.npz", X, "error: Samples cannot be of the type bytes."),
        (endless(), X, "error: The samples take more than the limit of 1000 bytes."),
    ],
)
def test_what_is_wrong_is_told(samples: Any, inputs: Iterable[Shaped], message: str) -> None:
    with pytest.raises(EpimcError) as caught:
        samples_of(samples, list(inputs), limit_bytes=1000)
    assert str(caught.value).splitlines()[0] == message


# --- npy files and images -------------------------------------------------------------------------


def test_an_npy_file_gives_what_the_array_gives(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", ARRAY)
    samples = samples_of(tmp_path / "x.npy", X)
    np.testing.assert_array_equal(samples.inputs["x"], ARRAY)
    assert samples.sha256 == samples.origin == sha256((tmp_path / "x.npy").read_bytes())
    assert not isinstance(samples.inputs["x"], np.memmap)
    assert SampleData(tmp_path / "x.npy").shapes([("x", "tensor(float)")]) == {"x": ARRAY.shape}
    with pytest.raises(EpimcError) as caught:
        samples_of(tmp_path / "x.npy", X, limit_bytes=100)
    assert caught.value.diagnostic.message == (
        f"5 samples of data file '{tmp_path / 'x.npy'}' take 120 bytes; the limit is 100."
    )
    assert samples_of(tmp_path / "x.npy", X, limit_bytes=100, first=4).count == 4


@pytest.mark.parametrize("form", ["array", "npz", "npy"])
def test_the_first_samples_are_others(form: str, tmp_path: Path) -> None:
    """Their digest is that of what is taken, in whatever form."""
    np.save(tmp_path / "x.npy", ARRAY)
    write_samples(tmp_path / "x.npz", {"x": ARRAY})
    source: Any = ARRAY if form == "array" else tmp_path / f"x.{form}"
    few = samples_of(source, X, first=2)
    np.testing.assert_array_equal(few.inputs["x"], ARRAY[:2])
    assert few.sha256 == samples_of(ARRAY[:2], X).sha256
    assert few.sha256 != samples_of(source, X).sha256


def test_images_are_samples_with_labels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
    for place, name in enumerate(("a/x", "b/y", "b/z")):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels[place]).save(path)
    inputs = [Shaped("x", (3, 4, 5))]
    for source in (tmp_path, Images(tmp_path)):
        samples = samples_of(source, inputs)
        np.testing.assert_array_equal(samples.inputs["x"], pixels.transpose(0, 3, 1, 2))
        assert samples.labels is not None
        assert samples.labels.tolist() == [0, 1, 1]
    named = [("x", "tensor(float)")]
    assert SampleData(tmp_path).shapes(named) == {}
    assert SampleData(Images(tmp_path, crop=(4, 5))).shapes(named) == {"x": (1, 3, 4, 5)}
    last = Images(tmp_path, crop=6, layout="nhwc")
    assert SampleData(last).shapes(named) == {"x": (1, 6, 6, 3)}
