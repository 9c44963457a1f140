"""Random plans for given weights, as a user might write them by hand, for hypothesis."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from epimc.ir.plan import Patch, Plan, Shape


def below(most: int) -> st.SearchStrategy[int]:
    """1 to `most`; the simplest is `most`, which makes the fewest patches."""
    return st.integers(0, most - 1).map(lambda less: most - less)


@st.composite
def pieces(draw: st.DrawFn, size: int, most: int) -> list[tuple[int, int]]:
    """[0, size) cut into (first, count), each of at most `most`."""
    found, first = [], 0
    while first < size:
        count = draw(below(min(most, size - first)))
        found.append((first, count))
        first += count
    return found


@st.composite
def hand_plans(draw: st.DrawFn, weights: Shape) -> tuple[Shape, Plan]:
    """An epitome no larger than the weights, and patches of it.

    Windows overlap, repeat and lie at any offset of a spatial epitome; output blocks wrap, and
    they are cut differently in each block of inputs.
    """
    cout, cin, kh, kw = weights
    size = math.prod(weights)
    eh = draw(st.integers(kh, max(kh, min(kh + 2, size // kw))))
    ew = draw(st.integers(kw, max(kw, min(kw + 2, size // eh))))
    eo = draw(below(min(cout, size // (eh * ew))))
    ei = draw(below(min(cin, size // (eh * ew * eo))))
    blocks = [(o, i) for i in draw(pieces(cin, ei)) for o in draw(pieces(cout, eo))]
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
        for (o0, on), (i0, in_) in blocks
    ]
    return (eo, ei, eh, ew), tuple(draw(st.permutations(patches)))
