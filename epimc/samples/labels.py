"""The classes of samples, in a file of their own: npy, npz or text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.samples.samples import LABELS, read_arrays
from epimc.support.diagnostics import EpimcError, Span, counted, error
from epimc.support.files import read_text
from epimc.support.npy_files import read_npy
from epimc.support.sample_types import array_of

Ints = NDArray[np.int64]

LINE = re.compile(r"(?:(?P<name>\S.*?)[\s,]+)?(?P<label>-?[0-9]{1,18})")
"""A class, or the name of a file and a class."""


def read_labels(path: Path, names: Sequence[str] | None, limit_bytes: int) -> Ints:
    """The labels in a file, int64 [n].

    Args:
        path: `.npy`; `.npz` with the array `labels`, or with one array; or any text, with a class
            a line, or the name of an image and its class.
        names: Of the images, in order; None where samples have no names.
        limit_bytes: The most bytes that it may take.

    Raises:
        EpimcError: It cannot be read, or has no integers.
    """
    subject = f"Labels file '{path}'"
    match path.suffix.lower():
        case ".npy":
            return checked(subject, read_npy(path, limit_bytes))
        case ".npz":
            return checked(subject, array_in(subject, read_arrays(path, limit_bytes)))
    return labels_in(read_text(path, "Labels", limit_bytes), path, names)


def array_in(subject: str, arrays: Mapping[str, Any]) -> Any:
    """The array of labels among those of an npz file.

    Raises:
        EpimcError: There is none, or it is not known which.
    """
    if LABELS in arrays:
        return arrays[LABELS]
    if len(arrays) != 1:
        raise error(
            f"{subject} has {counted(len(arrays), 'array')}, none of which is 'labels'.",
            hint="Save the labels under this name.",
        )
    return next(iter(arrays.values()))


def checked(subject: str, values: Any) -> Ints:
    """Labels as int64 [n].

    Raises:
        EpimcError: They are no integers, or not in one row.
    """
    array = array_of(values)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise error(
            f"{subject} has {array.dtype.name} of the shape {array.shape}, not one integer a "
            "sample."
        )
    return array.astype(np.int64)


def labels_in(text: str, path: Path, names: Sequence[str] | None) -> Ints:
    """The labels in the lines of a text; arguments as `read_labels`.

    Raises:
        EpimcError: A line is none, or names what there is not.
    """
    plain: list[int] = []
    named: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise wrong_line(path, number, line)
        if match["name"] is None:
            plain.append(int(match["label"]))
        else:
            named[match["name"]] = int(match["label"])
    if not named:
        return np.array(plain, np.int64)
    if plain or names is None:
        raise error(
            f"Labels file '{path}' names samples"
            + (" in some of its lines only." if plain else ", which have no names here."),
            hint="Write one class a line, in the order of the samples.",
        )
    return by_name(path, named, names)


def wrong_line(path: Path, number: int, line: str) -> EpimcError:
    """The error for a line of a text that states no label."""
    return error(
        f"Labels file '{path}' has a line that is no label.",
        where=Span(str(path), number, 1, line),
        hint="A line has a class, or the name of an image and its class.",
    )


def by_name(path: Path, named: Mapping[str, int], names: Sequence[str]) -> Ints:
    """The labels of images, by their names with or without the folder.

    Raises:
        EpimcError: An image has none.
    """
    short = (name.rpartition("/")[2] for name in names)
    labels = [named.get(name, named.get(last)) for name, last in zip(names, short, strict=True)]
    for name, label in zip(names, labels, strict=True):
        if label is None:
            raise error(f"Labels file '{path}' has no label for the image '{name}'.")
    return np.array(labels, np.int64)


def require_count(subject: str, labels: Ints, count: int) -> None:
    """Raise EpimcError unless there are as many labels as samples."""
    if len(labels) != count:
        raise error(
            f"{subject} has {counted(len(labels), 'label')} for {counted(count, 'sample')}.",
            hint="Each sample needs the number of its class.",
        )
