"""All dialects and their ops, by name; what declares a dialect registers it.

The IR's own dialects are registered by `epimc.ir.dialects`, a backend's by its own modules: a text
with ops of a backend is understood where that backend has been loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from epimc.ir.core.op import Op

K = TypeVar("K", bound=type[Op])


@dataclass(frozen=True, eq=False)
class Dialect:
    """Ops that belong together; each is declared with the decorator `op`.

    Attributes:
        name: What the names of its ops begin with.
        title: What it is for, in a few words.
        text: What a reader should know of all its ops.
        ops: In the order in which they are declared, and documented.
    """

    name: str
    title: str
    text: str
    ops: list[type[Op]] = field(default_factory=list)

    def op(self, kind: K) -> K:
        """Make an op known to the parser and to the documentation.

        Raises:
            ValueError: It is not named after the dialect, or there is one of this name.
        """
        if kind.name.partition(".")[0] != self.name:
            raise ValueError(f"op '{kind.name}' does not belong to dialect '{self.name}'")
        if kind.name in OPS:
            raise ValueError(f"op '{kind.name}' is registered twice")
        self.ops.append(kind)
        OPS[kind.name] = kind
        return kind


DIALECTS: dict[str, Dialect] = {}
"""Every dialect that has been registered, by name."""

OPS: dict[str, type[Op]] = {}
"""The ops of all these dialects, by name."""


def register(dialect: Dialect) -> Dialect:
    """Make a dialect, with its ops, known to the parser and to the documentation.

    Raises:
        ValueError: There is a dialect of this name.
    """
    if dialect.name in DIALECTS:
        raise ValueError(f"dialect '{dialect.name}' is registered twice")
    DIALECTS[dialect.name] = dialect
    return dialect


def unregister(dialect: Dialect) -> None:
    """Forget a dialect and its ops, as if it had never been registered."""
    del DIALECTS[dialect.name]
    for op in dialect.ops:
        del OPS[op.name]
