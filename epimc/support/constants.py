"""Inputs that users fix as they compile: `NAME=1,2` or `NAME=FILE.npy`, a mapping in Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from epimc.support.diagnostics import error, shortened

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

EXAMPLE = "Write it as NAME=1,2 or NAME=FILE.npy."

ConstantText: TypeAlias = "Path | tuple[int | float, ...]"
"""What a text states: a file with an array, or numbers."""

ConstantsByName: TypeAlias = "Mapping[str, ArrayLike | Path] | tuple[()]"
"""What Python users pass: arrays, or npy files, by the input's name."""


def constants_from(texts: Iterable[str]) -> dict[str, ConstantText]:
    """What texts such as `axes=1,2` or `w=weights.npy` state, by the input's name.

    Raises:
        EpimcError: A text has no name, or what is in it are no numbers; or a name comes twice.
    """
    constants: dict[str, ConstantText] = {}
    for text in texts:
        # A name may have the character too; numbers and most files have none.
        name, sign, stated = text.rpartition("=")
        is_file = stated.lower().endswith(".npy")
        if not sign or not name:
            raise error(f"Constant '{shortened(text)}' names no input.", hint=EXAMPLE)
        constant: ConstantText = Path(stated) if is_file else numbers_in(text, stated)
        if name in constants:
            raise error(f"Input '{shortened(name)}' is fixed twice.")
        constants[name] = constant
    return constants


def checked_constants(constants: object) -> Mapping[str, ArrayLike | Path]:
    """What Python users pass, if it is a mapping by names.

    Raises:
        EpimcError: It is none.
    """
    if constants is None or constants == ():
        return {}
    if not isinstance(constants, Mapping) or not all(isinstance(name, str) for name in constants):
        raise error(
            f"Constants cannot be {shortened(repr(constants))}.",
            hint="Pass a mapping, such as {'axes': [1, 2]}.",
        )
    return constants


def numbers_in(text: str, stated: str) -> tuple[int | float, ...]:
    """Numbers with commas between them, maybe in brackets; none at all of `[]`."""
    words = stated.strip()
    if words[:1] == "[" and words[-1:] == "]":
        words = words[1:-1].strip()
        if not words:
            return ()
    return tuple(number_in(text, word.strip()) for word in words.split(","))


def number_in(text: str, word: str) -> int | float:
    """One number."""
    # Before it is a number: Python refuses to read thousands of digits.
    if len(word) <= MOST_DIGITS:
        for kind in (int, float):
            try:
                return kind(word)
            except ValueError:
                continue
    what = f"'{shortened(word)}' is no number" if word else "a number is missing"
    raise error(f"Constant '{shortened(text)}' is not complete: {what}.", hint=EXAMPLE)


MOST_DIGITS = 64
"""Of a number as text."""
