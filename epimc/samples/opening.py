"""Samples from whatever they are passed as: a path, a folder of images, arrays, an iterable."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from epimc.samples.image_options import Images
from epimc.samples.kinds import kind_of, only_input
from epimc.samples.sample_arrays import SampleSource, batches_of, is_array
from epimc.samples.samples import checked_samples, read_arrays
from epimc.samples.sources import First, ImageFolder, Kept, NpyFile, Source
from epimc.samples.streams import Stream
from epimc.support.diagnostics import error
from epimc.support.files import as_path
from epimc.support.sample_types import Shaped, refuse_in_files

IN_MEMORY = "the data"


def open_source(
    data: SampleSource,
    inputs: Sequence[Shaped],
    limit_bytes: int,
    first: int | None = None,
) -> Source | Stream:
    """Samples, some at a time.

    Args:
        data: A path, a folder of images, an array for a model with one input, a mapping of arrays
            by name, or an iterable of such batches.
        inputs: The inputs of the model.
        limit_bytes: The most that an npz file, arrays, an image or a batch may take.
        first: How many samples are taken, of all but an iterable; None: all.

    Raises:
        EpimcError: They cannot be read, or do not fit the model.
    """
    if isinstance(data, Images):
        source: Source = ImageFolder(data, inputs, limit_bytes)
    elif isinstance(data, str | os.PathLike):
        source = open_path(as_path(data, "data"), inputs, limit_bytes)
    elif isinstance(data, Mapping) or is_array(data):
        (arrays,) = batches_of(data, inputs)
        source = Kept(checked_samples(arrays, inputs, IN_MEMORY, ""), IN_MEMORY)
    elif isinstance(data, Iterable) and not isinstance(data, bytes | bytearray):
        return Stream(data, inputs, limit_bytes)
    else:
        raise error(
            f"Data cannot be of the type {type(data).__name__}.",
            hint="Pass a path, arrays, a mapping of them, or an iterable of either.",
        )
    return source if first is None else First(source, first)


def open_path(path: Path, inputs: Sequence[Shaped], limit_bytes: int) -> Source:
    """The samples at a path; arguments and errors as `open_source`."""
    kind = kind_of(path)
    if kind == "images":
        return ImageFolder(Images(path), inputs, limit_bytes)
    refuse_in_files("a file of samples", inputs)
    if kind == "npy":
        return NpyFile(path, only_input(inputs, path))
    subject = f"data file '{path}'"
    # Its digest is taken where one is asked for.
    return Kept(checked_samples(read_arrays(path, limit_bytes), inputs, subject, ""), subject)


def reopened(opening: Mapping[str, Any], inputs: Sequence[Shaped], limit_bytes: int) -> Source:
    """The source that has said how it is opened again (`Source.reopening`)."""
    stated = dict(opening)
    if "npy" in stated:
        return open_path(Path(stated["npy"]), inputs, limit_bytes)
    return ImageFolder(Images.of(stated.pop("images"), stated), inputs, limit_bytes)
