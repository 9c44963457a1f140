"""Random graphs of what the chip computes and what the host runs, of all types and ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto as T
from onnx import helper

from epimc.frontend import import_proto
from tests.helpers.strategies.mixed_graph import REALS, Dims, Kind, MixedGraph, drawn

Draw = st.DrawFn
Step: TypeAlias = Callable[[Draw, MixedGraph, str], object]
"""Appends some nodes that read a tensor."""

Made = tuple[onnx.ModelProto, dict[str, NDArray[Any]]]

MOST_ELEMENTS = 600
"""Of a tensor without its samples."""

WIDTHS = st.integers(1, 6)


@st.composite
def mixed(draw: Draw) -> Made:
    """A model, and samples for its inputs."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    net = MixedGraph(random, draw(st.sampled_from([13, 18, 18, 21])))
    batch = draw(st.sampled_from(BATCHES))
    net.input(T.FLOAT, (batch or 1, *draw(INNER)))
    for element in draw(st.lists(st.sampled_from(ELEMENTS), max_size=2)):
        dims: Dims = draw(INNER)
        net.input(element, dims if batch is None else (batch, *dims))
    for _ in range(draw(st.integers(4, 12))):
        grow(draw, net)
    model = net.model(outputs_of(draw, net))
    count = draw(st.integers(2, 4))
    ports = import_proto(model, "model").inputs
    return model, {port.name: drawn(random, port.port_type, count) for port in ports}


BATCHES: tuple[int | str | None, ...] = ("N", "N", "N", 1, 3, None)
"""What is on axis 0 of all inputs; None: samples in the first input, in others whatever it is."""

ELEMENTS = (T.FLOAT, T.FLOAT, T.FLOAT16, T.DOUBLE, T.INT64, T.UINT8, T.BOOL, T.STRING)

INNER = st.one_of(
    st.tuples(WIDTHS),
    st.tuples(WIDTHS, WIDTHS),
    st.tuples(WIDTHS, st.integers(1, 7), st.integers(1, 6)),
    st.tuples(st.just(2), st.integers(1, 3), st.integers(1, 3), WIDTHS),
)


def grow(draw: Draw, net: MixedGraph) -> None:
    """One step more, of any tensor that it can read; most often of one of the newest."""
    ready = [(names, step) for fits, step in STEPS if (names := net.which(fits))]
    names, step = draw(st.sampled_from(ready))
    step(draw, net, draw(st.sampled_from([*names[-4:], *names[-1:] * 4])))


def outputs_of(draw: Draw, net: MixedGraph) -> list[str]:
    """All that nobody reads, and some of all other tensors, inputs perhaps among them."""
    read = {name for node in net.nodes for name in node.input}
    ends = [name for name in net.kinds if name not in read and name not in net.inputs]
    others = draw(st.lists(st.sampled_from(list(net.kinds)), max_size=2))
    return list(dict.fromkeys([*ends, *others])) or net.inputs[:1]


# --- on the chip, where it can be -----------------------------------------------------------------


def function(draw: Draw, net: MixedGraph, x: str) -> str:
    """A function of each element."""
    return net.node(draw(st.sampled_from(FUNCTIONS)), [x], net.kinds[x])


FUNCTIONS = (
    "Relu",
    "Sigmoid",
    "Tanh",
    "Abs",
    "Neg",
    "LeakyRelu",
    "Softplus",
    "Erf",
    "Sin",
    "Round",
)


def with_constant(draw: Draw, net: MixedGraph, x: str) -> str:
    """Arithmetic with one number, or one for each index of the last axis."""
    last = net.kinds[x].inner[-1:]
    shape = draw(st.sampled_from([(), last]))
    constant = net.constant(net.random.uniform(0.25, 1.5, shape))
    return net.node(
        draw(st.sampled_from(["Add", "Sub", "Mul", "Max"])), [x, constant], net.kinds[x]
    )


def product(draw: Draw, net: MixedGraph, x: str) -> str:
    """A matrix behind the last axis."""
    *head, last = net.kinds[x].inner
    width = draw(WIDTHS)
    dims = (*(net.kinds[x].dims or ())[:1], *head, width)
    return net.node("MatMul", [x, net.constant(net.normal(last, width))], Kind(T.FLOAT, dims))


