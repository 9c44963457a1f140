"""Which nodes run where, and why, as users read it."""

from __future__ import annotations

import pytest

from epimc.support.origins import elided
from epimc.support.placement import CHEAPER_SO, PlacedNode, Placement, general, reasons

pytestmark = pytest.mark.smoke


def hosted(op: str, name: str, reason: str, macs: int = 0) -> PlacedNode:
    """A node that the host runs."""
    return PlacedNode(op, name, False, reason, macs, 4)


CHIP = PlacedNode("Conv", "c", True, "", 10, 4)


def test_a_model_on_the_chip_has_no_reasons() -> None:
    assert reasons([]) == reasons([CHIP]) == []


def test_one_node_is_named() -> None:
    assert reasons([CHIP, hosted("LRN", "n", "no form")]) == ["node 'n' (LRN): no form"]


def test_nodes_are_counted_by_reasons() -> None:
    nodes = [
        hosted("Add", "a", CHEAPER_SO),
        hosted("LRN", "n1", "its input 'x' of shape [3, 4] is no map"),
        hosted("Conv", "c1", "windows along 1 axis", 7),
        hosted("LRN", "n2", "its input 'y' of shape [5] is no map"),
        hosted("Mul", "m", CHEAPER_SO),
        hosted("Add", "b", CHEAPER_SO),
    ]
    assert reasons(nodes) == [
        "node 'c1' (Conv): windows along 1 axis",
        "LRN: 2 nodes, first 'n1': its input 'x' of shape [3, 4] is no map",
        f"Add (2), Mul: 3 nodes, first 'a': {CHEAPER_SO}",
    ]


def test_what_is_many_is_cut() -> None:
    nodes = [hosted(f"Op{k}", f"n{k}", "no form") for k in range(7)]
    assert reasons(nodes) == [
        "Op0, Op1, Op2, Op3, Op4, 2 others: 7 nodes, first 'n0': no form",
    ]
    letters = "abcdefghijklm"
    lines = reasons([hosted("Op", "n", f"no form {letter}") for letter in letters])
    assert lines[:11] == [f"node 'n' (Op): no form {letter}" for letter in letters[:11]]
    assert lines[11:] == ["2 other reasons: 2 nodes"]
    assert len(reasons([hosted("Op", "n", f"no form {letter}") for letter in letters[:12]])) == 12


def test_long_names_keep_their_ends() -> None:
    long = "model/" + "layer/" * 20 + "Conv_7"
    (line,) = reasons([hosted("Conv", long, f"its input '{long}' is used")])
    name = "model/layer/laye…/layer/layer/layer/layer/Conv_7"
    assert line == f"node '{name}' (Conv): its input '{name}' is used"
    assert len(name) == 48
    assert elided(name) == name


def test_reasons_of_one_kind() -> None:
    assert general("its input 'a' of shape [1, 2] takes 30 bytes") == general(
        "its input 'long name' of shape [3] takes 4000 bytes"
    )
    assert general("mode = linear is not supported") != general("mode = cubic is not supported")


def test_shares() -> None:
    placement = Placement.of([CHIP, hosted("Conv", "d", "no form", 30)], 16)
    assert str(placement) == (
        "on the chip: 25.0 % of 40 MACs, 1 of 2 nodes, 50.0 % of the bytes; "
        "16 bytes cross to the host and back"
    )
