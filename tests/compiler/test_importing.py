"""How many samples stand in for those that a user does not give."""

from __future__ import annotations

import pytest

from epimc.compiler.importing import DEFAULT_SAMPLES, default_count
from epimc.support.diagnostics import EpimcError
from epimc.support.sample_types import Shaped

INPUTS = [Shaped("a", (3, 4)), Shaped("b", (8,))]
# Of both inputs, float32, with the work on them.
ONE = 16 * 4 * 20


def test_as_many_as_the_limit_allows_with_the_work_on_them() -> None:
    assert default_count(INPUTS, 1000, 2**32) == DEFAULT_SAMPLES
    assert default_count(INPUTS, 1000, 64 * ONE - 1) == 63
    assert default_count(INPUTS, 1000, ONE) == 1
    assert default_count([], 1000, ONE) == DEFAULT_SAMPLES


def test_not_even_one() -> None:
    with pytest.raises(EpimcError) as caught:
        default_count(INPUTS, 1000, ONE - 1)
    assert str(caught.value) == (
        "error: One sample takes 1280 bytes with the work on it, more than the limit of 1279.\n"
        "  hint: Raise the limit (--limit-bytes), or check the shapes of the inputs."
    )


@pytest.mark.parametrize(("elements", "count"), [(2**20, 64), (2**25, 4), (2**40, 1)])
def test_of_large_models_fewer_samples_are_run(elements: int, count: int) -> None:
    assert default_count(INPUTS, elements, 2**32) == count
