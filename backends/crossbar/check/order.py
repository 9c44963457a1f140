"""The order that a program itself gives to its events, and the waits that it needs for it.

A race is found even where this interleaving happens to work: what counts is what a tile can know
by the rows that it got and by the signals that it waited for.
"""

from __future__ import annotations

from dataclasses import dataclass

from epimc.backends.crossbar.isa.clocks import Times, VectorClocks


@dataclass
class PendingWait:
    """A wait that no load has needed yet.

    Attributes:
        place: The instruction.
        semaphore: Its semaphore.
        count: Its count.
        before: What the tile knew of the signaller before it.
    """

    place: str
    semaphore: int
    count: int
    before: int


class Order:
    """What every tile knows of the others, and which waits nobody has needed yet."""

    def __init__(self, tiles: int) -> None:
        self._clocks = VectorClocks(tiles)
        self._signals: dict[int, list[Times]] = {}
        self._signallers: dict[int, int] = {}
        # How many stores each tile has done, and of those the ones that a semaphore has told of.
        self._stores = [0] * tiles
        self._published: dict[int, int] = {}
        # For each tile and signaller the waits that nothing has needed.
        self._pending: list[dict[int, list[PendingWait]]] = [{} for _ in range(tiles)]

    def tick(self, tile: int, time: int) -> None:
        """Let a tile's own clock go on."""
        self._clocks.set(tile, time)

    def store(self, tile: int, times: int = 1) -> None:
        """Note that a tile has stored something, which its next signal tells of."""
        self._stores[tile] += times

    def meet(self, sender: int, receiver: int) -> None:
        """A row goes over: either tile knows all that the other does."""
        self._clocks.meet(sender, receiver)

    def signal(self, tile: int, semaphore: int) -> bool:
        """Publish what a tile has done; False when it has stored nothing since the last signal."""
        news = self._published.get(semaphore) != self._stores[tile]
        self._published[semaphore] = self._stores[tile]
        self._signallers[semaphore] = tile
        self._signals.setdefault(semaphore, []).append(self._clocks.all_known(tile))
        return news

    def wait(self, tile: int, semaphore: int, count: int, place: str) -> list[str]:
        """A tile knows from here on what the signaller had done.

        Returns:
            The places of earlier waits for the semaphore that no load has needed.
        """
        signaller = self._signallers[semaphore]
        waits = self._pending[tile].setdefault(signaller, [])
        # Between this wait and the earlier ones for its semaphore came no load that needed one of
        # them.
        idle = [wait for wait in waits if wait.semaphore == semaphore]
        for wait in idle:
            waits.remove(wait)
        before = self._clocks.known(tile, signaller)
        waits.append(PendingWait(place, semaphore, count, before))
        # What the signal with this count told of, not the last one: later ones may not have come
        # yet.
        self._clocks.learn(tile, self._signals[semaphore][count - 1])
        return [wait.place for wait in idle]

    def knows(self, tile: int, writer: int, time: int) -> bool:
        """Whether something that a tile did comes before what another one does now."""
        return self._clocks.known(tile, writer) >= time

    def need(self, tile: int, writer: int, time: int) -> str | None:
        """A tile needs what another one stored at a time: the wait for it is a needed one.

        Returns:
            The place of a wait for more than was needed; None when there is none.
        """
        waits = self._pending[tile].get(writer, [])
        # What the tile knew before the oldest of these waits needed none of them.
        if not waits or time <= waits[0].before:
            return None
        for wait in waits:
            history = self._signals[wait.semaphore]
            # A wait is needed if one signal less would not have told of it.
            earlier = history[wait.count - 2][writer] if wait.count > 1 else 0
            if earlier < time:
                waits.remove(wait)
                return None
        place = waits[0].place
        waits.clear()
        return place

    def is_quiet(self, tile: int, writer: int) -> bool:
        """Whether every wait of a tile for what another one stored has been needed."""
        return not self._pending[tile].get(writer)

    def idle(self) -> list[str]:
        """The places of all waits that no load has needed."""
        return [
            wait.place for pending in self._pending for waits in pending.values() for wait in waits
        ]
