"""Inputs and outputs as tests compare them."""

from __future__ import annotations

from collections.abc import Iterable

from epimc.backends.base import Port


def shapes(ports: Iterable[Port]) -> list[tuple[str, tuple[int, ...] | None]]:
    """Names, and shapes of one sample."""
    return [(port.name, port.shape) for port in ports]
