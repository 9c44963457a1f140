"""The axes of products as labels: the equations of Einsum, and the leading axes of MatMul."""

from __future__ import annotations

import math
from collections.abc import Sequence

from epimc.frontend.core.node import UnsupportedError

LEADING = "0123456789"
"""The labels of leading axes, that of the last one last; equations of ONNX have letters."""


def leading_labels(counts: Sequence[int]) -> list[str]:
    """The labels of so many leading axes of each factor: the last ones are the same.

    Raises:
        UnsupportedError: They are too many.
    """
    if max(counts) > len(LEADING):
        raise UnsupportedError(f"a factor of more than {len(LEADING)} axes is not supported")
    return [LEADING[len(LEADING) - count :] for count in counts]


def terms_of(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The labels of each factor and of the result; those of an ellipsis are leading axes.

    Args:
        equation: Of an Einsum.
        ranks: Of its inputs.

    Raises:
        UnsupportedError: They are not as many as the ranks.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    named = [term.replace("...", "") for term in terms]
    missing = [rank - len(keys) for rank, keys in zip(ranks, named, strict=False)]
    fits = all(
        count == 0 or (count > 0 and "..." in term)
        for count, term in zip(missing, terms, strict=False)
    )
    if len(terms) != len(ranks) or not fits:
        raise UnsupportedError(f"the equation '{equation}' is not supported")
    axes = leading_labels(missing)
    factors = [term.replace("...", lead) for term, lead in zip(terms, axes, strict=True)]
    longest = max(axes, key=len)
    if arrow:
        return factors, right.replace("...", longest)
    together = "".join(named)
    once = sorted(key for key in together if together.count(key) == 1)
    return factors, longest + "".join(once)


def multiplications(equation: str, shapes: Sequence[Sequence[int]]) -> int:
    """How many products of numbers an Einsum sums up.

    Args:
        equation: Of the Einsum.
        shapes: Of its inputs.

    Raises:
        UnsupportedError: They do not fit the equation.
    """
    factors, _ = terms_of(equation, [len(shape) for shape in shapes])
    sizes: dict[str, int] = {}
    for labels, shape in zip(factors, shapes, strict=True):
        for key, size in zip(labels, shape, strict=True):
            # What one of them has once is repeated for the other.
            sizes[key] = max(size, sizes.get(key, 1))
    return math.prod(sizes.values())
