"""The budget of bytes: what is taken, what is refused and in which words."""

from __future__ import annotations

import pytest

from epimc.support.diagnostics import EpimcError
from epimc.support.limits import MADE_FACTOR, Budget

pytestmark = pytest.mark.smoke


def test_bytes_of_files_count_once_and_those_that_are_made_many_times() -> None:
    budget = Budget(100 + 10 * MADE_FACTOR, "Model 'x'")
    budget.read(100, "tensor 'w'")
    budget.make(10, "tensor 'm'")
    assert budget.spent == budget.limit


def test_what_is_only_asked_for_is_not_taken() -> None:
    budget = Budget(10 * MADE_FACTOR, "Model 'x'")
    for _ in range(2):
        budget.require(10, "tensor 'm'")
    assert not budget.spent
    with pytest.raises(EpimcError, match="takes 11 bytes"):
        budget.require(11, "tensor 'm'")


@pytest.mark.parametrize("count", [101, 2**62, 2**200])
def test_a_tensor_that_is_too_large(count: int) -> None:
    budget = Budget(100, "Model 'x'")
    with pytest.raises(EpimcError) as caught:
        budget.read(count, "tensor 'w'", "node 'c' (Conv)")
    assert str(caught.value) == (
        "error: Model 'x' needs more memory than the limit of 100 bytes.\n"
        "  --> node 'c' (Conv)\n"
        f"  note: Tensor 'w' takes {count} bytes; 100 are left.\n"
        "  hint: Raise the limit (--limit-bytes), or check the shapes."
    )
    assert not budget.spent


def test_what_is_made_is_told_with_the_work_on_it() -> None:
    fact = "Tensor 'm' takes 7 bytes, and 112 with the work on it; 100 are left."
    with pytest.raises(EpimcError, match=fact):
        Budget(100, "Model 'x'").make(7, "tensor 'm'")
