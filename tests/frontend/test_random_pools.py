"""Pools of any attributes compute what onnxruntime computes, on the chip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx.helper import make_node

from epimc.frontend import ImportedModel

Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]

# Since when the attributes of both pools are there: dilations, and a mode that rounds up.
DILATED = {"MaxPool": 10, "AveragePool": 19}
ROUNDED = 10


@st.composite
def pools(draw: st.DrawFn) -> tuple[str, tuple[int, ...], int, dict[str, Any]]:
    """(Operator, shape of a sample, opset, attributes) of a pool that fits into its map."""
    kind = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    opset = draw(st.sampled_from([7, 10, 13, 20, 26]))
    axes = draw(st.integers(1, 2))

    def numbers(low: int, high: int, count: int = axes) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    kernel, strides, size = numbers(1, 4), numbers(1, 4), numbers(1, 9)
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    dilations = numbers(1, 3) if opset >= DILATED[kind] and draw(st.booleans()) else [1] * axes
    if max(dilations) > 1:
        attributes["dilations"] = dilations
    if opset >= ROUNDED and draw(st.booleans()):
        attributes["ceil_mode"] = 1
    if kind == "AveragePool" and draw(st.booleans()):
        attributes["count_include_pad"] = 1
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    modes = ["pads", "pads", "VALID"] + ["SAME_UPPER", "SAME_LOWER"] * (max(dilations) == 1)
    mode = draw(st.sampled_from(modes))
    pads = [0] * 2 * axes
    if mode == "pads":
        pads = [draw(st.integers(0, k - 1)) for k in kernel * 2]
        attributes["pads"] = pads
    else:
        attributes["auto_pad"] = mode
    if mode.startswith("SAME"):
        # onnxruntime fails where strides pass over rows that no window needs.
        assume(all(s <= k for s, k in zip(strides, kernel, strict=True)))
    else:
        padded = [n + pads[k] + pads[k + axes] for k, n in enumerate(size)]
        assume(all(n >= extent for n, extent in zip(padded, extents, strict=True)))
        # A window that steps over the map has no maximum and no mean.
        assume(all(n >= step for n, step in zip(size, dilations, strict=True)))
    if "ceil_mode" in attributes:
        # Padding as large as the kernel is the host's.
        assume(max(dilations) == 1)
        assume(all(p + s <= k for p, s, k in zip(pads[axes:], strides, kernel, strict=True)))
    return kind, (2, *size), opset, attributes


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(pool=pools())
def test_any_attributes(
    build: Build, compare: Compare, pool: tuple[str, tuple[int, ...], int, dict[str, Any]]
) -> None:
    kind, shape, opset, attributes = pool
    node = make_node(kind, ["x"], ["y"], "pool", **attributes)
    imported = compare(build([node], {"x": ("N", *shape)}, opset=opset))
    kinds = [op.name for op in imported.module.ops if op.name != "nn.rearrange"]
    assert kinds == ["nn.max_pool" if kind == "MaxPool" else "nn.average_pool"]
