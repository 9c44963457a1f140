"""Products with constants, of matrices and along any axes, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx.helper import make_node

from epimc.frontend import ImportedModel
from epimc.ir.passes.fold import Fold
from epimc.ir.passes.layout import Layout
from epimc.ir.text.printer import print_module
from epimc.support.diagnostics import EpimcError
from tests.helpers.ports import shapes
from tests.helpers.strict import import_strictly

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]

OPSETS = (7, 8, 11, 13, 26)
LETTERS = ascii_lowercase[:20]
MANY = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def floats(*shape: int) -> Array:
    """Random float32 numbers."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def ops_of(imported: ImportedModel) -> list[str]:
    """The names of the imported ops."""
    return [op.name for op in imported.module.ops]


def layers_of(imported: ImportedModel) -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape of the weights of each layer."""
    module = imported.module
    refs = [(op.name, op.attributes["weight"]) for op in module.ops if "weight" in op.attributes]
    return [(name, module.tensors[ref.name].type.shape) for name, ref in refs]


def refusal(model: onnx.ModelProto) -> str:
    """The message with which a model is refused."""
    with pytest.raises(EpimcError) as caught:
        import_strictly(model, "m")
    return str(caught.value)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("offset", [(), (1,), (5,), (1, 1), (1, 5)])
def test_gemm(
    build: Build, compare: Compare, opset: int, trans_b: int, offset: tuple[int, ...]
) -> None:
    constants = {"w": floats(5, 7) if trans_b else floats(7, 5), "c": floats(*offset)}
    node = make_node("Gemm", ["x", *constants], ["y"], transB=trans_b, alpha=0.5, beta=-1.5)
    imported = compare(build([node], {"x": ("N", 7)}, constants, opset=opset))
    assert ops_of(imported) == ["nn.gemm"]
    assert shapes(imported.outputs) == [("y", (5,))]


@pytest.mark.parametrize("opset", [11, 13, 26])
def test_gemm_without_an_offset(build: Build, compare: Compare, opset: int) -> None:
    model = build(
        [make_node("Gemm", ["x", "w"], ["y"])], {"x": ("N", 7)}, {"w": floats(7, 5)}, opset=opset
    )
    (op,) = compare(model).module.ops
    assert [key for key, _ in op.tensor_refs()] == ["weight"]


@pytest.mark.parametrize("opset", OPSETS)
def test_matmul(build: Build, compare: Compare, opset: int) -> None:
    model = build(
        [make_node("MatMul", ["x", "w"], ["y"])], {"x": ("N", 7)}, {"w": floats(7, 5)}, opset=opset
    )
    assert ops_of(compare(model)) == ["nn.gemm"]


@pytest.mark.parametrize(
    ("shape", "weights", "layer"),
    [
        ((1, 7), (7, 5), ("nn.gemm", (5, 7))),
        ((4, 7), (7, 5), ("nn.conv", (5, 7, 1, 1))),
        ((3, 4, 7), (7, 5), ("nn.conv", (5, 7, 1, 1))),
        ((3, 4, 7), (1, 1, 7, 5), ("nn.conv", (5, 7, 1, 1))),
        ((3, 4, 7), (3, 7, 5), ("nn.conv", (15, 7, 1, 1))),
        ((3, 4, 7), (7,), ("nn.conv", (1, 7, 1, 1))),
    ],
)
def test_matmul_over_leading_axes(
    build: Build,
    compare: Compare,
    shape: tuple[int, ...],
    weights: tuple[int, ...],
    layer: tuple[str, tuple[int, ...]],
) -> None:
    node = make_node("MatMul", ["x", "w"], ["y"])
    imported = compare(build([node], {"x": ("N", *shape)}, {"w": floats(*weights)}))
    assert layers_of(imported) == [layer]
    fixed = build([node], {"x": (2, *shape)}, {"w": floats(*weights)})
    assert layers_of(compare(fixed)) == [layer]


@pytest.mark.parametrize(
    ("shape", "weights", "layer"),
    [
        ((3, 7), (5, 3), ("nn.conv", (5, 3, 1, 1))),
        ((3, 7), (1, 5, 3), ("nn.conv", (5, 3, 1, 1))),
        ((2, 3, 7), (5, 3), ("nn.conv", (5, 3, 1, 1))),
        ((2, 3, 7), (2, 5, 3), ("nn.conv", (10, 3, 1, 1))),
        ((3, 7), (3,), ("nn.conv", (1, 3, 1, 1))),
    ],
)
def test_matmul_with_the_constant_on_the_left(
    build: Build,
    compare: Compare,
    shape: tuple[int, ...],
    weights: tuple[int, ...],
    layer: tuple[str, tuple[int, ...]],
) -> None:
    node = make_node("MatMul", ["w", "x"], ["y"])
    imported = compare(build([node], {"x": ("N", *shape)}, {"w": floats(*weights)}))
    assert layers_of(imported) == [layer]


@pytest.mark.parametrize("batch", [1, "N"])
def test_matrices_that_are_one_sample(build: Build, compare: Compare, batch: Any) -> None:
    """A batch of 1 that is folded into positions, on which either factor may be constant."""
    nodes = [
        make_node("Reshape", ["x", "rows"], ["r"]),
        make_node("Gemm", ["r", "w", "c"], ["g"], transB=1, beta=0.5),
        make_node("Gemm", ["v", "g", "d"], ["h"], alpha=2.0, transA=1),
        make_node("Reshape", ["h", "again"], ["y"]),
    ]
    constants = {
        "rows": np.array([-1, 7]),
        "again": np.array([1, 3, 2, 5]),
        "w": floats(5, 7),
        "c": floats(5),
        "v": floats(8, 6),
        "d": floats(6, 1),
    }
    imported = compare(build(nodes, {"x": (batch, 2, 4, 7)}, constants))
    assert layers_of(imported) == [("nn.conv", (5, 7, 1, 1)), ("nn.conv", (6, 8, 1, 1))]


@pytest.mark.parametrize("beta", [1.0, -0.5])
@pytest.mark.parametrize("width", [5, 1])
def test_gemm_with_an_offset_that_is_computed(
    build: Build, compare: Compare, beta: float, width: int
) -> None:
    node = make_node("Gemm", ["x", "w", "z"], ["y"], beta=beta)
    imported = compare(build([node], {"x": ("N", 7), "z": ("N", width)}, {"w": floats(7, 5)}))
    names = ops_of(imported)
    assert (names[0], names[-1], "nn.affine" in names) == ("nn.gemm", "nn.add", beta != 1)


@pytest.mark.parametrize(
    ("equation", "shape", "weights", "layers"),
    [
        ("bij,jk->bik", (4, 7), (7, 5), [("nn.conv", (5, 7, 1, 1))]),
        (" bchw , oc -> bohw ", (3, 4, 5), (6, 3), [("nn.conv", (6, 3, 1, 1))]),
        ("bchw,oc", (3, 4, 5), (6, 3), [("nn.conv", (6, 3, 1, 1))]),
        ("b...j,jk->b...k", (3, 4, 7), (7, 2), [("nn.conv", (2, 7, 1, 1))]),
        ("...j,jk", (3, 4, 7), (7, 2), [("nn.conv", (2, 7, 1, 1))]),
        ("bchw,chwo->bo", (3, 4, 5), (3, 4, 5, 6), [("nn.gemm", (6, 60))]),
        ("bhqd,hde->bqhe", (2, 3, 4), (2, 4, 5), [("nn.conv", (10, 4, 1, 1))]),
        ("bhqd,hde->bqe", (2, 3, 4), (2, 4, 5), [("nn.conv", (5, 8, 1, 1))]),
        ("bqd,dhe->bhqe", (5, 6), (6, 2, 3), [("nn.conv", (6, 6, 1, 1))]),
        ("bq,oh->bqo", (5,), (3, 4), [("nn.conv", (3, 1, 1, 1))]),
        ("Bc,c->Bc", (5,), (5,), []),
        ("bcl,cc->bcl", (5, 2), (5, 5), []),
    ],
)
def test_einsum(
    build: Build,
    compare: Compare,
    equation: str,
    shape: tuple[int, ...],
    weights: tuple[int, ...],
    layers: list[tuple[str, tuple[int, ...]]],
) -> None:
    node = make_node("Einsum", ["x", "w"], ["y"], equation=equation)
    imported = compare(build([node], {"x": ("N", *shape)}, {"w": floats(*weights)}))
    assert layers_of(imported) == layers
    assert layers or "nn.affine" in ops_of(imported)


@pytest.mark.parametrize("equation", ["nchw->nhwc", "n... c -> nc...", "cbna", "nbcd->bncd"])
def test_einsum_of_one_factor(build: Build, compare: Compare, equation: str) -> None:
    """A transposition; without a result, to the order of the letters."""
    nodes = [
        make_node("Einsum", ["x"], ["e"], equation=equation),
        make_node("Reshape", ["e", "flat"], ["y"]),
    ]
    imported = compare(build(nodes, {"x": (1, 3, 4, 5)}, {"flat": np.array([1, -1])}))
    assert {*ops_of(imported)} == {"nn.rearrange"}


def test_einsum_with_the_constant_first(build: Build, compare: Compare) -> None:
    node = make_node("Einsum", ["w", "x"], ["y"], equation="ij,bjk->bik")
    imported = compare(build([node], {"x": ("N", 4, 7)}, {"w": floats(5, 4)}))
    assert layers_of(imported) == [("nn.conv", (5, 4, 1, 1))]


@st.composite
def products(draw: st.DrawFn) -> tuple[str, dict[str, int], bool]:
    """An equation of an activation and a constant, the sizes of its axes, and whether x is last."""
    kinds = draw(st.lists(st.sampled_from("gkpm"), min_size=1, max_size=5))
    kinds = kinds if "p" in kinds or "k" in kinds or "g" in kinds else [*kinds, "k"]
    keys = dict(zip(ascii_lowercase, kinds, strict=False))
    sizes = {key: draw(st.integers(1, 4)) for key in keys}
    terms = [
        "".join(draw(st.permutations([key for key, kind in keys.items() if kind in wanted])))
        for wanted in ("gkp", "gkm", "gpm")
    ]
    x, constant, result = f"z{terms[0]}", terms[1], f"z{terms[2]}"
    last = draw(st.booleans())
    factors = f"{constant},{x}" if last else f"{x},{constant}"
    return f"{factors}->{result}", sizes, last


@MANY
@given(products())
def test_random_products(
    build: Build, compare: Compare, case: tuple[str, dict[str, int], bool]
) -> None:
    """Any product of one to three axes a sample computes what onnxruntime computes."""
    equation, sizes, last = case
    factors, _ = equation.split("->")
    x, constant = factors.split(",")[:: -1 if last else 1]
    shape = tuple(sizes[key] for key in x[1:])
    names = ["w", "x"] if last else ["x", "w"]
    nodes = [make_node("Einsum", names, ["e"], equation=equation)]
    constants = {"w": floats(*(sizes[key] for key in constant))}
    # Back to a vector, whatever the product's rank is.
    constants["flat"] = np.array([1, -1])
    nodes.append(make_node("Reshape", ["e", "flat"], ["y"]))
    if not 1 <= len(shape) <= 3:
        constants["cut"] = np.array([1, *shape])
        nodes.insert(0, make_node("Reshape", ["x", "cut"], ["c"]))
        nodes[1].input[names.index("x")] = "c"
        shape = (int(np.prod(shape)),)
    compare(build(nodes, {"x": ("N", *shape)}, constants))


@st.composite
def matrices(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    """Shapes of an activation and of a constant that fit, and whether the constant is first."""
    leading = draw(st.lists(st.integers(1, 3), max_size=1))
    rows, inner, columns = (draw(st.integers(1, 5)) for _ in range(3))
    first = draw(st.booleans())
    shared = [draw(st.sampled_from([1, size])) for size in leading]
    depth = draw(st.integers(0, len(leading)))
    batched = [1] * draw(st.integers(0, 1)) if depth == len(leading) else []
    own = [*batched, *shared[len(shared) - depth :]]
    vector = draw(st.booleans()) and not own
    if first:
        constant = [inner] if vector else [*own, rows, inner]
        return (*leading, inner, columns), tuple(constant), True
    constant = [inner] if vector else [*own, inner, columns]
    return (*leading, rows, inner), tuple(constant), False


@MANY
@given(matrices())
def test_random_matrices(
    build: Build, compare: Compare, case: tuple[tuple[int, ...], tuple[int, ...], bool]
) -> None:
    shape, weights, first = case
    names = ["w", "x"] if first else ["x", "w"]
    nodes = [make_node("MatMul", names, ["m"]), make_node("Reshape", ["m", "flat"], ["y"])]
    constants = {"w": floats(*weights), "flat": np.array([1, -1])}
    imported = compare(build(nodes, {"x": ("N", *shape)}, constants))
    assert len(layers_of(imported)) == 1


# --- what is moved -------------------------------------------------------------------------------


def rearranged_behind_passes(imported: ImportedModel) -> list[str]:
    """The ops behind `layout` and `fold`."""
    return [op.name for op in Fold().run(Layout().run(imported.module)).ops]


def perceptron(head: Sequence[int]) -> tuple[list[onnx.NodeProto], Mapping[str, Array]]:
    """Two layers over the last of some axes, with biases."""
    nodes = [
        make_node("MatMul", ["x", "w"], ["m"]),
        make_node("Add", ["m", "c"], ["a"]),
        make_node("Relu", ["a"], ["r"]),
        make_node("MatMul", ["r", "v"], ["p"]),
        make_node("Add", ["d", "p"], ["y"]),
    ]
    return nodes, {"w": floats(6, 5), "c": floats(5), "v": floats(5, 7), "d": floats(7)}


@pytest.mark.parametrize("head", [(8,), (8, 3)])
def test_nothing_is_moved_between_two_layers(
    build: Build, compare: Compare, head: tuple[int, ...]
) -> None:
    """Biases become those of the convolutions, and rearrangements meet."""
    nodes, constants = perceptron(head)
    imported = compare(build(nodes, {"x": ("N", *head, 6)}, constants))
    ops = ["nn.rearrange", "nn.conv", "nn.relu", "nn.conv", "nn.rearrange"]
    assert rearranged_behind_passes(imported) == ops


IMPORTED: dict[str, tuple[onnx.NodeProto, tuple[int, ...], tuple[int, ...], str]] = {
    "a product of rows": (
        make_node("MatMul", ["x", "w"], ["y"], name="n"),
        (4, 7),
        (7, 5),
        """
        %y.operand = nn.rearrange(%x) {perm = [1, 0], shape = [7, 1, 4]}
        %y.product = nn.conv(%y.operand) {weight = @w}
        %y = nn.rearrange(%y.product) {perm = [1, 2, 0], shape = [4, 5]}
        """,
    ),
    "a product of columns": (
        make_node("MatMul", ["w", "x"], ["y"], name="n"),
        (2, 3, 7),
        (5, 3),
        """
        %y.operand = nn.rearrange(%x) {perm = [1, 0, 2], shape = [3, 2, 7]}
        %y.product = nn.conv(%y.operand) {weight = @w}
        %y = nn.rearrange(%y.product) {perm = [1, 0, 2], shape = [2, 5, 7]}
        """,
    ),
    "a matrix for each head": (
        make_node("MatMul", ["x", "w"], ["y"], name="n"),
        (2, 3, 4),
        (2, 4, 5),
        """
        %y.operand = nn.rearrange(%x) {perm = [0, 2, 1], shape = [8, 1, 3]}
        %y.product = nn.conv(%y.operand) {weight = @w, groups = 2}
        %y.step1 = nn.rearrange(%y.product) {perm = [0, 1, 2], shape = [2, 5, 3]}
        %y = nn.rearrange(%y.step1) {perm = [0, 2, 1], shape = [2, 3, 5]}
        """,
    ),
    "channels": (
        make_node("Einsum", ["x", "w"], ["y"], name="n", equation="bchw,oc->bohw"),
        (3, 4, 5),
        (6, 3),
        """
        %y = nn.conv(%x) {weight = @w}
        """,
    ),
    "everything": (
        make_node("Einsum", ["x", "w"], ["y"], name="n", equation="bchw,ohcw->bo"),
        (3, 4, 5),
        (6, 4, 3, 5),
        """
        %y.operand = nn.rearrange(%x) {perm = [0, 1, 2], shape = [60]}
        %y = nn.gemm(%y.operand) {weight = @w}
        """,
    ),
}


@pytest.mark.parametrize("name", IMPORTED)
def test_what_a_product_becomes(build: Build, compare: Compare, name: str) -> None:
    node, shape, weights, expected = IMPORTED[name]
    imported = compare(build([node], {"x": ("N", *shape)}, {"w": floats(*weights)}))
    lines = [line.split(" : ")[0].strip() for line in print_module(imported.module).splitlines()]
    assert [line for line in lines if line.startswith("%")] == expected.split("\n        ")[1:-1]


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        (
            [make_node("MatMul", ["w", "x"], ["y"], name="n")],
            {"w": floats(4, 2)},
        ),
        (
            [make_node("Gemm", ["x", "w"], ["y"], name="n", transA=1)],
            {"w": floats(2, 4)},
        ),
        (
            [make_node("MatMul", ["x", "w"], ["y"], name="n")],
            {"w": floats(3, 2, 5)},
        ),
        (
            [make_node("Einsum", ["x", "w"], ["y"], name="n", equation="ab,bc->ca")],
            {"w": floats(2, 5)},
        ),
        (
            [make_node("Einsum", ["x"], ["y"], name="n", equation="ab->ba")],
            {},
        ),
    ],
)
def test_a_product_over_samples_has_all_of_them_as_one(
    build: Build, compare_whole: Compare, nodes: list[onnx.NodeProto], constants: dict[str, Array]
) -> None:
    compare_whole(build(nodes, {"x": (2, 2)}, constants))


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "constants", "reason"),
    [
        (
            [make_node("MatMul", ["x", "x"], ["y"], name="n")],
            {},
            "(MatMul): a product of two activations is not supported.",
        ),
        (
            [make_node("Einsum", ["x", "w"], ["y"], name="n", equation="ab,cd->ac")],
            {"w": floats(2, 5)},
            "(Einsum): a sum over an axis of the activation alone is not supported.",
        ),
        (
            [make_node("Einsum", ["x", "w", "w"], ["y"], name="n", equation="ab,bc,bd->acd")],
            {"w": floats(2, 5)},
            "(Einsum): a product of more than two factors is not supported.",
        ),
        (
            [make_node("Einsum", ["x"], ["y"], name="n", equation="ab->a")],
            {},
            "(Einsum): sums and diagonals of one factor are not supported.",
        ),
        (
            [make_node("Gemm", ["x", "w", "c"], ["y"], name="n")],
            {"w": floats(2, 5), "c": floats(2, 1)},
            "(Gemm): a constant that differs from sample to sample is not supported.",
        ),
    ],
)
def test_what_is_not_supported(
    build: Build, nodes: list[onnx.NodeProto], constants: dict[str, Array], reason: str
) -> None:
    """Of two samples, which no product may take together."""
    assert f"node 'n' {reason}" in refusal(build(nodes, {"x": (2, 2)}, constants))


def test_a_product_of_endless_axes(build: Build) -> None:
    nodes = [
        make_node("Reshape", ["x", "long"], ["t"]),
        make_node("Einsum", ["t", "w"], ["y"], name="n", equation=f"{LETTERS}z,zy->{LETTERS}y"),
    ]
    constants = {"long": np.array([1] * len(LETTERS) + [2]), "w": floats(2, 5)}
    reason = "a product over more than 16 axes is not supported"
    assert f"node 'n' (Einsum): {reason}." in refusal(build(nodes, {"x": (1, 2)}, constants))
