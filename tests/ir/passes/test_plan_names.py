"""Names that users know of layers still mean these layers behind all passes at level nn."""

from __future__ import annotations

from pathlib import Path

import pytest

from epimc.backends.crossbar.target.schema import load_target
from epimc.compiler.passes import PASSES
from epimc.ir.dialects import epi
from epimc.ir.epitome.layer_plans import PLANS
from epimc.ir.passes.epitomize import layers_of
from epimc.ir.passes.plan_names import Names, plans_for
from epimc.ir.pipeline import Runner, parse_pipeline
from epimc.ir.text.parser import parse_module
from epimc.support.diagnostics import EpimcError

HEAD = """
epimc.module 2 "net" level nn {
  tensor @w : tensor<4x3x3x3xf32> = normal(seed = 1, scale = 1.0)
  tensor @v : tensor<4x4x1x1xf32> = normal(seed = 3, scale = 1.0)
  tensor @s : tensor<4xf32> = normal(seed = 2, scale = 1.0)
  input "x" %x : tensor<3x8x6xf32>
"""

# A scale that stands behind a layer only when the transpositions around it have gone.
TURNED = (
    HEAD
    + """
  %a = nn.conv(%x) {weight = @w} : tensor<4x6x4xf32> loc(Conv "conv1")
  %t = nn.rearrange(%a) {perm = [0, 2, 1], shape = [4, 4, 6]} : tensor<4x4x6xf32> loc(T "turn")
  %b = nn.affine(%t) {scale = @s} : tensor<4x4x6xf32> loc(Mul "scale1")
  %u = nn.rearrange(%b) {perm = [0, 2, 1], shape = [4, 6, 4]} : tensor<4x6x4xf32> loc(T "back")
  %r = nn.relu(%u) : tensor<4x6x4xf32> loc(Relu "relu1")
  %c = nn.conv(%r) {weight = @v} : tensor<4x6x4xf32> loc(Conv "conv2")
  output "y" = %c
}
"""
)

# Nodes that are called as other nodes or as the values of others.
CONFUSED = (
    HEAD
    + """
  %a = nn.conv(%x) {weight = @w} : tensor<4x6x4xf32> loc(Conv "c")
  %b = nn.affine(%a) {scale = @s} : tensor<4x6x4xf32> loc(Mul "scale")
  %d = nn.conv(%b) {weight = @v} : tensor<4x6x4xf32> loc(Conv "shared")
  %e = nn.conv(%d) {weight = @v} : tensor<4x6x4xf32> loc(Conv "shared")
  %g = nn.affine(%e) {scale = @s} : tensor<4x6x4xf32> loc(Mul "shared")
  %f = nn.conv(%g) {weight = @v} : tensor<4x6x4xf32> loc(Conv "r")
  %r = nn.relu(%f) : tensor<4x6x4xf32> loc(Relu "last")
  output "y" = %r
}
"""
)


# A product between moves, one of which also stands for the node before it.
BETWEEN = (
    HEAD
    + """
  %a = nn.conv(%x) {weight = @w} : tensor<4x6x4xf32> loc(Conv "conv1")
  %m = nn.rearrange(%a) {perm = [0, 2, 1], shape = [4, 4, 6]} : tensor<4x4x6xf32> loc(T "t", P "p")
  %n = nn.conv(%m) {weight = @v} : tensor<4x4x6xf32> loc(P "p")
  %o = nn.rearrange(%n) {perm = [0, 2, 1], shape = [4, 6, 4]} : tensor<4x6x4xf32> loc(P "p")
  %q = nn.affine(%o) {scale = @s} : tensor<4x6x4xf32> loc(Mul "scale1")
  output "y" = %q
}
"""
)


def plan_file(tmp_path: Path, *names: str) -> str:
    """A plan file that gives small epitomes to the named layers alone."""
    path = tmp_path / "plans.toml"
    text = "".join(f'[[layer]]\nname = "{name}"\npolicy = "uniform:27x2"\n' for name in names)
    path.write_text(text, encoding="utf-8")
    return str(path)


