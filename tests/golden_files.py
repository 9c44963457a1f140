"""Golden files: textual IR, a pipeline, and what must come out, run in this process.

The first line of a file names the pipeline, `// RUN: epimc opt %s -p 'a,b{n=4}'`.  CHECK lines
(FileCheck's) say what the text after the pipeline must hold.  In a file whose RUN line ends in
`// ERROR` the lines `// ERROR: …` are the whole rendered diagnostic instead; `%s` in them is the
file's name.

Every module is also printed and parsed back, before and after the pipeline: the same text again.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import Options
from filecheck.parser import Parser

from epimc.diagnostics import EpimcError, render
from epimc.ir.core import Module
from epimc.ir.parser import parse_module
from epimc.ir.pipeline import Runner, parse_pipeline
from epimc.ir.printer import print_module
from epimc.ir.tensors import Store, Tensor
from epimc.ir.types import TensorType
from epimc.passes import PASSES

RUN = re.compile(r"// RUN: epimc opt %s(?: -p (?P<passes>'[^']*'))?(?P<fails> // ERROR)?")
ERROR = re.compile(r"^// ERROR:(?: (.*))?$", re.MULTILINE)


class GoldenFile(pytest.File):
    """An .epi file: one test."""

    def collect(self) -> Iterator[GoldenItem]:
        yield GoldenItem.from_parent(self, name=self.path.stem)


class GoldenItem(pytest.Item):
    """The test of one file."""

    def runtest(self) -> None:
        run_golden(self.path, self.path.read_text(encoding="utf-8"))

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> str:
        if isinstance(excinfo.value, GoldenError):
            return str(excinfo.value)
        return str(excinfo.getrepr(style="short"))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"golden: {self.name}"


class GoldenError(AssertionError):
    """A golden file does not hold; the text says how."""


def run_golden(path: Path, text: str) -> None:
    """Run one file.

    Raises:
        GoldenError: It has no RUN line, or what comes out is something else.
    """
    found = RUN.fullmatch(text.partition("\n")[0])
    if not found:
        raise GoldenError(f"The first line must match {RUN.pattern}")
    pipeline = shlex.split(found["passes"] or "''")[0]
    if not found["fails"]:
        check_text(path, optimized(text, pipeline, path))
        return
    wanted = "\n".join(line.replace("%s", path.name) for line in ERROR.findall(text))
    try:
        optimized(text, pipeline, path)
    except EpimcError as problem:
        said = render(problem.diagnostic)
        if said != wanted:
            raise GoldenError(f"Another error than expected:\n{said}\n-- not:\n{wanted}") from None
        return
    raise GoldenError("No error.")


def optimized(text: str, pipeline: str, path: Path) -> str:
    """The text after the pipeline; both modules survive printing and parsing."""
    module = parse_module(text, path.name)
    round_trip(module)
    result = Runner(PASSES).run(module, parse_pipeline(pipeline, PASSES))
    return round_trip(result)


class MemoryStore(Store):
    """The tensors of a module, by digest, as if they had been written to files."""

    def __init__(self, module: Module) -> None:
        super().__init__(Path("tensors"))
        self.known = {tensor.digest: tensor for tensor in module.tensors.values()}

    def load(self, digest: str, kind: TensorType) -> Tensor:
        """The tensor, of the type that the text declares."""
        assert self.known[digest].type == kind
        return self.known[digest]


def round_trip(module: Module) -> str:
    """The text of a module.

    Raises:
        GoldenError: It does not parse back to a module with the same text.
    """
    printed = print_module(module)
    again = print_module(parse_module(printed, store=MemoryStore(module)))
    if again != printed:
        raise GoldenError(f"Printed and parsed it is another text:\n{again}\n-- not:\n{printed}")
    return printed


def check_text(path: Path, text: str) -> None:
    """Raise GoldenError unless a text fulfils the CHECK lines of a file."""
    options = Options(match_filename=str(path))
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = Matcher(options, FInput("output", text), Parser.from_opts(options)).run()
    if code:
        raise GoldenError(f"{said.getvalue()}\n-- in:\n{text}")