def conv(draw: Draw, net: MixedGraph, x: str) -> str:
    """A convolution that keeps the sizes of a map of one spatial axis or two."""
    channels, *sizes = net.kinds[x].inner
    count, kernel = draw(WIDTHS), draw(st.sampled_from([1, 3]))
    weights = net.random.standard_normal((count, channels, *[kernel] * len(sizes)))
    constant = net.constant(weights / np.sqrt(channels * kernel ** len(sizes)))
    dims = (*(net.kinds[x].dims or ())[:1], count, *sizes)
    pads = [kernel // 2] * 2 * len(sizes)
    return net.node("Conv", [x, constant], Kind(T.FLOAT, dims), pads=pads)


def together(draw: Draw, net: MixedGraph, x: str) -> str:
    """Arithmetic with a tensor of the same type, perhaps itself."""
    kind = net.kinds[x]
    other = draw(st.sampled_from(net.which(lambda k: k == kind)))
    return net.node(draw(st.sampled_from(["Add", "Sub", "Min", "Max"])), [x, other], kind)


def turned(draw: Draw, net: MixedGraph, x: str) -> str:
    """The axes behind axis 0 in another order."""
    kind = net.kinds[x]
    order = draw(st.permutations(range(len(kind.inner))))
    dims = (*(kind.dims or ())[:1], *(kind.inner[axis] for axis in order))
    perm = [0, *(axis + 1 for axis in order)]
    return net.node("Transpose", [x], Kind(kind.element, dims), perm=perm)


def flat(draw: Draw, net: MixedGraph, x: str) -> str:
    """All axes behind axis 0 joined."""
    kind = net.kinds[x]
    dims = (*(kind.dims or ())[:1], int(np.prod(kind.inner)))
    return net.node("Reshape", [x, net.constant([0, -1], T.INT64)], Kind(kind.element, dims))


def joined(draw: Draw, net: MixedGraph, x: str) -> str:
    """A tensor and one of the same type along the last axis."""
    kind = net.kinds[x]
    other = draw(st.sampled_from(net.which(lambda k: k == kind)))
    dims = (*(kind.dims or ())[:-1], 2 * kind.inner[-1])
    if np.prod(kind.inner) * 2 > MOST_ELEMENTS:
        return x
    return net.node("Concat", [x, other], Kind(kind.element, dims), axis=-1)


# --- on the host ----------------------------------------------------------------------------------


def normalized(draw: Draw, net: MixedGraph, x: str) -> str:
    """Something of all elements along the last axis."""
    kind = net.kinds[x]
    operator = draw(st.sampled_from(["Softmax", "LogSoftmax", "Hardmax", "LayerNormalization"]))
    if operator == "LayerNormalization" and net.opset < 17:
        operator = "Softmax"
    if operator == "LayerNormalization":
        scale = net.constant(net.random.uniform(0.5, 1.5, kind.inner[-1:]))
        return net.node(operator, [x, scale], kind)
    return net.node(operator, [x], kind)


def best(draw: Draw, net: MixedGraph, x: str) -> str:
    """The largest elements with their indices, or the index of the largest one."""
    kind = net.kinds[x]
    *head, last = kind.dims or ()
    if draw(st.booleans()):
        return net.node("ArgMax", [x], Kind(T.INT64, tuple(head)), axis=-1, keepdims=0)
    count = draw(st.integers(1, int(last)))
    few = Kind(T.FLOAT, (*head, count))
    return net.node("TopK", [x, net.constant([count], T.INT64)], few, few.like(T.INT64))


def compared(draw: Draw, net: MixedGraph, x: str) -> str:
    """Truths, and perhaps what is chosen by them."""
    kind = net.kinds[x]
    truth = net.node("Greater", [x, net.constant(0.25)], kind.like(T.BOOL))
    if draw(st.booleans()):
        return truth
    return net.node("Where", [truth, x, net.constant(-1)], kind)


def gated(draw: Draw, net: MixedGraph, x: str) -> str:
    """What a matrix makes of shares of a whole, where these are large enough."""
    kind = net.kinds[x]
    share = net.node("Softmax", [x], kind)
    truth = net.node("Greater", [share, net.constant(0.2)], kind.like(T.BOOL))
    weights = net.constant(net.normal(kind.inner[-1], kind.inner[-1]))
    result = net.node("MatMul", [share, weights], kind)
    return net.node("Where", [truth, result, net.constant(-1)], kind)


def cast(draw: Draw, net: MixedGraph, x: str) -> str:
    """Another type of elements, from which there may be a way back."""
    element = draw(st.sampled_from([*REALS, T.INT64, T.BOOL, T.STRING]))
    return net.node("Cast", [x], net.kinds[x].like(element), to=element)


def back(draw: Draw, net: MixedGraph, x: str) -> str:
    """float32 again, which the chip may read."""
    return net.node("Cast", [x], net.kinds[x].like(T.FLOAT), to=T.FLOAT)


def looked_up(draw: Draw, net: MixedGraph, x: str) -> str:
    """Rows of a table."""
    kind, rows, width = net.kinds[x], draw(st.integers(2, 9)), draw(WIDTHS)
    places = net.node("Mod", [x, net.constant(rows, T.INT64)], kind)
    result = Kind(T.FLOAT, (*(kind.dims or ()), width))
    return net.node("Gather", [net.constant(net.normal(rows, width)), places], result)


def in_parts(draw: Draw, net: MixedGraph, x: str) -> str:
    """Two results of different sizes along the last axis."""
    kind = net.kinds[x]
    *head, last = kind.dims or ()
    first = draw(st.integers(1, max(1, int(last) - 1)))
    if first == last:
        return x
    pieces = [Kind(kind.element, (*head, size)) for size in (first, int(last) - first)]
    sizes = net.constant([first, int(last) - first], T.INT64)
    return net.node("Split", [x, sizes], *pieces, axis=-1)


def seen_by_graphs(net: MixedGraph, x: str) -> str:
    """A tensor that graphs in nodes may read.

    onnxruntime takes casts out that undo one another, and forgets that such graphs read the last.
    """
    maker = next((node for node in net.nodes if x in node.output), None)
    is_cast = maker is not None and maker.op_type == "Cast"
    return net.node("Identity", [x], net.kinds[x]) if is_cast else x


def either(draw: Draw, net: MixedGraph, x: str) -> str:
    """One of two functions, as the data want it."""
    kind, x = net.kinds[x], seen_by_graphs(net, x)
    most = net.node("ReduceMax", [x], Kind(T.FLOAT, ()), keepdims=0)
    truth = net.node("Greater", [most, net.constant(1)], Kind(T.BOOL, ()))
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(operator, [x], [f"{truth}.{name}"])],
            name,
            [],
            [kind.info(f"{truth}.{name}")],
        )
        for name, operator in (("then", "Neg"), ("else", "Tanh"))
    }
    return net.node("If", [truth], kind, **branches)


