"""Sample files: read, written, drawn, and every wrong one refused."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from epimc.compiler.drawing import drawn_samples
from epimc.samples.samples import encode_samples, read_samples, write_samples
from epimc.support.diagnostics import EpimcError
from epimc.support.sample_types import Shaped as Port

pytestmark = pytest.mark.smoke

EXAMPLES = Path(__file__).parents[2] / "examples"


IMAGE = Port("image", (1, 4, 5))
IMAGES = np.arange(60, dtype=np.float32).reshape(3, 1, 4, 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test writes its file."""
    return tmp_path / "x.npz"


def save(path: Path, **arrays: NDArray[Any]) -> None:
    """Write an npz file as numpy does."""
    np.savez(path, **arrays)  # type: ignore[arg-type]


def refusal(path: Path, *inputs: Port, limit_bytes: int = 2**32) -> str:
    """What is said about a file, after `error: `; the file is called `F`."""
    with pytest.raises(EpimcError) as caught:
        read_samples(path, inputs or (IMAGE,), limit_bytes=limit_bytes)
    assert caught.value.exit_code == 2
    text = str(caught.value).replace(f"'{path}'", "F")
    assert text.startswith("error: ")
    return text.removeprefix("error: ")


@pytest.mark.parametrize("kind", [np.float32, np.float64, ">f4"])
def test_samples_and_labels_are_read(kind: Any, path: Path) -> None:
    labels = np.array([3, 1, 2], np.uint8)
    np.savez_compressed(path, image=IMAGES.astype(kind), labels=labels)
    samples = read_samples(path, [IMAGE])
    assert samples.inputs["image"].dtype == np.dtype("=f4")
    assert np.array_equal(samples.inputs["image"], IMAGES)
    assert samples.labels is not None
    assert samples.labels.dtype == np.int64
    assert samples.labels.tolist() == [3, 1, 2]
    assert samples.sha256 == samples.origin == hashlib.sha256(path.read_bytes()).hexdigest()
    assert samples.count == 3


def test_labels_may_be_missing_and_inputs_several(path: Path) -> None:
    ports = [Port("a/b:0", ()), Port("labels", (2,))]
    arrays = {"a/b:0": np.zeros(4, np.float32), "labels": np.ones((4, 2), np.float32)}
    write_samples(path, arrays)
    samples = read_samples(path, ports)
    assert samples.labels is None
    assert list(samples.inputs) == ["a/b:0", "labels"]
    assert samples.inputs["labels"].shape == (4, 2)


def test_arrays_in_fortran_order_are_read(path: Path) -> None:
    save(path, image=np.asfortranarray(IMAGES))
    assert np.array_equal(read_samples(path, [IMAGE]).inputs["image"], IMAGES)


def test_the_first_samples(path: Path) -> None:
    save(path, image=IMAGES, labels=np.arange(3))
    samples = read_samples(path, [IMAGE])
    first = samples.first(2)
    assert (first.count, first.sha256) == (2, samples.sha256)
    assert np.array_equal(first.inputs["image"], IMAGES[:2])
    assert first.labels is not None
    assert first.labels.tolist() == [0, 1]
    assert samples.first(9).count == 3


def test_the_examples_are_sample_files() -> None:
    samples = read_samples(EXAMPLES / "mnist-test.npz", [Port("Input3", (1, 28, 28))])
    assert samples.count == 500
    assert samples.labels is not None


