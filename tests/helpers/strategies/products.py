"""Random networks of products: with rows, with columns, for each head, and what stands between."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.helpers.strategies.growing_graph import Draw, GrowingGraph
from tests.helpers.strategies.moves import Step


def of_rows(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A matrix behind the last axis, perhaps with a bias."""
    *head, last = net.shapes[x]
    width = draw(st.integers(1, 6))
    shape = (*head, width)
    y = net.node("MatMul", [x, net.constant(net.normal(width, last).T)], shape)
    if draw(st.booleans()):
        y = net.node("Add", [y, net.constant(net.normal(width))], shape)
    return y


def of_columns(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A matrix before the last axis but one."""
    *head, rows, columns = net.shapes[x]
    count = draw(st.integers(1, 6))
    shape = (*head, count, columns)
    return net.node("MatMul", [net.constant(net.normal(count, rows)), x], shape)


def of_heads(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A matrix for each index of the first axis of three, the axes in any order afterwards."""
    if len(net.shapes[x]) < 3:
        return x
    first, middle, last = net.shapes[x]
    width = draw(st.integers(1, 4))
    weights = net.constant(net.normal(width, last)[None].repeat(first, 0).transpose(0, 2, 1))
    order = draw(st.permutations(range(3)))
    sizes = (first, middle, width)
    result = "".join("abe"[k] for k in order)
    shape = sizes[order[0]], sizes[order[1]], sizes[order[2]]
    return net.node("Einsum", [x, weights], shape, equation=f"nabd,ade->n{result}")


def turned(draw: Draw, net: GrowingGraph, x: str) -> str:
    """The axes in another order."""
    shape = net.shapes[x]
    order = draw(st.permutations(range(len(shape))))
    perm = [0, *(axis + 1 for axis in order)]
    return net.node("Transpose", [x], tuple(shape[axis] for axis in order), perm=perm)


def cut(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Two axes joined, or one cut in two."""
    shape = net.shapes[x]
    after: tuple[int, ...]
    if len(shape) == 3:
        after = draw(st.sampled_from([(shape[0] * shape[1], shape[2]), (shape[0], -1)]))
    else:
        parts = [n for n in (1, 2, 3) if shape[0] % n == 0]
        inner = draw(st.sampled_from(parts))
        after = (shape[0] // inner, inner, *shape[1:])
    known = tuple(size if size > 0 else shape[1] * shape[2] for size in after)
    return net.node("Reshape", [x, net.store(np.array([0, *after]))], known)


def relu(draw: Draw, net: GrowingGraph, x: str) -> str:
    """The positive ones."""
    return net.node("Relu", [x], net.shapes[x])


def with_another(draw: Draw, net: GrowingGraph, x: str) -> str:
    """The sum with a value of its shape."""
    return net.node("Add", [x, draw(st.sampled_from(net.alike(x)))], net.shapes[x])


STEPS: tuple[Step, ...] = (
    of_rows,
    of_rows,
    of_columns,
    of_heads,
    turned,
    cut,
    relu,
    with_another,
)


@st.composite
def products(draw: Draw) -> tuple[onnx.ModelProto, dict[str, NDArray[np.float32]]]:
    """A model, and samples for its input."""
    batches: list[int | str] = ["N", 1, 3]
    net = GrowingGraph(
        np.random.default_rng(draw(st.integers(0, 2**32 - 1))),
        draw(st.sampled_from(batches)),
        draw(st.sampled_from([13, 20])),
    )
    rank = draw(st.integers(2, 3))
    x = net.input(tuple(draw(st.integers(2, 6)) for _ in range(rank)))
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=2, max_size=6)):
        x = step(draw, net, x)
    x = of_rows(draw, net, x)
    outputs = [x, *draw(st.lists(st.sampled_from([*net.shapes][1:]), max_size=1))]
    return net.model(list(dict.fromkeys(outputs))), net.samples(draw(st.integers(2, 4)))
