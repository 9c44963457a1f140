"""Random transposed convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from hypothesis import strategies as st

Transposed: TypeAlias = "tuple[tuple[int, ...], tuple[int, ...], Mapping[str, Any]]"
"""(Shape of a sample, shape of the weights, attributes)."""


@st.composite
def geometries(draw: st.DrawFn) -> Transposed:
    """Transposed convolutions that onnxruntime agrees to, over one axis or two."""
    axes = draw(st.integers(1, 2))

    def numbers(low: int, high: int, count: int = axes) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    groups, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    size, kernel, strides = numbers(1, 6), numbers(1, 5), numbers(1, 4)
    dilations = numbers(1, 3)
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": groups}
    # onnxruntime refuses more.
    extra = [draw(st.integers(0, stride - 1)) for stride in strides]
    attributes["output_padding"] = extra
    full = [
        (n - 1) * s + (k - 1) * d + 1 + e
        for n, s, k, d, e in zip(size, strides, kernel, dilations, extra, strict=True)
    ]
    kind = draw(st.sampled_from(["pads", "SAME_UPPER", "SAME_LOWER", "VALID", "output_shape"]))
    if kind == "pads":
        pads = [draw(st.integers(0, most - 1)) for most in full]
        behind = [
            draw(st.integers(0, most - 1 - first)) for most, first in zip(full, pads, strict=True)
        ]
        attributes["pads"] = pads + behind
    elif kind == "output_shape":
        # So much larger than what the kernel reaches is a result that onnxruntime agrees to.
        largest = [
            most - more + stride - 1
            for most, more, stride in zip(full, extra, strides, strict=True)
        ]
        attributes["output_shape"] = [draw(st.integers(1, most)) for most in largest]
    else:
        attributes["auto_pad"] = kind
    channels = groups * draw(st.integers(1, 2))
    return (channels, *size), (channels, outputs, *kernel), attributes
