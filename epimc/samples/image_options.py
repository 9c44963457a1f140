"""A folder of images, and what is stated of how a model takes them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from epimc.support.diagnostics import error
from epimc.support.files import as_path

Size: TypeAlias = "int | tuple[int, int] | None"

LARGEST_SIDE = 2**15

LAYOUTS, ORDERS = ("nchw", "nhwc"), ("rgb", "bgr")


@dataclass(frozen=True)
class Images:
    """A folder of images as samples of a model with one input.

    An image is decoded, made gray or of three colours as the input has channels, resized
    (bilinear, each pixel of the result averaging what it covers), and cut out of the middle; then
    each pixel p, 0 to 255, becomes (p - mean) * scale, in float32.  Files are in the order of
    their names; where subfolders hold them, these are the classes in the order of theirs.

    Attributes:
        folder: Where they lie.
        size: Of the shorter side, or (height, width); None: that of `crop`, and where that is not
            stated either, images of different sizes are refused.
        crop: Of a square, or (height, width), also where a model leaves its sizes open; None: the
            size that the input has.
        mean: Of pixels, one number or one a channel.
        scale: Of pixels, likewise.
        layout: `nchw` or `nhwc`; None: by the input's shape, the channels first where both fit.
        order: `rgb` or `bgr`.
    """

    folder: str | os.PathLike[str]
    size: Size = None
    crop: Size = None
    mean: float | Sequence[float] = 0.0
    scale: float | Sequence[float] = 1.0
    layout: str | None = None
    order: str = "rgb"

    def __post_init__(self) -> None:
        """Check everything that can be known without a model.

        Raises:
            EpimcError: A value is none of its kind.
        """
        as_path(self.folder, "folder")
        for name in ("size", "crop"):
            require_size(name, getattr(self, name))
        for name in ("mean", "scale"):
            object.__setattr__(self, name, checked_numbers(name, getattr(self, name)))
        if self.layout not in (None, *LAYOUTS):
            raise error(f"The layout of images is nchw or nhwc, not {self.layout!r}.")
        if self.order not in ORDERS:
            raise error(f"The order of channels is rgb or bgr, not {self.order!r}.")

    @property
    def shape(self) -> tuple[int, int, int, int] | None:
        """Of one image as a model with open sizes takes it; None where no `crop` says so.

        In colours, and the channels first unless the layout is another.
        """
        if self.crop is None:
            return None
        height, width = self.crop if isinstance(self.crop, tuple) else (self.crop, self.crop)
        return (1, height, width, 3) if self.layout == "nhwc" else (1, 3, height, width)

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.folder)

    def stated(self) -> dict[str, Any]:
        """What is stated of the images, as JSON has it."""
        stated = {name: value for name, value in asdict(self).items() if name != "folder"}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in stated.items()}

    @staticmethod
    def of(folder: str, stated: Mapping[str, Any]) -> Images:
        """The inverse of `stated`."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in stated.items()
        }
        return Images(folder, **values)


def require_size(name: str, size: object) -> None:
    """Raise EpimcError for what is no size of an image."""
    sides = size if isinstance(size, tuple) else (size, size)
    good = all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in sides)
    if size is not None and not (good and len(sides) == 2):
        raise error(
            f"The {name} of images cannot be {size!r}.",
            hint=f"Sides have 1 to {LARGEST_SIDE} pixels: 256, or (224, 320).",
        )


def checked_numbers(name: str, numbers: object) -> tuple[float, ...]:
    """One number, or one a channel, as a tuple.

    Raises:
        EpimcError: They are none.
    """
    listed: Sequence[Any] = numbers if isinstance(numbers, Sequence) else (numbers,)
    try:
        values = tuple(float(number) for number in listed)
    except (TypeError, ValueError):
        values = ()
    if len(values) not in (1, 3) or not all(map(math.isfinite, values)):
        raise error(
            f"The {name} of images is one number, or one for each of three channels.",
            notes=[f"It is {numbers!r}."],
        )
    return values
