"""docs/ir.md is what the declarations say."""

from __future__ import annotations

from pathlib import Path

from epimc.ir import levels
from epimc.ir.dialects import OPS
from epimc.ir.document import ir_document

PAGE = Path(__file__).parents[2] / "docs" / "ir.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == ir_document(), (
        "renew it: python -m epimc.ir.document > docs/ir.md"
    )


def test_every_op_and_attribute_is_on_the_page() -> None:
    sections = {part.split("\n")[0]: part for part in ir_document().split("\n### ")[1:]}
    assert list(sections) == list(OPS)
    for name, op in OPS.items():
        assert all(f"| `{key}` | " in sections[name] for key in op.attribute_fields)
        assert all(f"`{key}`, " in sections[name] for key in op.operand_fields)


def test_every_op_is_legal_somewhere() -> None:
    assert set().union(*levels.LEGAL.values()) == set(OPS)
