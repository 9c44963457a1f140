"""Random networks of products with constants, on random chips: exact, layer by layer."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.end_to_end.running import assert_all, compiled
from tests.helpers.strategies.cases import Case, cases
from tests.helpers.strategies.products import products


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(cases(products()))
def test_products_are_exact(case: Case) -> None:
    with compiled(case) as done:
        assert_all(case, done)
        assert "epi.conv" in {op.name for op in done.modules["epitomize"].ops}
