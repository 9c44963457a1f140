"""Dialects know their ops, and refuse what does not belong to them."""

from __future__ import annotations

import pytest

from epimc.ir.core.op import Op
from epimc.ir.core.registry import DIALECTS, OPS, Dialect, register
from epimc.ir.dialects import nn


def test_every_op_belongs_to_its_dialect_once() -> None:
    declared = [op for dialect in DIALECTS.values() for op in dialect.ops]
    assert {op.name: op for op in declared} == OPS
    assert len(declared) == len(OPS)


def test_a_dialect_is_registered_once() -> None:
    with pytest.raises(ValueError, match="dialect 'nn' is registered twice"):
        register(Dialect("nn", "another", ""))


def test_an_op_is_named_after_its_dialect() -> None:
    class Other(Op):
        """An op of another dialect."""

        name = "other.op"

    with pytest.raises(ValueError, match=r"op 'other\.op' does not belong to dialect 'nn'"):
        nn.DIALECT.op(Other)
    assert "other.op" not in OPS


def test_an_op_is_registered_once() -> None:
    with pytest.raises(ValueError, match=r"op 'nn\.relu' is registered twice"):
        nn.DIALECT.op(nn.Relu)
