"""ONNX nodes in words, and as plain data."""

from __future__ import annotations

import pytest

from epimc.support.origins import Nodes, call_of, place_of, printable

pytestmark = pytest.mark.smoke

NODES = (("Conv", "layer(1)/conv"), ("com.x.Relu", "it's, b"))


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ((), ""),
        (NODES[:1], "node 'layer(1)/conv' (Conv)"),
        (NODES, "node 'layer(1)/conv' (Conv), node 'it's, b' (com.x.Relu)"),
        ((("Add", "a\nb"),), "node 'a b' (Add)"),
        ((("Add", ""),), "a node (Add)"),
    ],
)
def test_places(nodes: Nodes, words: str) -> None:
    assert place_of(nodes) == words


def test_calls() -> None:
    assert call_of("Softmax", "layer(1)/softmax\r") == "Softmax 'layer(1)/softmax '"


def test_only_what_would_break_a_line_is_replaced() -> None:
    assert printable("ü 畳\u2028\x1b[0m\t") == "ü 畳  [0m "