def test_equal_arrays_give_equal_bytes_that_numpy_reads(path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {"b": IMAGES, "a": np.arange(3)}
    write_samples(path, arrays)
    assert path.read_bytes() == encode_samples(dict(reversed(arrays.items())))
    with np.load(path) as read:
        assert read.files == ["a", "b"]
        assert np.array_equal(read["b"], IMAGES)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        encode_samples({"a": np.array([object()])})


def test_drawn_samples_depend_on_the_seed_alone() -> None:
    ports = [IMAGE, Port("more", (7,))]
    drawn, again = drawn_samples(ports, 500, 0), drawn_samples(ports, 500, 0)
    assert drawn.inputs["image"].dtype == np.float32
    assert drawn.inputs["image"].shape == (500, 1, 4, 5)
    assert all(np.array_equal(drawn.inputs[p.name], again.inputs[p.name]) for p in ports)
    assert abs(float(drawn.inputs["image"].mean())) < 0.05
    assert abs(float(drawn.inputs["image"].std()) - 1) < 0.05
    other = drawn_samples(ports, 500, 1)
    assert not np.array_equal(drawn.inputs["more"], other.inputs["more"])
    assert (drawn.labels, drawn.sha256) == (None, "")
    assert drawn.origin == "standard normal, seed 0"


# --- names, shapes, types, values -----------------------------------------------------------------


def test_a_missing_input(path: Path) -> None:
    save(path, Image=IMAGES, labels=np.arange(3))
    assert refusal(path) == (
        "Sample file F has no array for the input 'image'.\n"
        "  note: It holds 'Image', 'labels'.\n"
        "  hint: Rename the array 'Image' to 'image'."
    )
    save(path)
    assert refusal(path) == (
        "Sample file F has no array for the input 'image'.\n"
        "  note: It holds nothing.\n"
        "  hint: Save the samples under the name 'image'."
    )


def test_an_unknown_array(path: Path) -> None:
    save(path, image=IMAGES, label=np.arange(3))
    assert refusal(path) == (
        "Array 'label' of sample file F is no input of the model.\n  hint: Did you mean 'labels'?"
    )


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (
            IMAGES.reshape(3, 20),
            "has a wrong shape.\n  note: Expected (n, 1, 4, 5), found (3, 20).\n"
            "  hint: Shape its samples: array.reshape(-1, 1, 4, 5).",
        ),
        (
            IMAGES[0],
            "has a wrong shape.\n  note: Expected (n, 1, 4, 5), found (1, 4, 5).\n"
            "  hint: Add an axis for the samples: array[numpy.newaxis].",
        ),
        (
            np.float32(1),
            "has a wrong shape.\n  note: Expected (n, 1, 4, 5), found ().",
        ),
        (IMAGES[:0], "has no samples.\n  hint: Save one sample at least."),
        (
            IMAGES.astype(np.uint8),
            "has the type uint8, not float32.\n"
            "  hint: Convert it by astype('float32'), and scale it as the model expects.",
        ),
        (
            IMAGES.astype(np.complex64),
            "has the type complex64, not float32.\n"
            "  hint: Convert it by astype('float32'), and scale it as the model expects.",
        ),
        (
            np.where(IMAGES == 47, np.nan, IMAGES),
            "has values that are not finite in float32.\n"
            "  note: The first is in sample 2, counted from 0.",
        ),
        (
            IMAGES.astype(np.float64) + 1e39,
            "has values that are not finite in float32.\n"
            "  note: The first is in sample 0, counted from 0.",
        ),
    ],
)
def test_a_wrong_array(array: NDArray[Any], expected: str, path: Path) -> None:
    save(path, image=array)
    assert refusal(path) == f"Array 'image' of sample file F {expected}"


def test_a_wrong_array_of_an_input_without_axes(path: Path) -> None:
    save(path, image=IMAGES)
    expected = "has a wrong shape.\n  note: Expected (n,), found (3, 1, 4, 5)."
    assert refusal(path, Port("image", ())) == f"Array 'image' of sample file F {expected}"


CLASSES = "  hint: Save the number of the class of each sample."


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (
            np.arange(3.0),
            "has the type float64, not int64.\n  hint: Convert it by astype('int64').",
        ),
        (np.arange(2), f"has a wrong shape.\n  note: Expected (3,), found (2,).\n{CLASSES}"),
        (
            np.zeros((3, 10), int),
            f"has a wrong shape.\n  note: Expected (3,), found (3, 10).\n{CLASSES}",
        ),
    ],
)
def test_wrong_labels(labels: NDArray[Any], expected: str, path: Path) -> None:
    save(path, image=IMAGES, labels=labels)
    assert refusal(path) == f"Array 'labels' of sample file F {expected}"


def test_different_numbers_of_samples(path: Path) -> None:
    save(path, image=IMAGES, more=np.zeros((2, 1), np.float32))
    assert refusal(path, IMAGE, Port("more", (1,))) == (
        "The arrays of sample file F have different numbers of samples.\n"
        "  note: 'image' has 3.\n"
        "  note: 'more' has 2.\n"
        "  hint: Save as many of each."
    )


# --- broken and hostile files ---------------------------------------------------------------------


def test_what_is_no_file(path: Path) -> None:
    assert refusal(path) == "Sample file F does not exist."
    assert refusal(path.parent) == "Sample file F is not a file."


def test_what_is_no_npz_file(path: Path) -> None:
    expected = (
        "Sample file F is not an npz file.\n"
        "  hint: Save the samples by numpy.savez, under the names of the model's inputs."
    )
    with path.open("wb") as file:
        np.save(file, IMAGES)
    assert refusal(path) == expected
    path.write_bytes(b"")
    assert refusal(path) == expected


def test_python_objects_are_refused(path: Path) -> None:
    save(path, image=np.array([{}], object))
    assert refusal(path) == "Array 'image' of sample file F holds Python objects."


def test_a_file_that_is_too_large_is_refused(path: Path) -> None:
    save(path, image=IMAGES, labels=np.arange(3))
    size = IMAGES.nbytes + 24
    assert read_samples(path, [IMAGE], limit_bytes=size).count == 3
    assert refusal(path, limit_bytes=size - 1) == (
        f"Sample file F holds arrays of {size} bytes; the limit is {size - 1}.\n"
        "  hint: Save fewer samples."
    )


def archive(path: Path, **entries: bytes) -> None:
    """Write a zip file with these entries, an underscore for a dot."""
    with zipfile.ZipFile(path, "w") as file:
        for name, data in entries.items():
            file.writestr(name.replace("_", "."), data)


