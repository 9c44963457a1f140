"""Attribute values and their kinds: a kind checks a plain value and turns it into a typed one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from epimc.ir.core.types import IrError
from epimc.support.limits import LARGEST_NUMBER

T = TypeVar("T")

# Of a memory: more than any chip has, and its sums stay far from what 64 bits hold.
LARGEST_ADDRESS = 2**48


@dataclass(frozen=True)
class Ref:
    """A reference `@name` to a stored tensor."""

    name: str


Plain: TypeAlias = "int | float | bool | str | Ref | tuple[Plain, ...] | dict[str, Plain]"
"""What the text of the IR can say in an attribute."""


@dataclass(frozen=True)
class AttributeKind(Generic[T]):
    """How an attribute is checked when it is set (`load`) and printed (`dump`).

    `load` raises IrError with what was expected; `dump(load(x))` loads to an equal value.
    """

    expected: str
    load: Callable[[Any], T]
    dump: Callable[[T], Any] = lambda value: value


def _refuse(expected: str) -> IrError:
    return IrError(f"expected {expected}")


def _integer(value: Any) -> int:
    # Python takes True for 1; the text of the IR does not.
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refuse("an integer")
    _refuse_beyond(value, value)
    return value


def _refuse_beyond(lowest: int, highest: int, limit: int = LARGEST_NUMBER) -> None:
    """Raise IrError for integers so large that what follows from them could not be computed."""
    if lowest < -limit or highest > limit:
        raise _refuse(f"integers from {-limit} to {limit}")


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _refuse("a number")
    try:
        return float(value)
    except OverflowError:
        raise _refuse("a number that a float64 can hold") from None


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refuse("true or false")
    return value


def _reference(value: Any) -> Ref:
    if not isinstance(value, Ref):
        raise _refuse("a tensor reference such as @weights")
    return value


def _address(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refuse("an address")
    _refuse_beyond(value, value, LARGEST_ADDRESS)
    return value


INTEGER = AttributeKind("an integer", _integer)
ADDRESS = AttributeKind("an integer", _address)
NUMBER = AttributeKind("a number", _number)
TRUTH = AttributeKind("true or false", _truth)
TENSOR = AttributeKind("a tensor reference", _reference)


def at_least(minimum: int) -> AttributeKind[int]:
    """An integer that is not below a minimum."""
    expected = f"an integer, at least {minimum}"

    def load(value: Any) -> int:
        if _integer(value) < minimum:
            raise _refuse(expected)
        return int(value)

    return AttributeKind(expected, load)


def one_of(*words: str) -> AttributeKind[str]:
    """One of some words."""

    def load(value: Any) -> str:
        if value not in words:
            raise _refuse(f"one of {', '.join(words)}")
        return str(value)

    return AttributeKind("one of " + ", ".join(words), load)


def integers(
    count: int | None = None, minimum: int | None = None
) -> AttributeKind[tuple[int, ...]]:
    """A list of integers, of a fixed length where `count` is given."""
    expected = f"a list of {count} integers" if count is not None else "a list of integers"
    if minimum is not None:
        expected += f", each at least {minimum}"

    def load(value: Any) -> tuple[int, ...]:
        if not isinstance(value, (list, tuple)) or (count is not None and len(value) != count):
            raise _refuse(expected)
        items = tuple(value)
        if any(isinstance(item, bool) or not isinstance(item, int) for item in items):
            raise _refuse(expected)
        if not items:
            return items
        if minimum is not None and min(items) < minimum:
            raise _refuse(expected)
        _refuse_beyond(min(items), max(items))
        return items

    return AttributeKind(expected, load)


def pair(minimum: int) -> AttributeKind[tuple[int, int]]:
    """Two integers: (vertical, horizontal)."""
    inner = integers(2, minimum)

    def load(value: Any) -> tuple[int, int]:
        first, second = inner.load(value)
        return first, second

    return AttributeKind(inner.expected, load)


def sides(minimum: int) -> AttributeKind[tuple[int, int, int, int]]:
    """Four integers: (top, left, bottom, right)."""
    inner = integers(4, minimum)

    def load(value: Any) -> tuple[int, int, int, int]:
        top, left, bottom, right = inner.load(value)
        return top, left, bottom, right

    return AttributeKind(inner.expected, load)


def maybe(inner: AttributeKind[T]) -> AttributeKind[T | None]:
    """A value of another kind, or none (left out of the text)."""
    return AttributeKind(
        inner.expected,
        lambda value: None if value is None else inner.load(value),
        lambda value: None if value is None else inner.dump(value),
    )


def rows_of(inner: AttributeKind[T]) -> AttributeKind[tuple[T, ...]]:
    """A list of values of another kind."""
    expected = f"a list, each item {inner.expected}"

    def load(value: Any) -> tuple[T, ...]:
        if not isinstance(value, (list, tuple)):
            raise _refuse(expected)
        return tuple(inner.load(item) for item in value)

    return AttributeKind(expected, load, lambda value: tuple(inner.dump(item) for item in value))
