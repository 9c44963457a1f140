"""What `run`, `check`, `inspect --stage` and `targets` come to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from epimc.backends.base import CostSummary, Target
from epimc.support.results import INLINED, Result
from epimc.support.tables import Block, Lines, Verbatim, table


@dataclass(frozen=True)
class RunResult(Result):
    """A program executed on samples.

    Attributes:
        samples: How many.
        outputs: The names of the arrays in the file.
        file: The npz file with the outputs.
        stats: What one sample cost, as its backend counts it; null unless asked for.
    """

    KIND: ClassVar[str] = "run"

    samples: int
    outputs: tuple[str, ...]
    file: str
    stats: CostSummary | None = None

    def blocks(self) -> Iterator[Block]:
        """What was written, and the costs."""
        yield Lines((f"{self.samples} samples: {', '.join(self.outputs)} -> {self.file}",))
        if self.stats is not None:
            yield from self.stats.blocks()


@dataclass(frozen=True)
class CheckResult(Result):
    """A program, checked without running it.

    Attributes:
        good: Whether nothing is wrong.
        problems: What is wrong, as the error messages say it.
        size: What was checked, in words.
    """

    KIND: ClassVar[str] = "check"

    good: bool
    problems: tuple[str, ...]
    size: str

    def blocks(self) -> Iterator[Block]:
        """The problems, or how much is good."""
        yield from map(Verbatim, self.problems)
        if self.good:
            yield Lines((f"good: {self.size}" if self.size else "good",))


@dataclass(frozen=True)
class StageResult(Result):
    """A bundle's IR at one level, or its program.

    Attributes:
        stage: The level, or `asm`.
        text: The IR in text form, or the program with comments; ends in a line break.
    """

    KIND: ClassVar[str] = "stage"

    stage: str
    text: str

    def blocks(self) -> Iterator[Block]:
        """The text as it is."""
        yield Verbatim(self.text)


@dataclass(frozen=True)
class TargetResult(Result):
    """One target.

    Attributes:
        target: The keys of its file, as the page about targets lists them.
    """

    KIND: ClassVar[str] = "target"

    target: Target = field(metadata=INLINED)

    def blocks(self) -> Iterator[Block]:
        """The text of its file, as it stands."""
        yield Verbatim(self.target.to_toml())


@dataclass(frozen=True)
class TargetList(Result):
    """The targets that come with epimc.

    Attributes:
        targets: The keys of their files, as the page about targets lists them.
    """

    KIND: ClassVar[str] = "targets"

    targets: tuple[Target, ...]

    def blocks(self) -> Iterator[Block]:
        """Their names and what they are."""
        rows = ((target.name, target.description) for target in self.targets)
        yield table(("target", "description"), rows, left=2)
