"""All dialects and their ops, by name; what declares a dialect registers it.

The IR's own dialects are registered by `epimc.ir.dialects`, a backend's by its own modules: a text
with ops of a backend is understood where that backend has been loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

from epimc.ir.core.module import Op


@dataclass(frozen=True)
class Dialect:
    """Ops that belong together.

    Attributes:
        name: What the names of its ops begin with.
        title: What it is for, in a few words.
        text: What a reader should know of all its ops.
        ops: In the order in which they are documented.
    """

    name: str
    title: str
    text: str
    ops: tuple[type[Op], ...]


DIALECTS: dict[str, Dialect] = {}
"""Every dialect that has been registered, by name."""

OPS: dict[str, type[Op]] = {}
"""The ops of all these dialects, by name."""


def register(dialect: Dialect) -> Dialect:
    """Make the ops of a dialect known to the parser and to the documentation.

    Raises:
        ValueError: There is a dialect of this name, or an op is not named after it.
    """
    if dialect.name in DIALECTS:
        raise ValueError(f"dialect '{dialect.name}' is registered twice")
    for op in dialect.ops:
        if op.name.partition(".")[0] != dialect.name:
            raise ValueError(f"op '{op.name}' does not belong to dialect '{dialect.name}'")
    DIALECTS[dialect.name] = dialect
    OPS.update({op.name: op for op in dialect.ops})
    return dialect