def repeated(draw: Draw, net: MixedGraph, x: str) -> str:
    """A few turns of a loop."""
    kind, x = net.kinds[x], seen_by_graphs(net, x)
    prefix = f"{x}.{len(net.nodes)}"
    k, go, on, a, b = (f"{prefix}.{name}" for name in ("k", "go", "on", "a", "b"))
    body = helper.make_graph(
        [helper.make_node("Identity", [go], [on]), helper.make_node("Add", [a, x], [b])],
        "body",
        [
            helper.make_tensor_value_info(k, T.INT64, []),
            helper.make_tensor_value_info(go, T.BOOL, []),
            kind.info(a),
        ],
        [helper.make_tensor_value_info(on, T.BOOL, []), kind.info(b)],
    )
    count = net.constant(draw(st.integers(1, 3)), T.INT64)
    return net.node("Loop", [count, "", x], kind, body=body)


def squared(draw: Draw, net: MixedGraph, x: str) -> str:
    """A product of two tensors that are both computed."""
    kind = net.kinds[x]
    rank = len(kind.dims or ())
    order = [*range(rank - 2), rank - 1, rank - 2]
    *head, rows, _ = kind.dims or ()
    back = net.node("Transpose", [x], Kind(T.FLOAT, None), perm=order)
    result = Kind(T.FLOAT, (*head, rows, rows))
    del net.kinds[back]
    product = net.node("MatMul", [x, back], result)
    return net.node("Tanh", [product], result)


