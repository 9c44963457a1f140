"""Sources of samples: files by what is in them, arrays, iterables; and files of labels."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from epimc.samples.labels import read_labels
from epimc.samples.opening import open_source, reopened
from epimc.samples.samples import write_samples
from epimc.samples.sources import First, NpyFile, Source
from epimc.samples.streams import Stream
from epimc.support.diagnostics import EpimcError
from epimc.support.sample_types import Shaped

Array = NDArray[Any]
LIMIT = 2**20
PORT = Shaped("x", (2, 3))


def values(count: int, seed: int = 0) -> Array:
    """Samples of PORT."""
    return np.random.default_rng(seed).standard_normal((count, 2, 3)).astype(np.float32)


def opened(data: Any, first: int | None = None) -> Source:
    """A source of PORT's samples."""
    source = open_source(data, [PORT], LIMIT, first)
    assert isinstance(source, Source)
    return source


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        np.asfortranarray,
        lambda x: x.astype(np.float64),
        lambda x: x.astype(">f4"),
    ],
)
def test_an_npy_file_is_read_in_parts(change: Callable[[Array], Array], tmp_path: Path) -> None:
    x = values(10)
    np.save(tmp_path / "x.npy", change(x))
    source = opened(tmp_path / "x.npy")
    assert isinstance(source, NpyFile)
    assert isinstance(source.array, np.memmap)
    assert source.count == 10
    for first, end in ((0, 10), (3, 7), (9, 10)):
        part = source.read(first, end)["x"]
        np.testing.assert_array_equal(part, x[first:end])
        assert part.dtype == np.float32
        # It stays as it is when the file is closed or changed.
        assert part.base is None or not isinstance(part.base, np.memmap)


def test_a_large_npy_file_stays_where_it_is(tmp_path: Path) -> None:
    """It has more bytes than the limit, which bounds what is in memory."""
    array = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (100_000, 2, 3))
    array[-1] = 1
    array.flush()
    assert (tmp_path / "x.npy").stat().st_size > LIMIT
    source = opened(tmp_path / "x.npy")
    assert source.count == 100_000
    assert source.read(99_998, 100_000)["x"].sum() == 6


def test_an_npz_file_and_arrays(tmp_path: Path) -> None:
    x, labels = values(10), np.arange(10)
    write_samples(tmp_path / "x.npz", {"x": x, "labels": labels})
    os.rename(tmp_path / "x.npz", tmp_path / "samples")
    for data in (tmp_path / "samples", str(tmp_path / "samples"), {"x": x, "labels": labels}):
        source = opened(data)
        assert source.count == 10
        assert source.labels is not None
        np.testing.assert_array_equal(source.labels, labels)
        np.testing.assert_array_equal(source.read(2, 5)["x"], x[2:5])
    assert opened(x).labels is None


def test_the_first_samples() -> None:
    x, labels = values(10), np.arange(10)
    source = opened({"x": x, "labels": labels}, first=4)
    assert isinstance(source, First)
    assert source.count == 4
    assert source.labels is not None
    np.testing.assert_array_equal(source.labels, labels[:4])
    assert opened(x, first=100).count == 10


def test_batches_of_another_size() -> None:
    x = values(10)
    for sizes in ([10], [1] * 10, [4, 1, 5], [3, 7]):
        cuts = np.cumsum(sizes)[:-1]
        for size in (1, 3, 10, 20):
            stream = open_source(iter(np.split(x, cuts)), [PORT], LIMIT)
            assert isinstance(stream, Stream)
            parts = [part.inputs["x"] for part in stream.batches(size, None)]
            assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
            np.testing.assert_array_equal(np.concatenate(parts), x)


def test_an_endless_iterable_is_read_as_far_as_needed() -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield values(2)

    stream = open_source(endless(), [PORT], LIMIT)
    assert isinstance(stream, Stream)
    assert sum(part.count for part in stream.batches(3, 7)) == 7
    assert taken <= 4


