"""What each test of the suite comes to, as it is kept: JSON, a line a test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

CHIP, MIXED, HOST = "chip", "mixed", "host"
REFUSED, FAILED, CRASHED, BARRED = "refused", "failed", "crashed", "barred"

PASSED = (CHIP, MIXED, HOST)


@dataclass(frozen=True)
class Record:
    """A test of the suite.

    Attributes:
        test: Its name.
        status: `chip`, `mixed` or `host`: it passes, and ran there; `refused` by the compiler;
            `failed` in what came out; `crashed`, the process or its time; `barred`: onnxruntime
            itself does not pass it.
        said: Why it does not pass.
        operators: Op types of its graph.
        chip: Those of them that compute on the chip.
        host: Those of them that the host runs.
        fixed: Inputs that are parameters, with the test's values as constants.
        sqnr_db: The least of its outputs; None where none has one.
        cosine: The least of its outputs; None where none has one.
        seconds: Through epimc, all in all.
    """

    test: str
    status: str
    said: str = ""
    operators: tuple[str, ...] = ()
    chip: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    sqnr_db: float | None = None
    cosine: float | None = None
    seconds: float = field(default=0.0, compare=False)

    @property
    def passed(self) -> bool:
        """Whether it passes."""
        return self.status in PASSED

    @property
    def counts(self) -> bool:
        """Whether onnxruntime passes it, so that epimc must."""
        return self.status != BARRED


def from_json(entry: Mapping[str, Any]) -> Record:
    """A record from its JSON object."""
    known = {each.name for each in fields(Record)}
    values = {name: value for name, value in entry.items() if name in known}
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Record(**{**values, **lists})


def kept(record: Record) -> dict[str, Any]:
    """The JSON object of a record, without what differs from run to run or is not there."""
    values = asdict(record)
    del values["seconds"]
    for name, digits in (("sqnr_db", 1), ("cosine", 3)):
        if values[name] is not None:
            values[name] = round(values[name], digits)
    return {name: value for name, value in values.items() if value not in (None, "", ())}


def read(path: Path) -> Iterator[Record]:
    """The records of a log, a line each; a line that was not finished is left out."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        yield from_json(entry)


@dataclass(frozen=True)
class Results:
    """What is kept of a run.

    Attributes:
        versions: Of the packages that have a part in it, by name.
        records: Of all tests of the suite, in the order of their names.
    """

    versions: Mapping[str, str]
    records: tuple[Record, ...]

    @staticmethod
    def of(records: Iterable[Record]) -> Results:
        """Those of the installed packages."""
        ordered = sorted(records, key=lambda record: record.test)
        return Results(installed_versions(), tuple(ordered))

    @staticmethod
    def read(path: Path) -> Results:
        """Those of a file."""
        entry = json.loads(path.read_text(encoding="utf-8"))
        return Results(entry["versions"], tuple(map(from_json, entry["tests"])))

    def text(self) -> str:
        """The file: JSON, a line a test."""
        lines = ",\n".join(json.dumps(kept(record)) for record in self.records)
        return f'{{"versions": {json.dumps(dict(self.versions))}, "tests": [\n{lines}\n]}}\n'


def installed_versions() -> dict[str, str]:
    """Versions of the packages that have a part in the results."""
    return {name: version(name) for name in ("onnx", "onnxruntime")}
