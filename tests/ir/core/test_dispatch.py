"""Functions by class of op: the nearest class has the word, and what is missing is named."""

from __future__ import annotations

import pytest

from epimc.ir.core.dispatch import OpTable
from epimc.ir.core.op import Op, Value
from epimc.ir.core.traits import Clips, Moves
from epimc.ir.core.types import Location, TensorType
from epimc.ir.dialects import elementwise, nn
from epimc.support.diagnostics import EpimcError

X = Value("x", TensorType((4,)))


def op_of(kind: type[Op]) -> Op:
    """An op of one vector."""
    return kind([X], Value("y", TensorType((4,))), Location((("Node", "n"),)))


def table() -> OpTable[[str], str]:
    """Words for relu, and for all that clips."""
    words: OpTable[[str], str] = OpTable("word")

    @words(nn.Relu)
    def relu(op: nn.Relu, suffix: str) -> str:
        return f"relu{suffix}"

    @words(Clips)
    def clip(op: Clips, suffix: str) -> str:
        return f"{op.bounds}{suffix}"

    return words


def test_the_nearest_class_has_the_word() -> None:
    words = table()
    assert words.apply(op_of(nn.Relu), "!") == "relu!"
    assert words.apply(op_of(elementwise.Clip), "?") == "(-inf, inf)?"


def test_a_class_that_derives_from_another_is_covered() -> None:
    words = table()

    class Twice(nn.Relu):
        """A relu by another name."""

    assert words.covers(Twice)
    assert words.apply(op_of(Twice), "") == "relu"
    assert not words.covers(nn.Add)
    assert not words.covers(Moves)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(EpimcError) as caught:
        table().apply(op_of(elementwise.Sub), "")
    assert str(caught.value) == (
        "error: Op nn.sub has no word.\n"
        "  --> node 'n' (Node)\n"
        "  hint: Register one for the class Sub."
    )


def test_a_second_function_is_refused() -> None:
    words = table()
    with pytest.raises(ValueError, match="Relu has a second word"):
        words(nn.Relu)(lambda op, suffix: suffix)