@pytest.mark.parametrize(
    ("batches", "problem"),
    [
        ([], "There are no samples in the data: the iterable is empty."),
        ([values(2), {"x": values(1), "labels": [1]}], "Some batches of the data have labels, and"),
        ([np.zeros((1, 3, 2), np.float32)], "Array 'x' of the data has a wrong shape."),
        ([np.zeros((50_000, 2, 3), np.float32)], "A batch of the data takes more than 1048576"),
        ([{"y": values(1)}], "The data has no array for the input 'x'."),
    ],
)
def test_a_wrong_iterable(batches: list[Any], problem: str) -> None:
    stream = open_source(batches, [PORT], LIMIT)
    assert isinstance(stream, Stream)
    with pytest.raises(EpimcError) as caught:
        list(stream.batches(64, None))
    assert caught.value.diagnostic.message.startswith(problem)


def text(path: Path) -> None:
    """A table."""
    path.write_text("1,2,3\n")


def object_array(path: Path) -> None:
    """An npy file that would be unpickled."""
    np.save(path, np.array([{}, []], object), allow_pickle=True)


def cut_off(path: Path) -> None:
    """An npy file without its last bytes."""
    np.save(path, values(3))
    path.write_bytes(path.read_bytes()[:-4])


def enormous(path: Path) -> None:
    """An npy file whose header states more than it has."""
    np.save(path, values(3))
    path.write_bytes(path.read_bytes().replace(b"(3, 2, 3)", b"(9, 2, 3)"))