def npy_bytes(shape: str, data: bytes = b"", kind: str = "<f4") -> bytes:
    """An npy file whose header declares a shape and a type."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def test_a_declared_size_is_refused_before_anything_is_allocated(path: Path) -> None:
    archive(path, image_npy=npy_bytes(f"({2**50}, 1, 4, 5)"))
    assert refusal(path).startswith(f"Sample file F holds arrays of {2**50 * 80} bytes;")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"\x93NUMPY\x09\x09" + b"\0" * 50,
        npy_bytes("(3, 1, 4, 5)", b"\0" * 100),
        npy_bytes("(1, 1, 4, 5)", b"\0" * 81),
        npy_bytes("(-1, 1, 4, 5)"),
        npy_bytes("(1,", b"\0"),
        npy_bytes("(1,)", b"\0" * 4, "nonsense"),
        npy_bytes("(" * 5000),
    ],
)
def test_a_broken_array_is_refused(data: bytes, path: Path) -> None:
    archive(path, image_npy=data)
    assert refusal(path).startswith("Sample file F is broken.\n  note: ")


@pytest.mark.parametrize("kind", ["V8", "S0", "<U3", "<M8[s]"])
def test_what_is_no_number_is_refused_before_it_is_read(kind: str, path: Path) -> None:
    # Items of no bytes cost a file nothing, however many there are.
    archive(path, image_npy=npy_bytes(f"({2**62}, 1, 4, 5)", kind=kind))
    assert refusal(path) == "Array 'image' of sample file F holds no numbers."


@pytest.mark.parametrize("version", [b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09"])
def test_a_long_header_is_not_read(version: bytes, path: Path) -> None:
    length = (65535).to_bytes(2, "little") if version == b"\x01\x00" else b"\xff\xff\xff\xff"
    archive(path, image_npy=b"\x93NUMPY" + version + length + b" " * 70000)
    count = int.from_bytes(length, "little")
    assert refusal(path) == (
        "Sample file F is broken.\n"
        f"  note: the header of an array has {count} bytes, more than 10000"
    )


def test_a_header_that_python_cannot_parse(path: Path) -> None:
    archive(path, image_npy=npy_bytes("-" * 9000 + "1"))
    assert refusal(path).startswith("Sample file F is broken.\n  note: ")


def test_a_file_of_many_arrays_is_refused_before_one_is_opened(path: Path) -> None:
    archive(path, **{f"a{number}_npy": b"" for number in range(10_001)})
    assert refusal(path) == "Sample file F holds 10001 arrays, more than 10000."


def test_other_ways_to_compress_are_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("image.npy", npy_bytes("(3, 1, 4, 5)", bytes(240)))
    assert refusal(path) == (
        "Array 'image' of sample file F is compressed in an unknown way.\n"
        "  hint: Save the samples by numpy.savez or numpy.savez_compressed."
    )


def test_what_deflate_made_of_nothing_counts_with_the_work_on_it(path: Path) -> None:
    zeros = np.zeros((1000, 1, 4, 5), np.float32)
    np.savez_compressed(path, image=zeros)
    with zipfile.ZipFile(path) as file:
        packed = sum(entry.compress_size for entry in file.infolist())
    limit = 16 * zeros.nbytes
    assert read_samples(path, [IMAGE], limit_bytes=limit).count == 1000
    assert refusal(path, limit_bytes=limit - 1) == (
        f"Sample file F inflates from {packed} to 80000 bytes, which count 16 times; "
        f"the limit is {limit - 1}.\n"
        "  hint: Save the samples without compression (numpy.savez), or raise the limit."
    )
    # As they stand in a file, they count once.
    save(path, image=zeros)
    assert read_samples(path, [IMAGE], limit_bytes=zeros.nbytes).count == 1000


def test_an_entry_that_is_no_array_is_refused(path: Path) -> None:
    archive(path, notes_txt=b"hello")
    assert refusal(path) == "Sample file F holds 'notes.txt', which is no array."


def test_an_array_that_is_there_twice_is_refused(path: Path) -> None:
    content = io.BytesIO()
    np.save(content, IMAGES)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("image.npy", content.getvalue())
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("image.npy", content.getvalue())
    assert refusal(path) == "Sample file F holds two arrays 'image'."


def test_a_flipped_bit_is_found(path: Path) -> None:
    write_samples(path, {"image": IMAGES})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert refusal(path).startswith("Sample file F is broken.\n  note: Bad CRC-32")


def test_a_truncated_file_is_refused(path: Path) -> None:
    write_samples(path, {"image": IMAGES})
    path.write_bytes(path.read_bytes()[:-30])
    assert refusal(path).startswith("Sample file F is not an npz file.")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(path: Path) -> None:
    write_samples(path, {"image": IMAGES})
    path.chmod(0)
    assert refusal(path) == "Sample file F cannot be read: Permission denied."
