"""What a case can come to, and what of that is bad."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

GOOD = "good"
REFUSED = "refused"
FAILED = "check failed"
TRACEBACK = "traceback"
SILENT = "silent"
CRASH = "crash"
HANG = "hang"
MEMORY = "memory"
WRONG = "wrong"

# Commands that check a program before they use it.
CHECKING = ("check", "verify", "run", "inspect")

BAD = (TRACEBACK, SILENT, CRASH, HANG, MEMORY, WRONG)
"""In order: how they stand in the table."""


@dataclass(frozen=True)
class Done:
    """What a command came to.

    Attributes:
        words: The command line, without the program.
        code: The exit code; None: an exception came through.
        said: What it printed to standard error, or the traceback.
    """

    words: tuple[str, ...]
    code: int | None
    said: str

    @property
    def outcome(self) -> str:
        """What that is."""
        if self.code is None:
            return TRACEBACK
        errors = sum(line.startswith("error: ") for line in self.said.splitlines())
        if self.code == 0:
            return GOOD if not errors else SILENT
        if self.code == 1 and self.words[0] in CHECKING:
            return FAILED
        return REFUSED if self.code == 2 and errors == 1 else SILENT


@dataclass
class Record:
    """What a case came to.

    Attributes:
        kind: Of the case.
        number: Of the case among those of its kind.
        outcome: One of those above.
        seconds: How long it took.
        bytes: The most memory that it took.
        said: For a bad one: what tells the reason.
    """

    kind: str
    number: int
    outcome: str = GOOD
    seconds: float = 0.0
    bytes: int = 0
    said: str = ""
    words: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For a line of JSON."""
        return asdict(self)


def worst(commands: list[Done]) -> Done:
    """The command by which a case is judged: the first bad one, else the last that is not good."""
    bad = [done for done in commands if done.outcome in BAD]
    notable = [done for done in commands if done.outcome != GOOD]
    return (bad or notable[::-1] or commands)[0]
