"""Resizing to the nearest, and blocks of places as channels, compute what onnxruntime does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.helper import make_node

from epimc.frontend import ImportedModel
from epimc.support.diagnostics import EpimcError
from tests.helpers.ports import shapes
from tests.helpers.strict import import_strictly

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]


def floats(*numbers: float) -> Array:
    """A constant of float32 numbers."""
    return np.array(numbers, np.float32)


@pytest.mark.parametrize(
    "coordinates", ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"]
)
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize(
    "scales", [(1, 1, 2, 2), (1, 1, 3, 0.5), (1, 1, 1.7, 0.6), (1, 2, 1, 4), (1, 5, 1.3, 1.1)]
)
def test_scales(
    build: Build, compare: Compare, coordinates: str, rounding: str, scales: tuple[float, ...]
) -> None:
    modes = {"coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
    node = make_node("Resize", ["x", "", "s"], ["y"], mode="nearest", **modes)
    compare(build([node], {"x": (1, 3, 9, 8)}, {"s": floats(*scales)}))


@pytest.mark.parametrize("opset", [11, 13, 18, 26])
@pytest.mark.parametrize("sizes", [(1, 3, 18, 16), (1, 3, 5, 21)])
def test_sizes(build: Build, compare: Compare, sizes: tuple[int, ...], opset: int) -> None:
    # Opset 11 wants the inputs that are not used.
    constants = {"s": np.array(sizes), "roi": floats(), "none": floats()}
    inputs = ["x", "roi", "none", "s"] if opset == 11 else ["x", "", "", "s"]
    node = make_node("Resize", inputs, ["y"], mode="nearest")
    imported = compare(build([node], {"x": (1, 3, 9, 8)}, constants, opset=opset))
    assert [op.name for op in imported.module.ops] == ["nn.select"]


def test_axes(build: Build, compare: Compare) -> None:
    node = make_node("Resize", ["x", "", "s"], ["y"], mode="nearest", axes=[3, 2])
    imported = compare(build([node], {"x": (1, 3, 9, 8)}, {"s": floats(2, 3)}, opset=18))
    assert shapes(imported.outputs) == [("y", (3, 27, 16))]


@pytest.mark.parametrize(("op_type", "opset"), [("Upsample", 7), ("Upsample", 9), ("Resize", 10)])
def test_old_operators(build: Build, compare: Compare, op_type: str, opset: int) -> None:
    scales = (1.0, 1.0, 2.0, 3.0)
    attributes: dict[str, Any] = {"scales": scales} if opset == 7 else {}
    constants = {} if opset == 7 else {"s": floats(*scales)}
    node = make_node(op_type, ["x", *constants], ["y"], mode="nearest", **attributes)
    compare(build([node], {"x": (1, 3, 9, 8)}, constants, opset=opset))


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("opset", [8, 13, 26])
def test_blocks(build: Build, compare: Compare, size: int, opset: int) -> None:
    nodes = [
        make_node("SpaceToDepth", ["x"], ["d"], blocksize=size),
        make_node("Relu", ["d"], ["y"]),
    ]
    imported = compare(build(nodes, {"x": ("N", 2, 6, 12)}, opset=opset))
    assert shapes(imported.outputs) == [("y", (2 * size**2, 6 // size, 12 // size))]


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_depth_to_space(build: Build, compare: Compare, size: int, mode: str) -> None:
    nodes = [
        make_node("DepthToSpace", ["x"], ["d"], blocksize=size, mode=mode),
        make_node("Relu", ["d"], ["y"]),
    ]
    imported = compare(build(nodes, {"x": ("N", 36, 2, 3)}))
    assert shapes(imported.outputs) == [("y", (36 // size**2, 2 * size, 3 * size))]


@pytest.mark.parametrize(
    ("reason", "attributes", "opset"),
    [
        ("mode = linear is not supported", {"mode": "linear"}, 13),
        (
            "coordinate_transformation_mode = tf_crop_and_resize is not supported",
            {"coordinate_transformation_mode": "tf_crop_and_resize"}, 13,
        ),
        ("keeping the aspect ratio is not supported",
         {"keep_aspect_ratio_policy": "not_larger"}, 18),
    ],
)  # fmt: skip
def test_what_is_not_supported(
    build: Build, compare: Compare, reason: str, attributes: dict[str, Any], opset: int
) -> None:
    node = make_node("Resize", ["x", "", "", "s"], ["y"], name="n", **attributes)
    constants = {"s": np.array([1, 3, 18, 16])}
    with pytest.raises(EpimcError, match=rf"node 'n' \(Resize\): {reason}\."):
        compare(build([node], {"x": (1, 3, 9, 8)}, constants, opset=opset))


def test_a_rounding_that_is_unknown(build: Build) -> None:
    node = make_node("Resize", ["x", "", "s"], ["y"], "r", nearest_mode="simple")
    with pytest.raises(EpimcError) as caught:
        import_strictly(build([node], {"x": (1, 3, 9, 8)}, {"s": floats(1, 1, 2, 2)}), "model")
    assert "node 'r' (Resize): nearest_mode = simple is not supported." in str(caught.value)


@pytest.mark.parametrize("opset", [9, 10, 11, 13])
@pytest.mark.parametrize("sizes", [(10, 20), (9, 30)])
def test_sizes_are_products_in_float32(
    build: Build, compare: Compare, sizes: tuple[int, int], opset: int
) -> None:
    op_type = "Upsample" if opset == 9 else "Resize"
    names = ["x", "s"] if opset < 11 else ["x", "r", "s"]
    constants = {"r": floats(), "s": floats(1, 1, 1.3, 1.1)}
    inputs = {name: constants[name] for name in names[1:]}
    node = make_node(op_type, names, ["y"], mode="nearest")
    imported = compare(build([node], {"x": (1, 3, *sizes)}, inputs, opset=opset))
    shape = imported.outputs[0].shape
    assert shape is not None
    assert shape[1] == (13 if sizes[0] == 10 else 11)