@pytest.mark.parametrize(
    ("name", "make", "problem"),
    [
        ("x.csv", text, "Data file '{path}' is of no known kind."),
        ("x.npy", lambda path: None, "Data file '{path}' does not exist."),
        ("x.npy", text, "File '{path}' is no array of NumPy."),
        ("x.npz", text, "Sample file '{path}' is not an npz file."),
        ("x.npy", object_array, "File '{path}' is no array of NumPy."),
        ("x.npy", cut_off, "File '{path}' is no array of NumPy."),
        ("x.npy", enormous, "File '{path}' is no array of NumPy."),
        ("x.npy", lambda path: np.save(path, values(0)), "Data file '{path}' has no samples."),
        (
            "x.npy",
            lambda path: np.save(path, values(4).transpose(0, 2, 1)),
            "Data file '{path}' has a wrong shape.",
        ),
        (
            "x.npy",
            lambda path: np.save(path, np.zeros((4, 2, 3), np.int64)),
            "Data file '{path}' has the type int64, not float32.",
        ),
        ("x", lambda path: path.mkdir(), "Folder '{path}' has no images."),
        ("x", os.mkfifo, "Data file '{path}' is no file and no folder."),
    ],
)
def test_what_is_no_data(
    name: str, make: Callable[[Path], None], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    make(path)
    port = Shaped("x", (3, 4, 4)) if name == "x" else PORT
    with pytest.raises(EpimcError) as caught:
        open_source(path, [port], LIMIT)
    assert caught.value.diagnostic.message == problem.format(path=path)


def test_a_value_that_is_not_finite_is_named_when_it_is_read(tmp_path: Path) -> None:
    x = values(10)
    x[7, 1, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    source = opened(tmp_path / "x.npy")
    source.read(0, 7)
    with pytest.raises(EpimcError) as caught:
        source.read(5, 10)
    assert caught.value.diagnostic.message == (
        f"Data file '{tmp_path / 'x.npy'}' has values that are not finite in float32."
    )
    assert caught.value.diagnostic.notes == ("The first is in sample 7, counted from 0.",)


def test_one_array_for_several_inputs(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", values(2))
    with pytest.raises(EpimcError, match="holds one array, and the model has 2 inputs"):
        open_source(tmp_path / "x.npy", [PORT, Shaped("y", (1,))], LIMIT)


@pytest.mark.parametrize("data", [5, None, b"bytes"])
def test_no_data_at_all(data: Any) -> None:
    with pytest.raises(EpimcError, match="Data cannot be of the type"):
        open_source(data, [PORT], LIMIT)


def test_a_source_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", values(3))
    monkeypatch.chdir(tmp_path)
    source = opened("x.npy")
    opening = source.reopening()
    assert opening is not None
    again = reopened(opening, [PORT], LIMIT)
    assert again.subject == "data file 'x.npy'"
    assert again.identity() == source.identity()
    np.testing.assert_array_equal(again.read(0, 3)["x"], values(3))
    assert opened(values(3)).reopening() is None


def test_a_path_is_the_same_however_it_is_spelled(tmp_path: Path) -> None:
    for name in ("x.npy", "copy.npy"):
        np.save(tmp_path / name, values(3))
        os.utime(tmp_path / name, (1, 1))
    before = opened(tmp_path / "x.npy").identity()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    for spelling in ("folder/../x.npy", "link/x.npy", "link/link/x.npy"):
        assert opened(tmp_path / spelling).identity() == before
    assert opened(tmp_path / "copy.npy").identity() != before


# --- labels ---------------------------------------------------------------------------------------


def test_labels_in_files(tmp_path: Path) -> None:
    expected = [3, 0, 12]
    np.save(tmp_path / "a.npy", np.array(expected, np.uint8))
    write_samples(tmp_path / "b.npz", {"any": np.array(expected)})
    write_samples(tmp_path / "c.npz", {"x": np.zeros(2), "labels": np.array(expected)})
    (tmp_path / "d.txt").write_text("3\n0\n\n12\n")
    (tmp_path / "e.csv").write_text("z.png,12\nx.png, 3\ny y.png 0\n")
    for name in ("a.npy", "b.npz", "c.npz", "d.txt", "e.csv"):
        labels = read_labels(tmp_path / name, ("k/x.png", "k/y y.png", "l/z.png"), LIMIT)
        assert labels.dtype == np.int64
        assert labels.tolist() == expected


def two_arrays(path: Path) -> None:
    """Arrays none of which is called `labels`."""
    write_samples(path, {"a": np.zeros(1), "b": np.zeros(1)})


@pytest.mark.parametrize(
    ("name", "make", "problem"),
    [
        ("l.npy", lambda p: np.save(p, np.zeros(3)), "has float64 of the shape (3,), not one int"),
        (
            "l.npy",
            lambda p: np.save(p, np.zeros((3, 1), int)),
            "has int64 of the shape (3, 1), not",
        ),
        ("l.npz", two_arrays, "has 2 arrays, none of which is 'labels'."),
        ("l.txt", lambda p: p.write_text("1\ntwo\n"), "has a line that is no label."),
        ("l.txt", lambda p: p.write_text("1\na 2\n"), "names samples in some of its lines only."),
        ("l.txt", lambda p: p.write_text("b 2\n"), "has no label for the image 'a'."),
        ("l.txt", lambda p: p.write_bytes(b"\xff"), "is not UTF-8 text."),
        ("l.txt", lambda p: None, "cannot be read: No such file or directory."),
    ],
)
def test_wrong_labels(name: str, make: Callable[[Path], Any], problem: str, tmp_path: Path) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(EpimcError) as caught:
        read_labels(path, ("a",), LIMIT)
    message = caught.value.diagnostic.message
    assert message.startswith((f"Labels file '{path}' {problem}", f"File '{path}' {problem}"))


def test_samples_without_names(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("a 2\n")
    with pytest.raises(EpimcError, match="names samples, which have no names here"):
        read_labels(tmp_path / "l.txt", None, LIMIT)


def test_labels_of_some_batches_only() -> None:
    batches: Any = [{"x": values(4), "labels": [0, 1, 2, 3]}, {"x": values(4)}]
    for size in (1, 4, 64):
        stream = open_source(batches, [PORT], LIMIT)
        assert isinstance(stream, Stream)
        with pytest.raises(EpimcError, match="Some batches of the data have labels, and some"):
            list(stream.batches(size, None))
