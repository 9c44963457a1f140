"""Folders of images: which there are, in which order, and what becomes of a pixel."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import epimc
from epimc.samples.images import images_in
from epimc.samples.opening import open_source
from epimc.samples.sources import Source
from epimc.support.diagnostics import EpimcError
from epimc.support.sample_types import Shaped

Array = NDArray[Any]
Pixels = NDArray[np.uint8]
LIMIT = 2**24


def drawn(height: int, width: int, channels: int = 3, seed: int = 0) -> Pixels:
    """An image of noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def save(path: Path, pixels: Pixels) -> None:
    """Write an image without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze(axis=2) if pixels.shape[2] == 1 else pixels).save(path)


def opened(folder: Path, shape: tuple[int, ...], kind: str = "float", **stated: Any) -> Source:
    """The images of a folder as samples of an input `x`."""
    source = open_source(
        epimc.Images(folder, **stated), [Shaped("x", shape, f"tensor({kind})")], LIMIT
    )
    assert isinstance(source, Source)
    return source


def one(folder: Path, shape: tuple[int, ...], kind: str = "float", **stated: Any) -> Array:
    """The first sample."""
    sample: Array = opened(folder, shape, kind, **stated).read(0, 1)["x"][0]
    return sample


def test_images_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", "10.bmp", "9.jpeg"):
        save(tmp_path / name.lower(), drawn(4, 4))
    (tmp_path / "notes.txt").write_text("no image")
    save(tmp_path / ".hidden.png", drawn(4, 4))
    listed = images_in(tmp_path)
    assert listed.names == ("10.bmp", "9.jpeg", "a.png", "b.png")
    assert listed.classes is None


def test_subfolders_are_classes(tmp_path: Path) -> None:
    for name in ("dog/2.png", "cat/1.png", "cat/deep/0.png", "dog/1.png"):
        save(tmp_path / name, drawn(4, 4))
    (tmp_path / "empty").mkdir()
    source = opened(tmp_path, (3, 4, 4))
    assert source.names == ("cat/1.png", "cat/deep/0.png", "dog/1.png", "dog/2.png")
    assert source.labels is not None
    assert source.labels.tolist() == [0, 0, 1, 1]


def test_pixels_are_shifted_and_scaled(tmp_path: Path) -> None:
    pixels = drawn(5, 6)
    save(tmp_path / "a.png", pixels)
    plain = one(tmp_path, (3, 5, 6))
    np.testing.assert_array_equal(plain, pixels.transpose(2, 0, 1))
    assert plain.dtype == np.float32
    mean, scale = (120.5, 110.0, 100.25), (0.5, 1 / 3, 0.01)
    shift, factor = np.array(mean, np.float32), np.array(scale, np.float32)
    expected = (pixels.astype(np.float32) - shift) * factor
    last = one(tmp_path, (5, 6, 3), mean=mean, scale=scale)
    np.testing.assert_array_equal(last, expected)
    turned = one(tmp_path, (3, 5, 6), mean=mean, scale=scale, order="bgr")
    np.testing.assert_array_equal(turned, expected[:, :, ::-1].transpose(2, 0, 1))


def test_integers_are_the_pixels(tmp_path: Path) -> None:
    pixels = drawn(5, 6)
    save(tmp_path / "a.png", pixels)
    sample = one(tmp_path, (5, 6, 3), "uint8")
    np.testing.assert_array_equal(sample, pixels)
    assert sample.dtype == np.uint8
    with pytest.raises(EpimcError, match="takes integers, to which pixels go as they are"):
        one(tmp_path, (5, 6, 3), "uint8", mean=1)


def test_an_image_is_gray_where_the_input_has_one_channel(tmp_path: Path) -> None:
    gray = drawn(5, 6, 1)
    save(tmp_path / "a.png", gray)
    np.testing.assert_array_equal(one(tmp_path, (1, 5, 6)), gray.transpose(2, 0, 1))
    save(tmp_path / "a.png", np.repeat(gray, 3, axis=2))
    np.testing.assert_array_equal(one(tmp_path, (1, 5, 6)), gray.transpose(2, 0, 1))


def test_a_palette_and_a_mask_become_colours(tmp_path: Path) -> None:
    pixels = drawn(5, 6)
    image = Image.fromarray(pixels)
    image.putalpha(100)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(one(tmp_path, (3, 5, 6)), pixels.transpose(2, 0, 1))
    Image.new("P", (6, 5), 0).save(tmp_path / "a.png")
    assert one(tmp_path, (3, 5, 6)).shape == (3, 5, 6)


def test_an_image_is_resized_and_cut_in_the_middle(tmp_path: Path) -> None:
    pixels = drawn(20, 33)
    save(tmp_path / "a.png", pixels)
    # The shorter side becomes 10, the longer one 16; 8 x 8 of the middle are left.
    small = Image.fromarray(pixels).resize((16, 10), Image.Resampling.BILINEAR)
    expected = np.asarray(small)[1:9, 4:12].transpose(2, 0, 1)
    for stated in ({"size": 10}, {"size": (10, 16)}, {"size": 10, "crop": 8}):
        np.testing.assert_array_equal(one(tmp_path, (3, 8, 8), **stated), expected)
    squeezed = Image.fromarray(pixels).resize((8, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(one(tmp_path, (3, 8, 8)), np.asarray(squeezed).transpose(2, 0, 1))


def test_images_of_different_sizes_are_refused_unless_a_size_is_stated(tmp_path: Path) -> None:
    for name, sides in {"a.png": (9, 12), "b.png": (9, 12), "c.png": (12, 9)}.items():
        save(tmp_path / name, drawn(*sides))
    source = opened(tmp_path, (3, 6, 8))
    # One size, that is not the model's.
    assert source.read(0, 2)["x"].shape == (2, 3, 6, 8)
    with pytest.raises(EpimcError) as caught:
        source.read(1, 3)
    assert str(caught.value) == (
        "error: Images of different sizes can become samples in several ways.\n"
        f"  note: '{tmp_path / 'a.png'}' is 9x12, and '{tmp_path / 'c.png'}' is 12x9 (height x "
        "width).\n"
        "  hint: Say which: --size 6x8 takes all of each, out of shape; --size 6 cuts out the "
        "middle."
    )
    for stated in ({"size": (6, 8)}, {"size": 8}, {"crop": (6, 8)}):
        assert opened(tmp_path, (3, 6, 8), **stated).read(0, 3)["x"].shape == (3, 3, 6, 8)


def test_the_first_image_is_named_where_it_is_the_broken_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"none")
    save(tmp_path / "b.png", drawn(4, 4))
    with pytest.raises(EpimcError, match=r"Image '.*a\.png' cannot be read"):
        opened(tmp_path, (3, 4, 4)).read(1, 2)


def test_one_sample_at_once_may_have_an_axis_in_front(tmp_path: Path) -> None:
    pixels = drawn(5, 6)
    save(tmp_path / "a.png", pixels)
    port = Shaped("x", (1, 3, 5, 6), samples_first=False)
    source = open_source(epimc.Images(tmp_path), [port], LIMIT)
    assert isinstance(source, Source)
    samples = source.read(0, 1)["x"]
    np.testing.assert_array_equal(samples[0, 0], pixels.transpose(2, 0, 1))


def broken(path: Path) -> None:
    """An image that ends too early."""
    save(path, drawn(40, 40))
    path.write_bytes(path.read_bytes()[:1000])


def deep(path: Path) -> None:
    """An image of 16 bits."""
    Image.fromarray(np.zeros((5, 6), np.uint16)).save(path)


def no_image(path: Path) -> None:
    """A text."""
    path.write_text("no image")


def bomb(path: Path) -> None:
    """A header that states more pixels than there is memory for."""
    save(path, drawn(4, 4))
    data = bytearray(path.read_bytes())
    data[16:24] = (2**17).to_bytes(4) * 2
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "stated", "problem"),
    [
        (broken, {}, "Image '{path}' cannot be read."),
        (no_image, {}, "Image '{path}' cannot be read."),
        (bomb, {}, "Image '{path}' cannot be read."),
        (deep, {}, "Image '{path}' has more than 8 bits a channel."),
        (
            lambda path: save(path, drawn(3000, 3000, 1)),
            {},
            "Image '{path}' takes 36000000 bytes; the limit is 16777216.",
        ),
        (
            lambda path: save(path, drawn(9, 9)),
            {"size": 4},
            "Image '{path}' is resized to 4x4, less than the 5x6 that are cut out.",
        ),
        (
            lambda path: save(path, drawn(1, 32000)),
            {"size": 5000},
            "Image '{path}' takes 3200000000000 bytes; the limit is 16777216.",
        ),
    ],
)
def test_a_wrong_image_is_named(
    make: Callable[[Path], None], stated: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    save(tmp_path / "a.png", drawn(6, 7))
    path = tmp_path / "0.png"
    make(path)
    source = opened(tmp_path, (3, 5, 6), **stated)
    with pytest.raises(EpimcError) as caught:
        source.read(0, 2)
    assert caught.value.diagnostic.message == problem.format(path=path)


@pytest.mark.parametrize(
    ("shape", "stated", "problem"),
    [
        ((10,), {}, "Input 'x' takes no images: its shape is [10]."),
        ((5, 6, 7), {}, "Input 'x' takes no images: its shape is [5, 6, 7]."),
        (
            (3, 5, 6),
            {"layout": "nhwc"},
            "Input 'x' takes no images in the layout nhwc: its shape is [3, 5, 6].",
        ),
        ((3, 5, 6), {"crop": 5}, "Input 'x' takes images of 5x6, not of 5x5."),
        (
            (1, 5, 6),
            {"mean": (1, 2, 3)},
            "The mean of images has 3 numbers, and input 'x' has 1 channel.",
        ),
    ],
)
def test_a_model_that_takes_no_such_images(
    shape: tuple[int, ...], stated: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    save(tmp_path / "a.png", drawn(5, 6))
    with pytest.raises(EpimcError) as caught:
        opened(tmp_path, shape, **stated)
    assert caught.value.diagnostic.message == problem


@pytest.mark.parametrize(
    ("stated", "problem"),
    [
        ({"size": 0}, "The size of images cannot be 0."),
        ({"size": (1, 2, 3)}, "The size of images cannot be (1, 2, 3)."),
        ({"crop": True}, "The crop of images cannot be True."),
        ({"mean": (1, 2)}, "The mean of images is one number, or one for each of three channels."),
        ({"scale": "a"}, "The scale of images is one number, or one for each of three channels."),
        ({"layout": "chw"}, "The layout of images is nchw or nhwc, not 'chw'."),
        ({"order": "grb"}, "The order of channels is rgb or bgr, not 'grb'."),
    ],
)
def test_wrong_statements(stated: dict[str, Any], problem: str) -> None:
    with pytest.raises(EpimcError) as caught:
        epimc.Images("folder", **stated)
    assert caught.value.diagnostic.message == problem


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        images_in(tmp_path)
    assert caught.value.diagnostic.message == f"Folder '{tmp_path}' has no images."
    save(tmp_path / "a.png", drawn(4, 4))
    save(tmp_path / "b" / "c.png", drawn(4, 4))
    with pytest.raises(EpimcError) as caught:
        images_in(tmp_path)
    assert caught.value.diagnostic.notes == ("'a.png' and 'b/c.png' are two of them.",)
    with pytest.raises(EpimcError, match="cannot be read: No such file or directory"):
        images_in(tmp_path / "none")


def test_several_inputs(tmp_path: Path) -> None:
    with pytest.raises(EpimcError, match="is for models with one input; this one has 2"):
        open_source(epimc.Images(tmp_path), [Shaped("x", (3, 4, 4))] * 2, LIMIT)


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.png", drawn(5, 6))
    source = opened(tmp_path, (3, 5, 6))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(EpimcError) as caught:
        source.read(0, 1)
    hint = "Install the extra 'images': pip install 'epimc[images]'."
    assert caught.value.diagnostic.hint == hint


def test_what_tells_folders_apart(tmp_path: Path) -> None:
    save(tmp_path / "a.png", drawn(5, 6))
    before = opened(tmp_path, (3, 5, 6)).identity()
    assert opened(tmp_path, (3, 5, 6)).identity() == before
    assert opened(tmp_path / ".." / tmp_path.name, (3, 5, 6)).identity() == before
    assert opened(tmp_path, (3, 5, 6), mean=1).identity() != before
    save(tmp_path / "b.png", drawn(5, 6))
    assert opened(tmp_path, (3, 5, 6)).identity() != before
