"""`--weight-bits mixed:…` as text."""

from __future__ import annotations

import pytest

from epimc.compiler.options import CompileOptions
from epimc.quantization.allocation.options import AllocationOptions, mixed_bits
from epimc.support.diagnostics import EpimcError

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mixed:2..8,crossbars=300", AllocationOptions(crossbars=300)),
        ("mixed:3..5,reads=7", AllocationOptions(weight_bits=(3, 4, 5), reads=7)),
        (
            "mixed:4..4,ends=8,error=1.5e-3",
            AllocationOptions(weight_bits=(4,), error=0.0015, ends=8),
        ),
    ],
)
def test_what_a_text_asks_for(text: str, wanted: AllocationOptions) -> None:
    assert mixed_bits(text) == wanted
    assert CompileOptions(weight_bits=text).weight_bits == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("eight", "'eight' is neither a number nor like mixed:2..8,crossbars=N"),
        ("mixed:2-8,crossbars=3", "'2-8' is no range of bits, such as 2..8"),
        ("mixed:1..8,crossbars=3", "'1..8' is no range of bits within 2..16"),
        ("mixed:5..4,crossbars=3", "'5..4' is no range of bits within 2..16"),
        ("mixed:2..8", "'mixed:2..8' needs one of crossbars=N, reads=N and error=X"),
        (
            "mixed:2..8,reads=3,error=1",
            "'mixed:2..8,reads=3,error=1' has reads and error: only one can be a budget",
        ),
        ("mixed:2..8,reads=3,reads=4", "'reads' stands twice in 'mixed:2..8,reads=3,reads=4'"),
        (
            "mixed:2..8,crosbars=3",
            "'crosbars' is no part of mixed:2..8,crossbars=N: did you mean 'crossbars'",
        ),
        (
            "mixed:2..8,crossbars=-3",
            "crossbars = '-3' is no integer of at least 0 and at most 18 digits",
        ),
        (
            "mixed:2..8,crossbars",
            "crossbars = '' is no integer of at least 0 and at most 18 digits",
        ),
        ("mixed:2..8,error=nan", "error = 'nan' is no finite number above 0, such as 0.01"),
        ("mixed:2..8,error=1e999", "error = '1e999' is no finite number above 0, such as 0.01"),
        ("mixed:2..8,error=0.0", "error = '0.0' is no finite number above 0, such as 0.01"),
        ("mixed:2..8,error=1,ends=17", "ends = 17 is not in 1..16"),
    ],
)
def test_what_a_text_must_not_be(text: str, problem: str) -> None:
    with pytest.raises(EpimcError) as caught:
        CompileOptions(weight_bits=text)
    assert str(caught.value) == f"error: Wrong option: weight_bits: {problem}."


def test_numbers_keep_their_limits() -> None:
    with pytest.raises(EpimcError) as caught:
        CompileOptions(weight_bits=17)
    assert str(caught.value) == "error: Wrong option: weight_bits = 17 is not in 1..16."
