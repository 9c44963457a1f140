"""Other interpreters register what ops mean to them beside the op's own meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from epimc.ir.core.levels import NN
from epimc.ir.core.module import Module
from epimc.ir.core.op import Lookup, Op
from epimc.ir.core.types import TensorType
from epimc.ir.dialects import moves, nn
from epimc.ir.interpreter import interpret
from epimc.ir.meanings import NUMPY, Meaning, implements, register, unregister
from epimc.ir.text.parser import parse_module
from epimc.support.diagnostics import EpimcError

MODULE = f"""
epimc.module 2 "sums" level {NN} {{
  input "x" %x : tensor<3xf32>
  tensor @c : tensor<3xf32> = [0.5, 0.25, -4]
  %c = nn.constant() {{value = @c}} : tensor<3xf32>
  %s = nn.sub(%x, %c) : tensor<3xf32>
  %t = nn.add(%s, %x) : tensor<3xf32>
  %y = nn.relu(%t) : tensor<3xf32>
  output "y" = %y
}}
"""


@pytest.fixture
def fractions() -> Iterator[str]:
    """The meaning `fractions`: sums without rounding."""

    def load(array: Any, kind: TensorType) -> Any:
        return np.vectorize(Fraction, otypes=[object])(array)

    meaning = register(Meaning("fractions", load))

    @implements(nn.Sum, "fractions")
    def add(op: nn.Sum, inputs: list[Any], tensors: Lookup) -> Any:
        return inputs[0] + op.sign * inputs[1]

    @implements(nn.Relu, "fractions")
    def relu(op: nn.Relu, inputs: list[Any], tensors: Lookup) -> Any:
        return inputs[0] * (inputs[0] > 0)

    @implements(moves.Constant, "fractions")
    def constant(op: moves.Constant, inputs: list[Any], tensors: Lookup) -> Any:
        return load(tensors(op.value), op.output.type)[None]

    yield meaning.name
    unregister(meaning.name)


def test_another_arithmetic(fractions: str) -> None:
    module = parse_module(MODULE)
    third = Fraction(1, 3)
    (got,) = interpret(module, {"x": np.array([[third, -third, 2]])}, meaning=fractions).values()
    assert got.tolist() == [[2 * third - Fraction(1, 2), 0, 8]]
    assert all(isinstance(number, Fraction) for number in got.ravel())


def test_the_ops_own_meaning_is_the_default(fractions: str) -> None:
    module, inputs = parse_module(MODULE), {"x": np.array([[1.0, -2.0, 0.5], [8.0, 0.0, -3.0]])}
    (own,) = interpret(module, inputs).values()
    (same,), (other,) = (
        interpret(module, inputs, meaning=meaning).values() for meaning in (NUMPY, fractions)
    )
    assert own.tolist() == same.tolist() == [[1.5, 0.0, 5.0], [15.5, 0.0, 0.0]]
    assert other.astype(float).tolist() == own.tolist()


def test_one_function_for_every_op() -> None:
    counted: Counter[str] = Counter()
    register(Meaning("counting"))
    try:

        @implements(Op, "counting")
        def count(op: Op, inputs: list[Any], tensors: Lookup) -> Any:
            counted[op.name] += 1
            return op.evaluate(inputs, tensors)

        interpret(parse_module(MODULE), {"x": np.zeros((1, 3))}, meaning="counting")
    finally:
        unregister("counting")
    assert counted == {"nn.constant": 1, "nn.sub": 1, "nn.add": 1, "nn.relu": 1}


def test_an_op_without_a_meaning_is_named(fractions: str) -> None:
    module: Module = parse_module(MODULE.replace("nn.relu", "nn.clip"))
    with pytest.raises(EpimcError) as caught:
        interpret(module, {"x": np.zeros((1, 3))}, meaning=fractions)
    assert "Op nn.clip has no meaning for 'fractions'." in str(caught.value)


def test_an_unknown_meaning_is_named() -> None:
    with pytest.raises(EpimcError) as caught:
        interpret(parse_module(MODULE), {"x": np.zeros((1, 3))}, meaning="nunpy")
    assert str(caught.value) == "error: Unknown meaning 'nunpy'.\n  hint: Did you mean 'numpy'?"


def test_a_meaning_is_registered_once() -> None:
    with pytest.raises(ValueError, match="meaning 'numpy' is registered twice"):
        register(Meaning(NUMPY))
