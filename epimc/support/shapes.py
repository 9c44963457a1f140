"""Shapes of inputs as users write them: `NAME=1x3x224x224`, a mapping in Python."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from epimc.support.diagnostics import EpimcError, error, shortened
from epimc.support.limits import LARGEST_NUMBER

EXAMPLE = "Write it as NAME=1x3x224x224."

ShapesByName: TypeAlias = "Mapping[str, Sequence[int]] | Sequence[str]"
"""What Python users may pass: sizes by the input's name, or texts as the command line has them."""

BRACKETS = {"(": ")", "[": "]"}


def shapes_from(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The shapes that texts such as `x=1x3x224x224` or `x=1,3,224,224` state, by the input's name.

    Raises:
        EpimcError: A text has no name or no sizes, or a name comes twice.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        # A name may have the character too; sizes have none.
        name, sign, sizes = text.rpartition("=")
        if not sign or not name:
            raise error(f"Shape '{shortened(text)}' names no input.", hint=EXAMPLE)
        if name in shapes:
            raise error(
                f"Input '{shortened(name)}' is given two shapes.", hint="State it once, as it is."
            )
        shapes[name] = sizes_in(text, sizes.strip())
    return shapes


def sizes_in(text: str, sizes: str) -> tuple[int, ...]:
    """The numbers of a shape; brackets around them do no harm, and are the shape of one number."""
    if sizes[:1] in BRACKETS and sizes[-1:] == BRACKETS[sizes[:1]]:
        sizes = sizes[1:-1].strip().removesuffix(",")
        if not sizes:
            return ()
    return tuple(size_in(text, word.strip()) for word in re.split("[xX,]", sizes))


def size_in(text: str, word: str) -> int:
    """One number of a shape."""
    if not re.fullmatch(r"[0-9]+", word):
        what = f"'{shortened(word)}' is no size" if word else "a size is missing"
        raise error(f"Shape '{shortened(text)}' is not complete: {what}.", hint=EXAMPLE)
    # Before it is a number: Python refuses to read thousands of digits.
    if len(word) > len(str(LARGEST_NUMBER)) or int(word) > LARGEST_NUMBER:
        raise out_of_range(text, word)
    return int(word)


def out_of_range(text: str, size: object) -> EpimcError:
    """The error for a size that nothing has."""
    return error(
        f"Shape '{shortened(text)}' has the size {shortened(str(size))}, "
        f"which is not in 0..{LARGEST_NUMBER}."
    )


def shape_texts(shapes: object) -> tuple[str, ...]:
    """What Python users pass as shapes, as texts of which `shapes_from` makes the same.

    Raises:
        EpimcError: They are no mapping of names to sizes, and no texts.
    """
    if isinstance(shapes, Mapping):
        return tuple(text_of_shape(name, sizes) for name, sizes in shapes.items())
    listed = shapes if isinstance(shapes, (list, tuple)) else None
    texts = tuple(text for text in listed or () if isinstance(text, str))
    if listed is None or len(texts) < len(listed):
        raise error(
            f"Shapes cannot be {shortened(repr(shapes))}.",
            hint="Pass a mapping, such as {'input': (1, 3, 224, 224)}.",
        )
    return texts


def text_of_shape(name: object, sizes: object) -> str:
    """One shape as text."""
    listed: list[Any] = [None]
    if isinstance(sizes, Iterable) and not isinstance(sizes, str):
        listed = list(sizes)
    numbers = [as_integer(size) for size in listed]
    if not isinstance(name, str) or None in numbers:
        raise error(
            f"The shape of input {shortened(repr(name))} cannot be {shortened(repr(sizes))}.",
            hint="Pass whole numbers, such as (1, 3, 224, 224).",
        )
    text = f"{name}=({','.join(map(str, numbers))})"
    wrong = [number for number in numbers if number is not None and number < 0]
    if wrong:
        raise out_of_range(text, wrong[0])
    return text


def as_integer(size: object) -> int | None:
    """A size as Python's integer; None where it is no whole number."""
    # numpy's integers are none of Python's, and have this method.
    if isinstance(size, bool) or not hasattr(size, "__index__"):
        return None
    return int(size.__index__())


def option_for(name: str, dims: Sequence[int | str]) -> str:
    """The option of the command line that sets a shape, quoted for a shell.

    Args:
        name: Of the input.
        dims: Sizes, and words in the place of those that the user must know.
    """
    # The words of a shape must not have what stands between them.
    between = "," if any(isinstance(dim, str) and len(dim) > 1 for dim in dims) else "x"
    text = f"{name}={between.join(map(str, dims))}"
    return "--shape '" + text.replace("'", "'\"'\"'") + "'"
