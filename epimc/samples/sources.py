"""Sources of samples, which are read some at a time: files, folders of images, and memory."""

from __future__ import annotations

import hashlib
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from epimc.samples.image_options import Images
from epimc.samples.images import Preparation, images_in
from epimc.samples.labels import Ints
from epimc.samples.samples import Samples
from epimc.support.diagnostics import counted, error
from epimc.support.files import refused_by_system
from epimc.support.npy_files import map_npy
from epimc.support.sample_types import Array, Shaped, as_type, refuse_type, samples_in_front

# Of a file that is mapped so many bytes, at either end, stand for all of it.
PEEK_BYTES = 2**16


class Source(ABC):
    """Samples of a model, any of which can be read at any time.

    Attributes:
        subject: What messages call it, such as `data file 'x.npy'`.
        count: How many samples there are, at least 1.
        labels: Their classes; None where it knows none.
        names: What the samples are called; None: nothing.
    """

    subject: str
    count: int
    labels: Ints | None = None
    names: Sequence[str] | None = None

    @abstractmethod
    def read(self, first: int, end: int) -> dict[str, Array]:
        """The samples from `first` to before `end`, for each input by name, checked.

        Raises:
            EpimcError: They cannot be read, or do not fit.
        """

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What tells these samples from others, as JSON has it, as far as it is cheaply known."""

    def reopening(self) -> dict[str, Any] | None:
        """What `reopened` opens the same in another process from, as JSON has it.

        None: it is in memory, from where samples are passed on.
        """
        return None


class Kept(Source):
    """Samples that are in memory."""

    def __init__(self, samples: Samples, subject: str) -> None:
        """Take samples that are checked already."""
        self.samples, self.subject = samples, subject
        self.count, self.labels = samples.count, samples.labels

    def read(self, first: int, end: int) -> dict[str, Array]:
        """Views."""
        return {name: array[first:end] for name, array in self.samples.inputs.items()}

    def identity(self) -> dict[str, Any]:
        """A digest of all arrays."""
        hashed = hashlib.sha256()
        for name, array in sorted(self.samples.inputs.items()):
            hashed.update(f"{name} {array.dtype} {array.shape}".encode(errors="backslashreplace"))
            # Texts and lists say what they are; numbers are hashed as they lie.
            plain = repr(array.tolist()).encode() if array.dtype.hasobject else None
            hashed.update(np.ascontiguousarray(array).data if plain is None else plain)
        return {"kind": "arrays", "sha256": hashed.hexdigest()}


class NpyFile(Source):
    """An npy file, of which no more is in memory than what is read."""

    def __init__(self, path: Path, port: Shaped) -> None:
        """Map the file.

        Raises:
            EpimcError: It cannot be read, holds no numbers, or has a wrong type or shape.
        """
        self.path, self.port, self.subject = path, port, f"data file '{path}'"
        mapped = map_npy(path)
        subject = f"Data file '{path}'"
        refuse_type(subject, mapped, port)
        self.array = samples_in_front(subject, mapped, port)
        self.count = len(self.array)

    def read(self, first: int, end: int) -> dict[str, Array]:
        """A copy of what is in the file, in the input's type."""
        part = np.array(self.array[first:end])
        return {self.port.name: as_type(f"Data file '{self.path}'", part, self.port, first)}

    def identity(self) -> dict[str, Any]:
        """Path, size, time and both ends of the file."""
        with self.path.open("rb") as file:
            state = os.fstat(file.fileno())
            head = file.read(PEEK_BYTES)
            file.seek(max(0, state.st_size - PEEK_BYTES))
            ends = hashlib.sha256(head + file.read(PEEK_BYTES)).hexdigest()
        return {
            "kind": "npy",
            "path": str(self.path.resolve()),
            "bytes": state.st_size,
            "modified": state.st_mtime_ns,
            "ends": ends,
        }

    def reopening(self) -> dict[str, Any]:
        """The path, as messages have it: the other process works in the same folder."""
        return {"npy": str(self.path)}


class ImageFolder(Source):
    """A folder of images, each of which is decoded when it is read."""

    def __init__(self, images: Images, inputs: Sequence[Shaped], limit_bytes: int) -> None:
        """List the folder; no image is opened.

        Raises:
            EpimcError: It has no images, or the model takes none such.
        """
        self.images, self.limit_bytes = images, limit_bytes
        preparation = Preparation.of(images, inputs)
        listed = images_in(images.path)
        self.preparation = preparation.of_files(listed.names)
        self.subject, self.files = f"folder '{images.path}'", listed.names
        self.names, self.count = listed.names, len(listed.names)
        if listed.classes is not None:
            self.labels = np.array(listed.classes, np.int64)

    def read(self, first: int, end: int) -> dict[str, Array]:
        """One image after the other."""
        port = self.preparation.port
        samples = np.empty((end - first, *port.shape), port.dtype)
        for place, name in enumerate(self.files[first:end]):
            samples[place] = self.preparation.sample(name, self.limit_bytes)
        return {port.name: samples}

    def identity(self) -> dict[str, Any]:
        """What is stated of the images, and name, size and time of every file."""
        hashed = hashlib.sha256()
        try:
            for name in self.files:
                state = (self.images.path / name).stat()
                hashed.update(f"{name!r} {state.st_size} {state.st_mtime_ns}\n".encode())
        except OSError as caught:
            raise refused_by_system(caught) from None
        files = {"path": str(self.images.path.resolve()), "files": hashed.hexdigest()}
        return {"kind": "images", **files, **self.images.stated()}

    def reopening(self) -> dict[str, Any]:
        """The folder, and what is stated of its images."""
        return {"images": str(self.images.path), **self.images.stated()}


class First(Source):
    """The first samples of a source."""

    def __init__(self, source: Source, count: int) -> None:
        """Take so many, or all that there are."""
        self.source, self.subject = source, source.subject
        self.count = min(count, source.count)
        self.names = None if source.names is None else source.names[: self.count]
        self.labels = None if source.labels is None else source.labels[: self.count]

    def read(self, first: int, end: int) -> dict[str, Array]:
        """As the source."""
        return self.source.read(first, end)

    def identity(self) -> dict[str, Any]:
        """That of the source: how many are taken is known beside it."""
        return self.source.identity()

    def reopening(self) -> dict[str, Any] | None:
        """As the source, all of it."""
        return self.source.reopening()


def all_of(
    source: Source, inputs: Sequence[Shaped], limit_bytes: int, first: int | None
) -> Samples:
    """The samples of a source together.

    Args:
        source: It has them.
        inputs: The inputs of the model.
        limit_bytes: Of all of them.
        first: How many are read; None: all.

    Raises:
        EpimcError: They are too large, or cannot be read.
    """
    count = source.count if first is None else min(first, source.count)
    one = sum(math.prod(port.shape) * port.dtype.itemsize for port in inputs)
    if count * one > limit_bytes:
        raise error(
            f"{counted(count, 'sample')} of {source.subject} take {count * one} bytes; the limit "
            f"is {limit_bytes}.",
            hint="Take the first ones only (--first), or raise the limit (--limit-bytes).",
        )
    labels = None if source.labels is None else source.labels[:count]
    return Samples(source.read(0, count), labels, "", "")
