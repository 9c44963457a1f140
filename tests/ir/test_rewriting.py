"""The driver of rewrite patterns: what it shows them, what it does with what they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from epimc.ir.core.module import Module
from epimc.ir.core.op import Op
from epimc.ir.dialects import elementwise, moves, nn
from epimc.ir.rewriting import (
    MOST_REWRITES,
    Pattern,
    Replacement,
    Rewriter,
    apply,
    changed,
    rewritten,
)
from epimc.ir.text.parser import parse_module
from epimc.ir.text.printer import print_module
from epimc.ir.verifier import verify


def module_of(body: str) -> Module:
    """A module at level nn with one input, a vector of four."""
    return parse_module(
        f'epimc.module 2 "m" level nn {{\n  input "x" %x : tensor<4xf32>\n{body}}}\n'
    )


def lines(module: Module) -> list[str]:
    """The ops and outputs of a valid module, as text."""
    verify(module)
    every = (line.strip() for line in print_module(module).splitlines())
    return [line for line in every if line.startswith(("%", "output"))]


RELUS = """
  %a = nn.relu(%x) : tensor<4xf32> loc(Relu "a")
  %b = nn.relu(%a) : tensor<4xf32> loc(Relu "b")
  %c = nn.relu(%b) : tensor<4xf32> loc(Relu "c")
  output "y" = %c