def over_samples(draw: Draw, net: MixedGraph, x: str) -> str:
    """What is made of axis 0, which then counts no samples: all of it is one."""
    kind = net.kinds[x]
    dims = kind.dims or ()
    if draw(st.booleans()):
        axes = net.constant([0], T.INT64)
        return net.node("ReduceSum", [x, axes], Kind(T.FLOAT, dims[1:]), keepdims=0)
    order = [*range(1, len(dims)), 0]
    return net.node("Transpose", [x], Kind(T.FLOAT, (*dims[1:], dims[0])), perm=order)


def scaled(draw: Draw, net: MixedGraph, x: str) -> str:
    """Arithmetic in another type of reals."""
    kind = net.kinds[x]
    return net.node("Mul", [x, net.constant(0.75, kind.element)], kind)


def listed(draw: Draw, net: MixedGraph, x: str) -> str:
    """A sequence of two tensors."""
    kind = net.kinds[x]
    other = draw(st.sampled_from(net.which(lambda k: k == kind)))
    return net.node("SequenceConstruct", [x, other], Kind(kind.element, kind.dims, is_list=True))


def entry(draw: Draw, net: MixedGraph, x: str) -> str:
    """A tensor of a sequence."""
    kind = net.kinds[x]
    place = net.constant(draw(st.integers(0, 1)), T.INT64)
    return net.node("SequenceAt", [x, place], Kind(kind.element, kind.dims))


def places(draw: Draw, net: MixedGraph, x: str) -> str:
    """As many indices as there are elements of a kind."""
    positive = net.node("Relu", [x], net.kinds[x])
    return net.node("NonZero", [positive], Kind(T.INT64, None))


def sizes(draw: Draw, net: MixedGraph, x: str) -> str:
    """A single number of rank 0, which depends on the data's size."""
    return net.node("Size", [x], Kind(T.INT64, ()))


# --- all steps ------------------------------------------------------------------------------------


def is_real(kind: Kind) -> bool:
    """Of float32, with something behind axis 0."""
    return kind.is_real and bool(kind.inner)


def is_map(kind: Kind) -> bool:
    """What a convolution slides over."""
    return is_real(kind) and 2 <= len(kind.inner) <= 3


def is_number(kind: Kind) -> bool:
    """Integers of any shape."""
    return kind.element == T.INT64 and kind.dims is not None and not kind.is_list


def is_other(kind: Kind) -> bool:
    """A tensor of another type than float32."""
    return kind.element != T.FLOAT and kind.dims is not None and not kind.is_list


def is_any(kind: Kind) -> bool:
    """A tensor."""
    return kind.dims is not None and not kind.is_list


def has_axes(kind: Kind) -> bool:
    """A tensor of any type with something behind axis 0."""
    return is_any(kind) and bool(kind.dims) and bool(kind.inner)


STEPS: tuple[tuple[Callable[[Kind], bool], Step], ...] = (
    (is_real, function),
    (is_real, function),
    (is_real, with_constant),
    (is_real, product),
    (is_real, product),
    (is_map, conv),
    (is_map, conv),
    (is_real, together),
    (has_axes, turned),
    (has_axes, flat),
    (has_axes, joined),
    (is_real, normalized),
    (is_real, best),
    (is_real, compared),
    (is_real, gated),
    (is_map, squared),
    (lambda kind: is_real(kind) and kind.dims is not None and kind.dims[0] != "N", over_samples),
    (lambda kind: is_any(kind) and kind.element in REALS[1:], scaled),
    (is_real, cast),
    (is_other, back),
    (is_other, back),
    (is_number, looked_up),
    (has_axes, in_parts),
    (is_real, either),
    (is_real, repeated),
    (is_any, listed),
    (lambda kind: kind.is_list, entry),
    (is_real, places),
    (is_any, sizes),
)
