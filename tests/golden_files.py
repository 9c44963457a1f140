"""Golden files: textual IR, a pipeline, and what must come out, run in this process.

The first line of a file names the pipeline, `// RUN: epimc opt %s -p 'a,b{n=4}'`.  CHECK lines
(FileCheck's) say what the text after the pipeline must hold.  In a file whose RUN line ends in
`// ERROR` the lines `// ERROR: …` are the whole rendered diagnostic instead; `%s` in them is the
file's name.  `pytest --update-golden` writes these lines anew; CHECK lines, which say less than all
that comes out, are for people to write.

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

from epimc.ir.core.module import Module
from epimc.ir.core.tensors import Tensor, TensorStore
from epimc.ir.core.types import TensorType
from epimc.ir.pipeline import Runner, parse_pipeline
from epimc.ir.text.parser import parse_module
from epimc.ir.text.printer import print_module
from epimc.support.diagnostics import EpimcError, render
from tests.crossbars import PASSES
from tests.goldens import GoldenError

RUN = re.compile(r"// RUN: epimc opt %s(?: -p (?P<passes>'[^']*'))?(?P<fails> // ERROR)?")
ERROR = re.compile(r"^// ERROR:(?: (.*))?$", re.MULTILINE)


class GoldenFile(pytest.File):
    """An .epi file: one test."""

    def collect(self) -> Iterator[GoldenItem]:
        item: GoldenItem = GoldenItem.from_parent(self, name=self.path.stem)
        item.add_marker("smoke")
        yield item


class GoldenItem(pytest.Item):
    """The test of one file."""

    def runtest(self) -> None:
        text = self.path.read_text(encoding="utf-8")
        run_golden(self.path, text, update=self.config.getoption("--update-golden"))

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> str:
        if isinstance(excinfo.value, GoldenError):
            return str(excinfo.value)
        return str(excinfo.getrepr(style="short"))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"golden: {self.name}"


def run_golden(path: Path, text: str, *, update: bool = False) -> None:
    """Run one file; `update` writes another error than the expected one into it.

    Raises:
        GoldenError: It has no RUN line, or what comes out is something else.
    """
    line = RUN.fullmatch(text.partition("\n")[0])
    if not line:
        raise GoldenError(f"The first line must match {RUN.pattern}")
    pipeline = shlex.split(line["passes"] or "''")[0]
    if line["fails"]:
        check_error(path, text, error_of(path, text, pipeline), update=update)
    else:
        check_text(path, optimized(text, pipeline, path))


def error_of(path: Path, text: str, pipeline: str) -> str:
    """The rendered error of a file that must fail, with `%s` for the file's name.

    Raises:
        GoldenError: There is none.
    """
    try:
        optimized(text, pipeline, path)
    except EpimcError as problem:
        return render(problem.diagnostic).replace(path.name, "%s")
    raise GoldenError("No error.")


def check_error(path: Path, text: str, said: str, *, update: bool) -> None:
    """Compare an error with the ERROR lines of a file, or write them anew.

    Raises:
        GoldenError: It is another one.
    """
    wanted = "\n".join(ERROR.findall(text))
    if said == wanted:
        return
    if not update:
        raise GoldenError(f"Another error than expected:\n{said}\n-- not:\n{wanted}")
    rest = [line for line in text.splitlines() if not ERROR.match(line)]
    lines = [f"// ERROR: {line}".rstrip() for line in said.splitlines()]
    # Behind all the rest, so that the lines to which errors point keep their numbers.
    path.write_text("\n".join([*rest, *lines]) + "\n", encoding="utf-8")


def optimized(text: str, pipeline: str, path: Path) -> str:
    """The text after the pipeline; both modules survive printing and parsing."""
    module = parse_module(text, path.name)
    round_trip(module)
    result = Runner(PASSES).run(module, parse_pipeline(pipeline, PASSES))
    return round_trip(result)


class MemoryStore(TensorStore):
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
