"""docs/ir.md is what the declarations say."""

from __future__ import annotations

from pathlib import Path

import pytest

from epimc.ir.core.levels import LEVELS
from epimc.ir.core.module_attributes import MEANINGS, MODULE_ATTRIBUTES
from epimc.ir.core.registry import DIALECTS, OPS
from epimc.ir.text.document import ir_document

pytestmark = pytest.mark.smoke

PAGE = Path(__file__).parents[3] / "docs" / "ir.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == ir_document(), "renew it: python -m epimc.pages"


def test_every_op_and_attribute_is_on_the_page() -> None:
    sections = {part.split("\n")[0]: part for part in ir_document().split("\n### ")[1:]}
    declared = [op.name for dialect in DIALECTS.values() for op in dialect.ops]
    assert list(sections) == declared
    assert {*declared} == {*OPS}
    for name, op in OPS.items():
        assert all(f"| `{key}` | " in sections[name] for key in op.attribute_fields)
        assert all(f"`{key}`, " in sections[name] for key in op.operand_fields)


def test_every_level_and_module_attribute_is_on_the_page() -> None:
    page = ir_document()
    assert all(f"| `{level}` | " in page and truth in page for level, truth in LEVELS.items())
    assert set(MEANINGS) == set(MODULE_ATTRIBUTES)
    assert all(f"| `{key}` | " in page for key in MODULE_ATTRIBUTES)


def test_every_op_is_legal_somewhere() -> None:
    order = list(LEVELS)
    for op in OPS.values():
        places = [order.index(level) for level in op.levels]
        # The page names the first and the last: there is no gap between them.
        assert len(places) == max(places) - min(places) + 1
    assert set().union(*(op.levels for op in OPS.values())) == set(LEVELS)
