"""How samples are read from files, as options of commands; nothing heavy is imported here."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from epimc.samples.image_options import Images
from epimc.support.diagnostics import EpimcError, error
from epimc.support.options import Option, refuse_wrong_option

Layout = Literal["nchw", "nhwc"]
Order = Literal["rgb", "bgr"]

SIZE = re.compile("([0-9]{1,6})(?:x([0-9]{1,6}))?")


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which samples are read, and what becomes of images.

    Attributes:
        first: How many samples are taken; None: all.
        size: As `Images.size`, in text.
        crop: As `Images.crop`, in text.
        mean: As `Images.mean`, in text.
        scale: As `Images.scale`, in text; each number may be a quotient, as `1/255` is.
        layout: As `Images.layout`.
        order: As `Images.order`.
    """

    first: Annotated[int | None, Option("Take the first N samples.", minimum=1, metavar="N")] = None
    size: Annotated[
        str | None,
        Option("Images: resize the shorter side to N, or to HxW.", metavar="N|HxW"),
    ] = None
    crop: Annotated[
        str | None,
        Option("Images: then cut out the middle; else the model's size.", metavar="N|HxW"),
    ] = None
    mean: Annotated[
        str | None,
        Option("Images: subtract this from pixels of 0 to 255.", metavar="M|R,G,B"),
    ] = None
    scale: Annotated[
        str | None,
        Option("Images: then multiply by this, as 1/255.", metavar="S|R,G,B"),
    ] = None
    layout: Annotated[
        Layout | None, Option("Images: where the model has channels; else by its shape.")
    ] = None
    order: Annotated[Order, Option("Images: the order of channels.")] = "rgb"

    def __post_init__(self) -> None:
        """Hold all options to what their fields declare.

        Raises:
            EpimcError: The first that is wrong.
        """
        refuse_wrong_option(self)

    def images(self, folder: Path) -> Images:
        """A folder of images, read as these options say.

        Raises:
            EpimcError: One of them is wrong.
        """
        return Images(
            folder,
            size=size_in("--size", self.size),
            crop=size_in("--crop", self.crop),
            mean=numbers_in("--mean", self.mean) or 0.0,
            scale=numbers_in("--scale", self.scale) or 1.0,
            layout=self.layout,
            order=self.order,
        )

    def read(self, path: Path | None) -> Path | Images | None:
        """As `source`, where there is a path; images alone need one.

        Raises:
            EpimcError: As `source`, or there are options and no path.
        """
        if path is None and self != DataOptions(first=self.first):
            raise error("Options of images are for a folder of images, and there is none.")
        return None if path is None else self.source(path)

    def source(self, path: Path) -> Path | Images:
        """What is read from a path: the images of a folder, or a file.

        Raises:
            EpimcError: An option is wrong, or is one of images and the path is no folder of them.
        """
        if path.is_dir():
            return self.images(path)
        for name in ("size", "crop", "mean", "scale", "layout"):
            if getattr(self, name) is not None:
                raise error(
                    f"--{name} is for folders of images, and '{path}' is none.",
                    hint="Arrays are taken as they are.",
                )
        return path


def size_in(flag: str, text: str | None) -> int | tuple[int, int] | None:
    """A size in a text, `256` or `224x320`: of the shorter side, or height and width.

    Raises:
        EpimcError: It says none.
    """
    if text is None:
        return None
    match = SIZE.fullmatch(text)
    if match is None:
        raise error(f"{flag} {text!r} is no size.", hint="Write it as 256, or as 224x320.")
    height, width = match.groups()
    return int(height) if width is None else (int(height), int(width))


def numbers_in(flag: str, text: str | None) -> tuple[float, ...]:
    """Numbers in a text, with commas between them; none where there is no text.

    Raises:
        EpimcError: One is none.
    """
    return () if text is None else tuple(number_in(flag, part) for part in text.split(","))


def number_in(flag: str, text: str) -> float:
    """A number, or a quotient of two.

    Raises:
        EpimcError: It is none.
    """
    above, slash, below = text.partition("/")
    try:
        value = float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        raise wrong_number(flag, text) from None
    if not math.isfinite(value):
        raise wrong_number(flag, text)
    return value


def wrong_number(flag: str, text: str) -> EpimcError:
    """The error for what is no number."""
    return error(f"{flag} has {text!r}, which is no number.", hint="Write it as 0.5, or as 1/255.")
