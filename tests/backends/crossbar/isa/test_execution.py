"""What executes a program may be exchanged: the strategy, the observers, the engine."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from epimc.backends.crossbar.core.program import FeatureMap, Instruction
from epimc.backends.crossbar.instructions.control import END, LOOP
from epimc.backends.crossbar.instructions.registry import BY_NAME
from epimc.backends.crossbar.isa.execution import DryRun, Observer, RoundRobin, Steps, Strategy
from epimc.backends.crossbar.isa.loops import expand
from epimc.backends.crossbar.sim.counters import Counters
from epimc.backends.crossbar.sim.simulator import Simulator
from epimc.support.diagnostics import EpimcError
from tests.backends.crossbar.programs import PROGRAMS, sum_and_mean
from tests.backends.crossbar.sim.test_simulator import random_inputs

pytestmark = pytest.mark.smoke


class EarliestFirst:
    """The tile whose clock is behind goes on, for one instruction that takes `costs` of its own."""

    def __init__(self, *costs: int) -> None:
        self.costs = costs

    def run(self, steps: Steps) -> None:
        clocks = dict.fromkeys(range(steps.tiles), 0)
        blocked: set[int] = set()
        while ready := [tile for tile in clocks if tile not in blocked]:
            tile = min(ready, key=lambda tile: (clocks[tile], tile))
            if steps.step(tile):
                clocks[tile] += self.costs[tile % len(self.costs)]
                # What it did may be what others wait for.
                blocked.clear()
            else:
                blocked.add(tile)


class LastFirst:
    """The highest tile that can, goes on."""

    def run(self, steps: Steps) -> None:
        while any(steps.step(tile) for tile in reversed(range(steps.tiles))):
            pass


class Log(Observer):
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.instructions: list[tuple[int, int, Instruction]] = []
        self.rows: dict[str, list[int]] = defaultdict(list)

    def begin(self, first: int, count: int) -> None:
        self.batches.append((first, count))

    def executed(self, tile: int, number: int, instruction: Instruction) -> None:
        self.instructions.append((tile, number, instruction))

    def computed(self, target: FeatureMap, first: int, rows: NDArray[Any]) -> None:
        self.rows[target.name] += range(first, first + rows.shape[2])


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("strategy", [EarliestFirst(1), EarliestFirst(1, 7), LastFirst()])
def test_results_do_not_depend_on_the_strategy(name: str, strategy: Strategy) -> None:
    program = PROGRAMS[name]()
    inputs, counters = random_inputs(program, 3), [Counters(program) for _ in range(2)]
    expected = Simulator(program, host=sum_and_mean).run(inputs, [counters[0]])
    simulator = Simulator(program, engine="bytes", host=sum_and_mean, strategy=strategy)
    outputs = simulator.run(inputs, [counters[1]])
    assert all(np.array_equal(outputs[key], expected[key]) for key in expected)
    assert counters[0].layers() == counters[1].layers()
    assert counters[0].others == counters[1].others


@pytest.mark.parametrize("strategy", [RoundRobin(), EarliestFirst(1), LastFirst()])
def test_every_strategy_finds_a_deadlock(strategy: Strategy) -> None:
    program = PROGRAMS["spill"]()
    stream = tuple(i for i in program.streams[0] if i.opcode != "signal")
    stuck = replace(program, streams=(stream, program.streams[1]))
    with pytest.raises(EpimcError, match="deadlocked") as caught:
        Simulator(stuck, engine="bytes", strategy=strategy).run(random_inputs(program, 1))
    assert caught.value.diagnostic.notes == ("tile 1, instruction 0: wait sem=0, count=1 waits.",)


@pytest.mark.parametrize("name", PROGRAMS)
def test_observers_are_told_of_every_instruction_once(name: str) -> None:
    program = PROGRAMS[name]()
    logs = Log(), Log()
    DryRun(program.streams, logs).run()
    assert logs[0].instructions == logs[1].instructions
    reported = Counter((tile, number) for tile, number, _ in logs[0].instructions)
    for tile, stream in enumerate(expand(program.streams)):
        own = [i for t, _, i in logs[0].instructions if t == tile and i.opcode not in (LOOP, END)]
        assert tuple(own) == stream
    written = {(t, n) for t, s in enumerate(program.streams) for n in range(len(s))}
    assert set(reported) == written


def test_a_send_is_told_right_before_its_recv() -> None:
    log = Log()
    DryRun(PROGRAMS["split"]().streams, [log]).run()
    sends = [k for k, (_, _, i) in enumerate(log.instructions) if i.opcode == "send"]
    assert sends
    for k in sends:
        (sender, _, send), (receiver, _, recv) = log.instructions[k : k + 2]
        assert recv.opcode == "recv"
        assert (send.operands[0], recv.operands[0]) == (receiver, sender)


def test_observers_see_batches_and_rows() -> None:
    program, log = PROGRAMS["classifier"](), Log()
    Simulator(program, batch=2).run(random_inputs(program, 5), [log])
    assert log.batches == [(0, 2), (2, 2), (4, 1)]
    for target in program.maps[1:]:
        assert log.rows[target.name] == [*range(target.height)] * 3


def test_counters_add_up_what_instructions_say() -> None:
    """The observer adds nothing of its own."""
    program, log = PROGRAMS["spill"](), Log()
    counters = Counters(program)
    DryRun(program.streams, [counters, log]).run()
    total = counters.total()
    events = [BY_NAME[i.opcode].events(program, *i.operands) for _, _, i in log.instructions]
    assert total.buffer_read_bytes == sum(e.buffer_read_bytes for e in events)
    assert total.instructions == sum(e.instructions for e in events)
    assert total.array_reads == sum(e.array_reads for e in events)


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(EpimcError, match="Unknown simulation engine 'byte'") as caught:
        Simulator(PROGRAMS["conv"](), engine="byte")
    assert "bytes" in caught.value.diagnostic.hint