"""


class TwoRelus(Pattern[nn.Relu]):
    """A relu of a relu is a relu."""

    name = "two-relus"
    ops = (nn.Relu,)

    def rewrite(self, op: nn.Relu, rewriter: Rewriter) -> Replacement | None:
        """The second, over what the first reads."""
        before = rewriter.producer(op.x)
        if not isinstance(before, nn.Relu):
            return None
        location = before.location + op.location
        return Replacement(changed(op, operands=[before.x], location=location))


class ReluIsClip(Pattern[nn.Relu]):
    """A relu is a clip."""

    name = "relu-is-clip"
    ops = (nn.Relu,)

    def rewrite(self, op: nn.Relu, rewriter: Rewriter) -> Replacement | None:
        """From 0 on."""
        return Replacement(elementwise.Clip([op.x], op.output, op.location, {"low": 0.0}))


class ClipIsRelu(Pattern[elementwise.Clip]):
    """A clip is a relu: not true, but the other way round."""

    name = "clip-is-relu"
    ops = (elementwise.Clip,)

    def rewrite(self, op: elementwise.Clip, rewriter: Rewriter) -> Replacement | None:
        """Of the same operand."""
        return Replacement(nn.Relu([op.x], op.output, op.location))


def test_one_walk_reaches_the_fixpoint() -> None:
    module = module_of(RELUS)
    result = rewritten(module, [TwoRelus()], disposable=(nn.Relu,))
    assert lines(result) == [
        '%c = nn.relu(%x) : tensor<4xf32> loc(Relu "a", Relu "b", Relu "c")',
        'output "y" = %c',
    ]
    assert lines(module) == lines(module_of(RELUS)), "the source is left as it was"


def test_once_means_once_an_op() -> None:
    result = rewritten(module_of(RELUS), [ReluIsClip(), ClipIsRelu()], once=True)
    assert [op.name for op in result.ops] == ["nn.clip"] * 3


def test_the_first_pattern_that_matches_applies() -> None:
    rewrites: list[tuple[str, str]] = []

    def observe(pattern: Pattern[Any], op: Op) -> None:
        rewrites.append((pattern.name, op.output.name))

    result = rewritten(module_of(RELUS), [TwoRelus(), ReluIsClip()], observer=observe)
    # By the time %b is seen, %a is a clip.
    assert [op.name for op in result.ops] == ["nn.clip"] * 3
    assert rewrites == [("relu-is-clip", name) for name in "abc"]


def test_only_what_nobody_reads_is_disposed_of() -> None:
    body = (
        "  %a = nn.relu(%x) : tensor<4xf32>\n"
        "  %b = nn.relu(%a) : tensor<4xf32>\n"
        "  %c = nn.clip(%x) {low = 0.0} : tensor<4xf32>\n"
        '  output "y" = %x\n'
    )
    module = module_of(body)
    assert [op.output.name for op in rewritten(module, []).ops] == ["a", "b", "c"]
    kept = rewritten(module, [], disposable=(nn.Relu,))
    assert [op.output.name for op in kept.ops] == ["c"]


def test_patterns_that_undo_each_other_are_a_defect() -> None:
    with pytest.raises(AssertionError, match=r"'clip-is-relu' rewrites nn.clip '%a' without end"):
        rewritten(module_of(RELUS), [ReluIsClip(), ClipIsRelu()])
    assert MOST_REWRITES % 2 == 0, "the even ones are those of a clip"


class SumOfSums(Pattern[nn.Add]):
    """(x + x) + (x + x) is 4 * x: the first add takes what follows."""

    name = "sum-of-sums"
    ops = (nn.Add,)

    def rewrite(self, op: nn.Add, rewriter: Rewriter) -> Replacement | None:
        """One op for both."""
        readers = rewriter.readers[op.output]
        if len(readers) != 2 or readers[0] is not readers[1]:
            return None
        behind = readers[0]
        if not isinstance(behind, nn.Add):
            return None
        attributes = {"scale": rewriter.store("four", FOUR)}
        return Replacement(
            nn.Affine([op.a], behind.output, op.location, attributes), (behind.output,)
        )


FOUR = np.full(4, 4.0)


def test_what_is_absorbed_goes() -> None:
    module = module_of(
        '  %a = nn.add(%x, %x) : tensor<4xf32> loc(Add "a")\n'
        "  %r = nn.relu(%x) : tensor<4xf32>\n"
        '  %b = nn.add(%a, %a) : tensor<4xf32> loc(Add "b")\n'
        '  output "y" = %b\n  output "r" = %r\n'
    )
    result = apply(SumOfSums(), module)
    assert lines(result) == [
        '%b = nn.affine(%x) {scale = @four} : tensor<4xf32> loc(Add "a")',
        "%r = nn.relu(%x) : tensor<4xf32>",
        'output "y" = %b',
        'output "r" = %r',
    ]


@dataclass(frozen=True)
class Watch(Pattern[Op]):
    """Changes nothing; notes who reads each value, and whether it is a port."""

    seen: dict[str, tuple[list[str], bool, bool]]

    name: ClassVar[str] = "watch"
    ops: ClassVar[tuple[type[Op], ...]] = (Op,)

    def rewrite(self, op: Op, rewriter: Rewriter) -> Replacement | None:
        """None."""
        for value in (*op.operands, op.output):
            readers = [reader.output.name if reader else "-" for reader in rewriter.readers[value]]
            self.seen[value.name] = readers, rewriter.is_output(value), rewriter.is_port(value)
        return None


class DropRelu(Pattern[nn.Relu]):
    """A relu is its operand: true of nothing but what is positive already."""

    name = "drop-relu"
    ops = (nn.Relu,)

    def rewrite(self, op: nn.Relu, rewriter: Rewriter) -> Replacement | None:
        """The operand."""
        return Replacement(op.x)


def test_readers_follow_what_stands_for_a_value() -> None:
    module = module_of(
        "  %a = nn.relu(%x) : tensor<4xf32>\n"
        "  %b = nn.clip(%a) {low = 0.0} : tensor<4xf32>\n"
        "  %c = nn.add(%b, %b) : tensor<4xf32>\n"
        '  output "y" = %c\n  output "z" = %b\n'
    )
    watch = Watch({})
    result = rewritten(module, [DropRelu(), watch])
    assert lines(result)[0].startswith("%b = nn.clip(%x)")
    assert watch.seen == {
        "x": (["b"], False, True),
        "b": (["c", "c", "-"], True, True),
        "c": (["-"], True, True),
    }


class ConstantBehindRelu(Pattern[nn.Relu]):
    """Every relu reads the same new op; not true, but short."""

    name = "constant-behind-relu"
    ops = (nn.Relu,)

    def rewrite(self, op: nn.Relu, rewriter: Rewriter) -> Replacement | None:
        """A relu of the constant."""
        if isinstance(rewriter.producer(op.x), moves.Constant):
            return None

        def make() -> moves.Constant:
            result = rewriter.stand_in(op.output.name, op.output.type)
            return moves.Constant([], result, op.location, {"value": rewriter.store("c", FOUR)})

        return Replacement(changed(op, operands=[rewriter.shared("constant", make)]))


def test_shared_ops_are_made_once_and_stand_ins_get_free_names() -> None:
    names = [op.output.name for op in apply(ConstantBehindRelu(), module_of(RELUS)).ops]
    assert names == ["a.before", "a", "b", "c"], "the name is taken"

    class Drop(ConstantBehindRelu):
        """As before, but the relu is the constant."""

        def rewrite(self, op: nn.Relu, rewriter: Rewriter) -> Replacement | None:
            """The constant itself."""
            new = super().rewrite(op, rewriter)
            return (
                Replacement(new.result.operands[0]) if new and isinstance(new.result, Op) else new
            )

    assert lines(rewritten(module_of(RELUS), [Drop()], disposable=(nn.Relu,))) == [
        '%a = nn.constant() {value = @c} : tensor<4xf32> loc(Relu "a")',
        'output "y" = %a',
    ]
