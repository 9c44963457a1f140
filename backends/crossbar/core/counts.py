"""What an instruction uses of the chip: the events that counters add up."""

from __future__ import annotations

from dataclasses import dataclass, fields


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


COUNTED = tuple(field.name for field in fields(Counts))
