"""Random plans for given weights, as a user might write them by hand, for hypothesis."""

from __future__ import annotations

import math
from collections.abc import Iterator

from hypothesis import strategies as st

from epimc.ir.epitome.plan import Patch, Plan, Shape


def below(most: int) -> st.SearchStrategy[int]:
    """1 to `most`; the simplest is `most`, which makes the fewest patches."""
    return st.integers(0, most - 1).map(lambda less: most - less)


@st.composite
def pieces(draw: st.DrawFn, size: int, most: int) -> list[tuple[int, int]]:
    """[0, size) cut into (first, count), each of at most `most`."""
    chunks, first = [], 0
    while first < size:
        count = draw(below(min(most, size - first)))
        chunks.append((first, count))
        first += count
    return chunks


@st.composite
def hand_plans(draw: st.DrawFn, weights: Shape, groups: int = 1) -> tuple[Shape, Plan]:
    """An epitome no larger than the weights, and patches of it.

    Windows overlap, repeat and lie at any offset of a spatial epitome; output blocks wrap, and
    they are cut differently in each block of inputs and in each group.
    """
    cout, cin, kh, kw = weights
    single = (cout // groups, cin, kh, kw)
    size = math.prod(single)
    eh = draw(st.integers(kh, max(kh, min(kh + 2, size // kw))))
    ew = draw(st.integers(kw, max(kw, min(kw + 2, size // eh))))
    eo = draw(below(min(single[0], size // (eh * ew))))
    ei = draw(below(min(cin, size // (eh * ew * eo))))
    patches = [
        patch._replace(o0=patch.o0 + g * single[0], eo=patch.eo + g * eo)
        for g in range(groups)
        for patch in drawn_patches(draw, single, (eo, ei, eh, ew))
    ]
    return (groups * eo, ei, eh, ew), tuple(draw(st.permutations(patches)))


def drawn_patches(draw: st.DrawFn, weights: Shape, epitome: Shape) -> Iterator[Patch]:
    """Patches of one group."""
    (cout, cin, kh, kw), (eo, ei, eh, ew) = weights, epitome
    for i0, in_ in draw(pieces(cin, ei)):
        for o0, on in draw(pieces(cout, eo)):
            corner = [draw(st.integers(0, n)) for n in (eo - on, ei - in_, eh - kh, ew - kw)]
            yield Patch(o0, on, i0, in_, *corner)
