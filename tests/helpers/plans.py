"""Random sampling plans, for hypothesis."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from epimc.ir.epitome.plan import Patch, Plan, Shape

Planned = tuple[Plan, Shape, Shape]


@st.composite
def cuts(draw: st.DrawFn, size: int) -> list[tuple[int, int]]:
    """[0, size) cut into (first, count) pieces."""
    borders = draw(st.sets(st.integers(1, max(1, size - 1)), max_size=3))
    edges = sorted({0, size, *(b for b in borders if b < size)})
    return [(a, b - a) for a, b in pairwise(edges)]


@st.composite
def plans(draw: st.DrawFn) -> Planned:
    """(plan, shape of the weights, shape of the epitome), with overlaps and repetitions.

    The output blocks differ from one input block to the next, and the patches come in any order.
    """
    cout, cin = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    kh, kw = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    eh, ew = kh + draw(st.integers(0, 2)), kw + draw(st.integers(0, 2))
    blocks = [(i, o) for i in draw(cuts(cin)) for o in draw(cuts(cout))]
    eo = draw(st.integers(max(on for _, (_, on) in blocks), cout))
    ei = draw(st.integers(max(in_ for (_, in_), _ in blocks), cin))
    patches = [
        Patch(
            o0,
            on,
            i0,
            in_,
            draw(st.integers(0, eo - on)),
            draw(st.integers(0, ei - in_)),
            draw(st.integers(0, eh - kh)),
            draw(st.integers(0, ew - kw)),
        )
        for (i0, in_), (o0, on) in blocks
    ]
    return tuple(draw(st.permutations(patches))), (cout, cin, kh, kw), (eo, ei, eh, ew)
