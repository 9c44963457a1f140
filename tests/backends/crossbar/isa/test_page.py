from __future__ import annotations

from pathlib import Path

import pytest

from epimc.backends.crossbar.core.program import Instruction, Ring
from epimc.backends.crossbar.instructions.registry import (
    BY_CODE,
    BY_NAME,
    format_instruction,
    instructions,
)
from epimc.backends.crossbar.isa.page import isa_page

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parents[4]


def test_names_and_opcodes_are_unique_and_fit_a_byte() -> None:
    assert len(BY_NAME) == len(BY_CODE) == len(instructions())
    assert all(0 <= spec.code < 256 for spec in instructions())
    for spec in instructions():
        names = [operand.name for operand in spec.operands]
        assert len(set(names)) == len(names) == len(spec.example)


def test_canonical_text() -> None:
    rings = (Ring(0, 3), Ring(2048, 2))
    instruction = Instruction("add", (7, (4, 6), Ring(1024, 2), rings))
    assert (
        format_instruction(instruction)
        == "add table=7, rows=4:6, dst=0x400:2, src=[0x0:3, 0x800:2]"
    )
    assert format_instruction(Instruction("halt", ())) == "halt"


def test_documentation_is_generated() -> None:
    assert (ROOT / "docs/isa.md").read_text(encoding="utf-8") == isa_page(), (
        "Renew it: python -m epimc.pages"
    )