def epitomized(text: str, epitome: str) -> list[tuple[int, ...]]:
    """The shapes of the epitomes that a plan file gives to the layers of a module."""
    module = parse_module(text)
    module.attributes["target"] = load_target("tiny").to_dict()
    module.attributes["array_rows"] = load_target("tiny").crossbar.rows
    module.attributes[PLANS] = plans_for(epitome, module).dump()
    passes = parse_pipeline("layout,fold,equalize,epitomize{policy=plans}", PASSES)
    result = Runner(PASSES).run(module, passes)
    return [
        result.tensors[op.epitome.name].type.shape for op in result.ops if isinstance(op, epi.Conv)
    ]


@pytest.mark.parametrize("name", ["conv1", "a", "scale1", "b"])
def test_a_layer_is_meant_by_all_that_becomes_a_part_of_it(name: str, tmp_path: Path) -> None:
    first, second = epitomized(TURNED, plan_file(tmp_path, name))
    assert first[0] == 2
    assert second == (4, 4, 1, 1)


@pytest.mark.parametrize("name", ["p", "n", "q", "scale1"])
def test_a_product_is_meant_though_moves_around_it_have_its_name(name: str, tmp_path: Path) -> None:
    first, second = epitomized(BETWEEN, plan_file(tmp_path, name))
    assert first == (4, 3, 3, 3)
    assert second[0] == 2


@pytest.mark.parametrize("name", ["conv2", "c"])
def test_the_other_layer(name: str, tmp_path: Path) -> None:
    first, second = epitomized(TURNED, plan_file(tmp_path, name))
    assert first == (4, 3, 3, 3)
    assert second[0] == 2


@pytest.mark.parametrize("name", ["relu1", "r", "turn"])
def test_what_is_no_part_of_a_layer_is_refused_by_the_pass(name: str, tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        epitomized(TURNED, plan_file(tmp_path, name))
    diagnostic = caught.value.diagnostic
    assert diagnostic.message == "The plans of the layers have 1 mistake."
    assert diagnostic.notes[0].startswith("There is no layer '")
    assert diagnostic.notes[1:] == ("in pass 'epitomize'",)


def test_what_the_model_does_not_know_is_refused_at_once(tmp_path: Path) -> None:
    path = plan_file(tmp_path, "conv3", "a", "conv1")
    with pytest.raises(EpimcError) as caught:
        plans_for(path, parse_module(TURNED))
    assert caught.value.diagnostic.message == f"Plan file '{path}' has 2 mistakes."
    assert caught.value.diagnostic.notes == (
        "There is no layer 'conv3'. Did you mean 'conv2'?",
        "'a' and 'conv1' are names of one layer.",
    )


def test_parts_of_one_layer_cannot_have_plans_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        epitomized(TURNED, plan_file(tmp_path, "conv1", "b"))
    assert caught.value.diagnostic.notes == (
        "'conv1' and 'scale1' are names of one layer.",
        "in pass 'epitomize'",
    )


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        # The value %a goes, and the node "c" is its alone.
        ("a", "c"),
        ("b", "c"),
        # Both layers would be found by their nodes; the value %e goes, too.
        ("d", "d"),
        ("e", "g"),
        ("g", "g"),
        # A node "r", and a value %r of another node: layers come first.
        ("r", "f"),
        ("last", "last"),
        ("nothing", "nothing"),
    ],
)
def test_names_stay_where_a_node_would_mean_more(name: str, kept: str) -> None:
    module = parse_module(CONFUSED)
    assert Names(module, layers_of(module, rows=1)).kept(name) == kept


def test_layers_of_nodes_with_one_name_are_told_apart_by_their_values(tmp_path: Path) -> None:
    shapes = epitomized(CONFUSED, plan_file(tmp_path, "e", "r"))
    assert [shape[0] for shape in shapes] == [4, 4, 2, 2]
