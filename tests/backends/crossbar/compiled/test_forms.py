from __future__ import annotations

import pytest

from epimc.backends.crossbar.compiled.forms import (
    BYTES_512,
    FORMS,
    NARROW_512,
    PORTABLE,
    SHORT_512,
    best_form,
    computed,
)


def test_forms_are_numbered_as_they_stand() -> None:
    assert [form.number for form in FORMS] == list(range(len(FORMS)))
    assert PORTABLE.runs


@pytest.mark.skipif(not BYTES_512.runs, reason="has no VNNI")
def test_the_form_for_a_size() -> None:
    for outputs, positions, form in (
        (16, 196, NARROW_512),
        (17, 196, BYTES_512),
        (1000, 1, SHORT_512),
        (512, 49, SHORT_512),
        (256, 196, BYTES_512),
        # Blocks of 64 would be filled by half.
        (32, 49, BYTES_512),
    ):
        assert best_form(outputs, positions) is form


def test_incomplete_tiles_are_computed() -> None:
    assert computed(BYTES_512, 33, 15) == 28 * 64
    assert computed(SHORT_512, 64, 4) == 4 * 64
