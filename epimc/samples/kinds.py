"""What kind of data a file is, by how it begins and by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from epimc.support.diagnostics import error
from epimc.support.files import refused
from epimc.support.sample_types import Shaped

Kind: TypeAlias = Literal["npz", "npy", "images"]

MAGIC: Mapping[Kind, bytes] = {"npz": b"PK", "npy": b"\x93NUMPY"}
"""What files of a kind begin with."""


def kind_of(path: Path) -> Kind:
    """What kind of data is at a path, by what is there and by its name.

    Raises:
        EpimcError: Nothing is there, or it is of no known kind.
    """
    if path.is_dir():
        return "images"
    if not path.exists():
        raise error(f"Data file '{path}' does not exist.")
    if not path.is_file():
        raise error(f"Data file '{path}' is no file and no folder.")
    for kind in MAGIC:
        if is_of(kind, path):
            return kind
    raise error(
        f"Data file '{path}' is of no known kind.",
        hint="Pass an npz file, an npy file, or a folder of images.",
    )


def is_of(kind: Kind, path: Path) -> bool:
    """Whether a file is of a kind; a broken one is what its name says."""
    named = path.suffix.lower()[1:]
    return named == kind if named in MAGIC else start_of(path).startswith(MAGIC[kind])


def start_of(path: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        EpimcError: The system refuses.
    """
    try:
        with path.open("rb") as file:
            return file.read(max(map(len, MAGIC.values())))
    except OSError as caught:
        raise refused(f"Data file '{path}'", "read", caught) from None


def only_input(inputs: Sequence[Shaped], path: Path) -> Shaped:
    """The input of a model that has one.

    Raises:
        EpimcError: It has several, or none.
    """
    if len(inputs) != 1:
        raise error(
            f"Data file '{path}' holds one array, and the model has {len(inputs)} inputs.",
            hint="Save the samples as an npz file, with an array for each input.",
        )
    return inputs[0]
