"""Images of a folder as samples: which there are, and how one becomes an array.

Pillow decodes and resizes them (extra `images`); it is imported when the first one is read.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from epimc.samples.image_options import Images, Size
from epimc.support.diagnostics import EpimcError, error
from epimc.support.files import refused
from epimc.support.sample_types import Array, Shaped, as_type

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
)
"""Of the names of files that are taken for images; others are left alone."""

# With more than 8 bits a channel, of which Pillow makes 8 by cutting.
DEEP_MODES = ("I", "F")

# Of a pixel as it is decoded, at most.
PIXEL_BYTES = 4


@dataclass(frozen=True)
class ImageList:
    """The images of a folder.

    Attributes:
        names: Their paths in it, with `/` between the parts, in order.
        classes: The numbers of their classes, where all of them lie in subfolders.
    """

    names: tuple[str, ...]
    classes: tuple[int, ...] | None


def images_in(folder: Path) -> ImageList:
    """The images of a folder, in the order of their names.

    Raises:
        EpimcError: There are none, some lie in subfolders and some do not, or the system refuses.
    """
    try:
        own, below = listing(folder)
        groups = [(name, [*files_below(folder / name, name)]) for name in below]
    except OSError as caught:
        raise refused(f"Folder '{folder}'", "read", caught) from None
    groups = [(name, files) for name, files in groups if files]
    if own and groups:
        raise error(
            f"Folder '{folder}' has images, and subfolders with images.",
            notes=[f"'{own[0]}' and '{groups[0][1][0]}' are two of them."],
            hint="Put all of them into subfolders, one for each class, or none.",
        )
    if own:
        return ImageList(tuple(own), None)
    if not groups:
        raise error(
            f"Folder '{folder}' has no images.",
            hint=f"Their names end in {', '.join(sorted(ENDINGS))}.",
        )
    names = [file for _, files in groups for file in files]
    classes = [number for number, (_, files) in enumerate(groups) for _ in files]
    return ImageList(tuple(names), tuple(classes))


def listing(folder: Path) -> tuple[list[str], list[str]]:
    """The names of images and of folders in a folder, hidden ones left out, in order.

    Raises:
        OSError: The system refuses.
    """
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                folders.append(entry.name)
            elif os.path.splitext(entry.name)[1].lower() in ENDINGS:
                files.append(entry.name)
    return sorted(files), sorted(folders)


def files_below(folder: Path, name: str) -> Iterator[str]:
    """The images of a subfolder at any depth, under its name; OSError where the system refuses."""
    files, folders = listing(folder)
    yield from (f"{name}/{file}" for file in files)
    for below in folders:
        # Links may lead in a circle.
        if not (folder / below).is_symlink():
            yield from files_below(folder / below, f"{name}/{below}")


@dataclass(frozen=True)
class Preparation:
    """How an image becomes a sample of an input.

    Attributes:
        port: The input.
        images: What is stated of them.
        channels: 1 or 3.
        first: Whether these are the first axis.
        crop: Height and width of what is cut out: those of the input.
        alike: The path in the folder of the image that all others are as large as; empty: their
            sizes may differ.
    """

    port: Shaped
    images: Images
    channels: int
    first: bool
    crop: tuple[int, int]
    alike: str = ""

    @staticmethod
    def of(images: Images, inputs: Sequence[Shaped]) -> Preparation:
        """How the images of a folder become samples of a model.

        Raises:
            EpimcError: It takes no images, or others than are stated.
        """
        if len(inputs) != 1:
            raise error(
                f"A folder of images is for models with one input; this one has {len(inputs)}.",
                hint="Save the samples as an npz file, with an array for each input.",
            )
        (port,) = inputs
        first, channels, crop = sides_of(port, images.layout)
        wanted = both(images.crop) or crop
        if wanted != crop:
            raise error(
                f"Input '{port.name}' takes images of {shown(crop)}, not of {shown(wanted)}.",
                hint="Leave out the crop, or set the shape of the input when compiling.",
            )
        refuse_unusable(images, port, channels)
        return Preparation(port, images, channels, first, crop)

    def of_files(self, names: Sequence[str]) -> Preparation:
        """The same for the images of these paths.

        What becomes of photographs of different sizes has to be stated; images of one size become
        those of the model's.
        """
        is_stated = self.images.size is not None or self.images.crop is not None
        return self if is_stated else replace(self, alike=names[0])

    def sample(self, name: str, limit_bytes: int) -> Array:
        """The array of an image, in the shape of one sample and the type of the input.

        Args:
            name: Its path in the folder.
            limit_bytes: Of its pixels, decoded.

        Raises:
            EpimcError: It is broken, too large or too small, which names its path.
        """
        path = self.images.path / name
        pixels = self.pixels(path, limit_bytes)
        values = self.numbers(pixels)
        if self.images.order == "bgr":
            values = values[:, :, ::-1]
        if self.first:
            values = values.transpose(2, 0, 1)
        values = np.ascontiguousarray(values).reshape(1, *self.port.shape)
        sample: Array = as_type(f"Image '{path}'", values, self.port)[0]
        return sample

    def numbers(self, pixels: NDArray[np.uint8]) -> Array:
        """Pixels as the model takes them, [height, width, channels]."""
        if self.port.dtype.kind != "f":
            return pixels
        stated = self.images.mean, self.images.scale
        mean, scale = (np.asarray(numbers, np.float32) for numbers in stated)
        values: Array = (pixels.astype(np.float32) - mean) * scale
        return values

    def pixels(self, path: Path, limit_bytes: int) -> NDArray[np.uint8]:
        """[height, width, channels] of an image, resized and cut.

        Raises:
            EpimcError: As `sample`.
        """
        expected = self.size
        with opened(path) as image:
            if expected is not None and image.size != expected:
                raise self.different(path, image.size, expected)
            self.refuse_large(path, image, limit_bytes)
            return self.cut(path, image)

    @cached_property
    def size(self) -> tuple[int, int] | None:
        """Width and height that all images have; None where they may differ."""
        if not self.alike:
            return None
        with opened(self.images.path / self.alike) as image:
            width, height = image.size
            return width, height

    def different(self, path: Path, size: tuple[int, int], other: tuple[int, int]) -> EpimcError:
        """The error for an image of another (width, height) than the first one has."""
        crop, shorter = shown(self.crop), min(self.crop)
        return error(
            "Images of different sizes can become samples in several ways.",
            notes=[
                f"'{self.images.path / self.alike}' is {shown(other[::-1])}, and '{path}' is "
                f"{shown(size[::-1])} (height x width).",
            ],
            hint=f"Say which: --size {crop} takes all of each, out of shape; --size {shorter} cuts "
            "out the middle.",
        )

    def refuse_large(self, path: Path, image: Image, limit_bytes: int) -> None:
        """Raise EpimcError for an image that is not to be decoded; its header is all that is read.

        It is too large, too deep, or too small to be cut.
        """
        width, height = image.size
        needed = PIXEL_BYTES * max(width * height, self.resized(width, height)[2])
        if needed > limit_bytes:
            raise error(
                f"Image '{path}' takes {needed} bytes; the limit is {limit_bytes}.",
                hint="Raise the limit (--limit-bytes), or take it out of the folder.",
            )
        if image.mode.startswith(DEEP_MODES):
            raise error(
                f"Image '{path}' has more than 8 bits a channel.",
                hint="Convert it, or save the samples as an npy file.",
            )

    def resized(self, width: int, height: int) -> tuple[int, int, int]:
        """Width, height and area that an image is resized to.

        Args:
            width: Of the image.
            height: Of the image.
        """
        size = self.images.size
        if isinstance(size, int):
            shorter = min(width, height)
            # As torchvision has it: the longer side is cut to a whole number.
            width, height = (max(1, side * size // shorter) for side in (width, height))
        else:
            height, width = size or self.crop
        return width, height, width * height

    def cut(self, path: Path, image: Image) -> NDArray[np.uint8]:
        """The pixels in the middle of an image, [height, width, channels], once it is resized.

        Raises:
            EpimcError: It is too small.
        """
        width, height, _ = self.resized(*image.size)
        rows, columns = self.crop
        if height < rows or width < columns:
            raise error(
                f"Image '{path}' is resized to {shown((height, width))}, less than the "
                f"{shown(self.crop)} that are cut out.",
                hint="Choose a larger size.",
            )
        coloured = image.convert("L" if self.channels == 1 else "RGB")
        if coloured.size != (width, height):
            coloured = coloured.resize((width, height), pillow_image().Resampling.BILINEAR)
        top, left = (height - rows) // 2, (width - columns) // 2
        pixels = np.asarray(coloured).reshape(height, width, self.channels)
        return pixels[top : top + rows, left : left + columns]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image]:
    """An image, of which the header is read.

    Raises:
        EpimcError: It cannot be read, now or by who has it opened.
    """
    pillow = pillow_image()
    try:
        with warnings.catch_warnings():
            # What Pillow finds odd is no error, but for sizes that it takes for an attack.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            with pillow.open(path) as image:
                yield image
    except (EpimcError, MemoryError):
        raise
    # Pillow raises errors of many types, among them the system's.
    except Exception as problem:
        said = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
        raise error(
            f"Image '{path}' cannot be read.",
            notes=[said],
            hint="Replace it, or take it out of the folder.",
        ) from None


def pillow_image() -> Any:
    """The module of Pillow that reads images.

    Raises:
        EpimcError: It is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise error(
            "Pillow, which reads images, is not installed.",
            hint="Install the extra 'images': pip install 'epimc[images]'.",
        ) from None
    return Image


