"""The declared limits of what comes from files: no number in a small file makes us allocate much.

Sizes are checked where they enter, as Python's integers, before anything is allocated for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from epimc.support.diagnostics import EpimcError, Span, error

# What a model, samples or another file may take together: option `limit_bytes`.
DEFAULT_BYTES = 2**32

# A dim, a stride, a pad, a count: far above what any chip can hold, far below what overflows.
LARGEST_NUMBER = 2**31 - 1

# How many elements the windows of one op may visit in one sample, weights left out: these cost a
# file something, and so do not make much work of nothing.
LARGEST_WORK = 2**34

# The most nodes, inputs and outputs of a model, and characters of an input's or an output's name.
# The largest size of a window, and its largest step and padding.
LARGEST_WINDOW = 4096

MOST_NODES, MOST_PORTS, LONGEST_NAME = 2**15, 2**10, 4096

# The most bytes of a program, as assembly or as binary.
LARGEST_PROGRAM = 2**26

LIMIT_HINT = "Raise the limit (--limit-bytes)."

# How deep lists, tables and dictionaries of a text may lie in one another.
DEEPEST = 64

# A tensor that stands in no file, such as a folded constant or a feature map, costs a file nothing,
# and takes up to so many times its bytes while it is worked on: as int64, sorted, copied.
MADE_FACTOR = 16


@dataclass
class Budget:
    """The bytes that all tensors of one model, module or bundle may take together.

    Attributes:
        limit: How many there are.
        subject: What has the tensors, at the beginning of a sentence: `Model 'x.onnx'`.
        hint: How to raise the limit.
        spent: How many are taken.
    """

    limit: int
    subject: str
    hint: str = "Raise the limit (--limit-bytes), or check the shapes."
    spent: int = field(default=0)

    def read(self, count: int, what: str, where: Span | str = "") -> None:
        """Take the bytes of a tensor that stands in a file.

        Args:
            count: Bytes; a Python integer of any size.
            what: The tensor, as in a sentence: `tensor 'w'`.
            where: The place or the node.

        Raises:
            EpimcError: So many are not left.
        """
        self._take(count, f"{what} takes {count} bytes", where)

    def make(self, count: int, what: str, where: Span | str = "") -> None:
        """Take the bytes of a tensor that is made, and of the work on it; arguments as `read`.

        Raises:
            EpimcError: So many are not left.
        """
        needed = MADE_FACTOR * count
        self._take(needed, f"{what} takes {count} bytes, and {needed} with the work on it", where)

    def require(self, count: int, what: str, where: Span | str = "") -> None:
        """Refuse a tensor that cannot be made; takes nothing, arguments as `read`.

        Raises:
            EpimcError: What `make` would take is not left.
        """
        before = self.spent
        self.make(count, what, where)
        self.spent = before

    def require_once(self, count: int, what: str, where: Span | str = "") -> None:
        """Refuse a tensor that others make and nobody works on; arguments as `read`.

        Raises:
            EpimcError: Its bytes are not left.
        """
        before = self.spent
        self.read(count, what, where)
        self.spent = before

    def _take(self, needed: int, fact: str, where: Span | str) -> None:
        left = self.limit - self.spent
        if needed > left:
            raise self.refusal(fact, where)
        self.spent += needed

    def refusal(self, fact: str, where: Span | str = "") -> EpimcError:
        """The error for what is too much.

        Args:
            fact: Which tensor takes how many bytes.
            where: The place or the node.
        """
        return error(
            f"{self.subject} needs more memory than the limit of {self.limit} bytes.",
            where=where,
            notes=[f"{fact[0].upper()}{fact[1:]}; {self.limit - self.spent} are left."],
            hint=self.hint,
        )
