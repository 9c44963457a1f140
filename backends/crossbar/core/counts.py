"""What an instruction uses of the chip: the events that counters add up."""

from __future__ import annotations

from dataclasses import dataclass, fields
from threading import Lock


@dataclass
class Counts:
    """What is used for one sample; every count but the first is of hardware events or bytes.

    Attributes:
        instructions: Instructions executed.
        rounds: Activation rounds executed, one an output position.
        array_reads: Crossbars driven and read: once a round, array, input slice and position.
        array_reads_without_reuse: The same when every column block had one destination a read:
            a round whose busiest column has r destinations would run r times.
        adc_conversions: Columns converted, of those that the round's OFAT uses.
        dac_drives: Word lines driven.
        multiply_adds: Of the joint module: a column block to one of its destinations.
        buffer_read_bytes: Read from tile buffers, every output row reading its whole window.
        buffer_written_bytes: Written to tile buffers.
        off_chip_read_bytes: Loaded.
        off_chip_written_bytes: Stored.
        sent_bytes: Sent from tile to tile.
    """

    instructions: int = 0
    rounds: int = 0
    array_reads: int = 0
    array_reads_without_reuse: int = 0
    adc_conversions: int = 0
    dac_drives: int = 0
    multiply_adds: int = 0
    buffer_read_bytes: int = 0
    buffer_written_bytes: int = 0
    off_chip_read_bytes: int = 0
    off_chip_written_bytes: int = 0
    sent_bytes: int = 0

    def add(self, other: Counts, times: int = 1) -> None:
        """Add `times` what another one counts."""
        mine, theirs = self.__dict__, other.__dict__
        for name in COUNTED:
            if theirs[name]:
                mine[name] += times * theirs[name]


@dataclass
class Conversions:
    """What ADCs did for some samples, as it was computed.

    Attributes:
        clipped: Conversions of sums above the ADC's range.
        skipped: Array reads that hardware skips, as no bit of their input slice is set; null where
            not all reads were computed.
    """

    clipped: int = 0
    skipped: int | None = 0

    def add(self, other: Conversions) -> None:
        """Add what another one counts."""
        self.clipped += other.clipped
        unknown = self.skipped is None or other.skipped is None
        self.skipped = None if unknown else (self.skipped or 0) + (other.skipped or 0)


class SerialCounts:
    """What is counted on the way, by any number of threads; `skipped` of computed reads alone."""

    def __init__(self, *, complete: bool = True) -> None:
        """Begin with nothing; `complete`: whether all reads are computed."""
        self._lock = Lock()
        self._complete = complete
        self._clipped = self._skipped = 0

    def add(self, clipped: int, skipped: int) -> None:
        """Count."""
        with self._lock:
            self._clipped += clipped
            self._skipped += skipped

    def take(self) -> Conversions:
        """What was counted since this was asked the last time."""
        with self._lock:
            taken = Conversions(self._clipped, self._skipped if self._complete else None)
            self._clipped = self._skipped = 0
        return taken


COUNTED = tuple(field.name for field in fields(Counts))