def sides_of(port: Shaped, layout: str | None) -> tuple[bool, int, tuple[int, int]]:
    """Whether channels come first, how many there are, and (height, width) of an input.

    Raises:
        EpimcError: It takes no images.
    """
    shape = port.shape
    # A model that takes one sample at once may have an axis of 1 in front.
    while len(shape) > 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == 3 and port.is_tensor:
        for name, channels, sides in (
            ("nchw", shape[0], shape[1:]),
            ("nhwc", shape[2], shape[:2]),
        ):
            if channels in (1, 3) and layout in (None, name):
                return name == "nchw", channels, (sides[0], sides[1])
    said = "" if layout is None else f" in the layout {layout}"
    raise error(
        f"Input '{port.name}' takes no images{said}: its shape is {list(port.shape)}.",
        hint="Images are [1 or 3, height, width], or the channels last.",
    )


def refuse_unusable(images: Images, port: Shaped, channels: int) -> None:
    """Raise EpimcError for means and scales that the input cannot have."""
    for name, numbers, neutral in (("mean", images.mean, 0), ("scale", images.scale, 1)):
        assert isinstance(numbers, tuple)
        if len(numbers) not in (1, channels):
            raise error(
                f"The {name} of images has {len(numbers)} numbers, and input '{port.name}' has "
                f"{channels} channel."
            )
        if port.dtype.kind != "f" and set(numbers) != {neutral}:
            raise error(
                f"Input '{port.name}' takes integers, to which pixels go as they are.",
                hint=f"Leave out the {name}.",
            )


def both(size: Size) -> tuple[int, int] | None:
    """Height and width of what is cut out."""
    return (size, size) if isinstance(size, int) else size


def shown(sides: tuple[int, int]) -> str:
    """Height and width in a message."""
    return f"{sides[0]}x{sides[1]}"
