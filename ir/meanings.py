"""What ops compute, for one interpreter and for others.

The meaning of an op is its `evaluate`, on numpy arrays: that is the meaning `numpy`.  Another
interpreter registers functions beside it, under a name of its own:

    register(Meaning("torch", load=lambda array, kind: torch.as_tensor(array)))

    @implements(nn.Relu, "torch")
    def relu(op, inputs, tensors):
        return torch.relu(inputs[0])

`interpret(module, inputs, meaning="torch")` then runs these.  A function for a trait, or for `Op`,
serves all ops whose class has none of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np

from epimc.ir.core.dispatch import OpTable
from epimc.ir.core.op import Array, Lookup, Op
from epimc.ir.core.types import TensorType
from epimc.support.diagnostics import did_you_mean, error

NUMPY = "numpy"

O = TypeVar("O", bound=Op)  # noqa: E741

Evaluate: TypeAlias = Callable[[O, list[Any], Lookup], Any]
"""As `Op.evaluate`, with the op first; what it computes on is the meaning's own."""


def load_numpy(array: Array, kind: TensorType) -> Array:
    """An input as the ops of the IR take it: reals in float64."""
    values = np.asarray(array)
    return values.astype(np.float64) if kind.element == "f32" else values


@dataclass(frozen=True)
class Meaning:
    """What ops compute.

    Attributes:
        name: By which it is chosen.
        load: Makes of an input, and of its type, what the functions compute on.
        table: What each op computes: (op, operands, stored tensors) to its result.
    """

    name: str
    load: Callable[[Array, TensorType], Any] = load_numpy
    table: OpTable[[list[Any], Lookup], Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", OpTable(f"meaning for '{self.name}'"))


MEANINGS: dict[str, Meaning] = {}
"""Every meaning by its name."""


def register(meaning: Meaning) -> Meaning:
    """Make a meaning known.

    Raises:
        ValueError: There is one of this name.
    """
    if meaning.name in MEANINGS:
        raise ValueError(f"meaning '{meaning.name}' is registered twice")
    MEANINGS[meaning.name] = meaning
    return meaning


def unregister(name: str) -> None:
    """Remove the meaning of this name, with all that was declared for it; KeyError without one."""
    del MEANINGS[name]


def implements(kind: type[O], meaning: str) -> Callable[[Evaluate[O]], Evaluate[O]]:
    """Decorate the function that computes a class of ops, or the ops of a trait, in a meaning.

    Raises:
        ValueError: There is one already.
        EpimcError: The meaning is unknown.
    """
    return meaning_of(meaning).table(kind)


def meaning_of(name: str) -> Meaning:
    """The meaning of this name.

    Raises:
        EpimcError: There is none.
    """
    if name not in MEANINGS:
        raise error(f"Unknown meaning '{name}'.", hint=did_you_mean(name, MEANINGS))
    return MEANINGS[name]


@register(Meaning(NUMPY)).table(Op)
def evaluate(op: Op, inputs: list[Array], tensors: Lookup) -> Array:
    """What the class of an op says by its own method: so every op has the meaning NumPy."""
    return op.evaluate(inputs, tensors)
