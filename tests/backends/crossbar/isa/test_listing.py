"""The program's listing: comments beside instructions, and the same program when read back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from epimc.backends.crossbar.core.program import Advance, FeatureMap, Instruction, Program
from epimc.backends.crossbar.isa.assembly import format_program, parse_program
from epimc.backends.crossbar.isa.listing import list_program
from epimc.backends.crossbar.lower.roll import roll
from epimc.support.origins import place_of
from tests.backends.crossbar.programs import (
    CHIP,
    PROGRAMS,
    conv_program,
    spill_program,
    split_program,
)

pytestmark = pytest.mark.smoke


def split_lines(listing: str) -> list[tuple[str, str]]:
    """(code, comment) of each line."""
    parts = [line.partition(";") for line in listing.splitlines()]
    return [(code.rstrip(), said.strip()) for code, _, said in parts]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_assembler_reads_a_listing_back(name: str) -> None:
    program = PROGRAMS[name]()
    listing = list_program(program)
    assert parse_program(listing, "listing.asm") == program.streams
    lines = split_lines(listing)
    assert [code for code, _ in lines] == format_program(program.streams).splitlines()
    for code, said in lines:
        is_instruction = code.startswith(" ") and code.split()[0] not in ("halt", "loop", "end")
        assert bool(said) == is_instruction, code


def test_every_instruction_names_the_nodes_whose_rows_it_works_on() -> None:
    program = split_program()
    names = {f"map '{feature.name}'" for feature in program.maps}
    names |= {place_of(feature.nodes) for feature in program.maps if feature.nodes}
    said = {comment for _, comment in split_lines(list_program(program)) if comment}
    assert said <= names


def test_moves_name_what_they_move() -> None:
    """What is sent, received, stored and loaded again is what was computed before."""
    for program in (split_program(), spill_program()):
        maps = [
            replace(feature, nodes=(("Any", f"n{number}"),))
            for number, feature in enumerate(program.maps)
        ]
        named = replace(program, maps=tuple(maps))
        lines = iter(split_lines(list_program(named)))
        next(lines)
        for stream in named.streams:
            next(lines)
            for instruction in stream:
                _, said = next(lines)
                match instruction.opcode, instruction.operands:
                    case "load", (_, int() as address, _):
                        assert said == place_at(maps, address)
                    case "store", (int() as address, _, _):
                        assert said == place_at(maps, address)
                    case _, (int() as table, tuple(), *_):
                        assert said == place_of(maps[named.tables[table].destination].nodes)


@pytest.mark.parametrize("name", PROGRAMS)
def test_loops_are_listed_as_they_are_stored(name: str) -> None:
    """What is said of an instruction in loops is what is said of all that it stands for."""
    program = PROGRAMS[name]()
    rolled = replace(program, streams=roll(program.streams))
    listing = list_program(rolled)
    assert parse_program(listing, "listing.asm") == rolled.streams
    stored = split_lines(listing)
    assert [code for code, _ in stored] == format_program(rolled.streams).splitlines()
    said = {comment for _, comment in split_lines(list_program(program))}
    assert {comment for _, comments in stored for comment in comments.split(", ")} == said
    assert all(not comment for code, comment in stored if code.split()[0] in ("loop", "end"))


def test_an_instruction_in_loops_may_work_for_several_maps() -> None:
    """The two inputs lie one behind the other, and a loop loads both."""
    maps = tuple(FeatureMap(name, (8, 1, 1), "u8", 8, 0, k * 8) for k, name in enumerate("xy"))
    load = Instruction("load", (Advance(0, (8,)), Advance(0, (8,)), 8))
    store = Instruction("store", (0, 0, 8))
    loop, end, halt = Instruction("loop", (2,)), Instruction("end", ()), Instruction("halt", ())
    stream = (loop, load, end, store, halt)
    listing = list_program(Program(CHIP, maps, (), (), (), (stream,)))
    assert [said for _, said in split_lines(listing)][2:] == [
        "", "map 'x', map 'y'", "", "map 'x'", ""
    ]  # fmt: skip


def place_at(maps: list[FeatureMap], address: int) -> str:
    """What is said of the map that lies at an off-chip address."""
    for feature in maps:
        if 0 <= feature.address <= address < feature.address + feature.height * feature.row_stride:
            return place_of(feature.nodes)
    raise AssertionError(address)


def test_what_a_node_is_called_cannot_break_a_line() -> None:
    program = conv_program()
    maps = tuple(
        replace(feature, name=f"m\n{number}", nodes=(("Conv", "a\nhalt\r; b"),))
        for number, feature in enumerate(program.maps)
    )
    listing = list_program(replace(program, maps=maps))
    assert parse_program(listing, "listing.asm") == program.streams
    assert "; node 'a halt ; b' (Conv)" in listing
