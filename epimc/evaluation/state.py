"""The state of an evaluation on disk, from which an interrupted one goes on.

A folder with `evaluation.json`, which says of what it is, and npz files with the records of samples
that follow each other, named by the first one and the one behind the last: each is there completely
or not at all.  What is done is written once a second, or batch by batch where these take longer.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from epimc.bundle.outputs import refuse_in_bundle
from epimc.evaluation.records import Record
from epimc.samples.samples import encode_samples, read_arrays
from epimc.support.diagnostics import EpimcError, error
from epimc.support.files import read_text, refused
from epimc.support.locks import Lock
from epimc.support.writing import make_folder, write_file, write_files

FORMAT = 1
HEADER = "evaluation.json"
LONGEST_HEADER = 2**20
SECONDS = 1.0
"""Between two writes, at least: files cost more than small batches."""

Piece: TypeAlias = "tuple[int, int, Record]"
"""The first of some samples, the one behind the last, and their record."""

PIECE = re.compile("([0-9]{10})-([0-9]{10})[.]npz")


class State:
    """The results that a folder has, and those that are added to it.

    From `open` to `close` no other evaluation can open the folder.

    Attributes:
        folder: Where.
        columns: The arrays of a record, with the kinds of their numbers.
    """

    def __init__(self, folder: Path, columns: Mapping[str, str], limit_bytes: int) -> None:
        """Name the folder; nothing is read or written yet."""
        self.folder, self.columns, self.limit_bytes = folder, columns, limit_bytes
        self.lock = Lock()
        self.waiting: list[Piece] = []
        self.written = time.monotonic()

    def open(self, header: Mapping[str, Any], count: int) -> list[Piece]:
        """What is done: first sample, the one behind the last, record.

        Args:
            header: What is evaluated, as JSON has it.
            count: How many samples there are.

        Raises:
            EpimcError: The folder has something else, or the state of another evaluation, or it is
                broken, or another evaluation has it open.
        """
        refuse_in_bundle(self.folder / HEADER)
        if not self.folder.exists():
            make_folder(self.folder)
        if self.lock.is_refused(self.folder):
            raise error(
                f"Another evaluation that runs now has its state in the folder '{self.folder}'.",
                hint="Choose another folder, or wait for its end.",
            )
        text = json.dumps({"format": FORMAT, **header}, indent=2, sort_keys=True) + "\n"
        path = self.folder / HEADER
        if path.is_file():
            self.refuse_other(read_text(path, "State", LONGEST_HEADER), text)
            return [*self.done(count)]
        self.refuse_foreign()
        write_file(path, text.encode("utf-8", "backslashreplace"))
        return []

    def refuse_foreign(self) -> None:
        """Raise EpimcError where the folder is none, or has other files."""
        try:
            others = any(self.folder.iterdir())
        except OSError as caught:
            raise refused(f"State folder '{self.folder}'", "read", caught) from None
        if others:
            raise error(
                f"Folder '{self.folder}' is not empty, and has no state of an evaluation.",
                hint="Choose another folder.",
            )

    def refuse_other(self, stated: str, wanted: str) -> None:
        """Raise EpimcError for the state of another evaluation, with what differs."""
        if stated == wanted:
            return
        try:
            before = json.loads(stated)
        except (ValueError, RecursionError):
            before = None
        if not isinstance(before, dict):
            raise error(
                f"State file '{self.folder / HEADER}' is broken.", hint="Remove the folder."
            )
        now = json.loads(wanted)
        keys = [key for key in now if before.get(key) != now[key]]
        raise error(
            f"Folder '{self.folder}' has the state of another evaluation.",
            notes=[f"'{key}' is not the same." for key in keys or ["format"]],
            hint="Choose another folder, or remove that one to begin anew.",
        )

    def done(self, count: int) -> Iterator[Piece]:
        """The pieces in the folder, in order, none of which has samples of the one before."""
        behind = 0
        for path in sorted(self.folder.iterdir()):
            match = PIECE.fullmatch(path.name)
            if match is None:
                continue
            first, end = int(match[1]), int(match[2])
            record = self.record_in(path)
            lengths = {array.shape for array in record.values()}
            if not behind <= first < end <= count or lengths != {(end - first,)}:
                raise self.broken(path)
            behind = end
            yield first, end, record

    def record_in(self, path: Path) -> Record:
        """The record in a file.

        Raises:
            EpimcError: It is no such record.
        """
        try:
            record = read_arrays(path, self.limit_bytes)
        except EpimcError as problem:
            raise self.broken(path).with_notes(problem.diagnostic.message) from None
        if {name: array.dtype.name for name, array in record.items()} != {**self.columns}:
            raise self.broken(path)
        return record

    def broken(self, path: Path) -> EpimcError:
        """The error for a file that is no record of a batch."""
        return error(
            f"State file '{path}' is not as it was written.",
            hint="Remove it: its samples are then evaluated again.",
        )

    def add(self, piece: Piece) -> None:
        """Take the record of a batch, and write what waits, unless that was done just now.

        Raises:
            EpimcError: The system refuses.
        """
        self.waiting.append(piece)
        if time.monotonic() - self.written >= SECONDS:
            self.write()

    def write(self) -> None:
        """Write all records that wait.

        Raises:
            EpimcError: The system refuses; they wait still.
        """
        files = [
            (self.folder / f"{first:010}-{end:010}.npz", encode_samples(record))
            for first, end, record in runs(self.waiting)
        ]
        if files:
            write_files(files)
        self.waiting, self.written = [], time.monotonic()

    def close(self) -> None:
        """Write what waits, and let others open the folder.

        Raises:
            EpimcError: As `write`.
        """
        try:
            self.write()
        finally:
            self.lock.release()


def runs(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Pieces in the order of their samples, those that follow each other as one."""
    joined: list[Piece] = []
    for piece in sorted(pieces, key=itemgetter(0)):
        if joined and joined[-1][1] != piece[0]:
            yield together(joined)
            joined = []
        joined.append(piece)
    if joined:
        yield together(joined)


def together(pieces: Sequence[Piece]) -> Piece:
    """Pieces that follow each other as one; at least one."""
    records = [record for _, _, record in pieces]
    joined = {name: np.concatenate([record[name] for record in records]) for name in records[0]}
    return pieces[0][0], pieces[-1][1], joined
