"""The levels of the IR: what is true of a module, from the imported network to integers.

Ops and attributes name the levels at which they are legal (`op.py`), passes those that they take
and give (`ir/pipeline.py`); the verifier holds a module to its own.  Behind the last level of the
IR a backend goes on with its own, which it registers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

NN, EPI, CALIBRATED, QUANTIZED = "nn", "epi", "calibrated", "quantized"

COMMON: Mapping[str, str] = {
    NN: "The network as imported, in floats.",
    EPI: "Convolutions and constant matmuls are epitomes, in floats.",
    CALIBRATED: "Every value has its range on the calibration samples.",
    QUANTIZED: "Everything is integers; reals are left at inputs and outputs alone.",
}
"""What is true at the levels that all backends have in common."""

LEVELS: dict[str, str] = dict(COMMON)
"""What is true at each level, in the order in which passes go through them."""

_chains: list[tuple[str, ...]] = []


def register_levels(truths: Mapping[str, str]) -> frozenset[str]:
    """Let a backend's levels follow the common ones; at all of them the border is activations.

    Args:
        truths: What is true at each, in the order in which passes go through them.

    Returns:
        The names of them all.

    Raises:
        ValueError: There is a level of one of these names.
    """
    if taken := LEVELS.keys() & truths.keys():
        raise ValueError(f"level '{min(taken)}' is registered twice")
    _chains.append(tuple(truths))
    LEVELS.update(truths)
    # What is behind a common level is more than before.
    from_level.cache_clear()
    up_to.cache_clear()
    return frozenset(truths)


def _ways() -> Iterator[tuple[str, ...]]:
    """The ways that a module can go: the common levels, and then those of one backend."""
    yield tuple(COMMON)
    yield from ((*COMMON, *chain) for chain in _chains)


@cache
def from_level(first: str) -> frozenset[str]:
    """A level and all behind it."""
    return frozenset(level for way in _ways() if first in way for level in way[way.index(first) :])


@cache
def up_to(last: str) -> frozenset[str]:
    """A level and all before it."""
    way = next(way for way in _ways() if last in way)
    return frozenset(way[: way.index(last) + 1])


FLOATS = up_to(CALIBRATED)


def in_order(levels: Iterable[str]) -> list[str]:
    """Levels as the passes go through them."""
    chosen = set(levels)
    return [level for level in LEVELS if level in chosen]
