"""The forms of a product of small integers: which vectors of which processor, in which tiles.

A tile is a block of sums, of some positions times some outputs, that stays in registers while its
products are added up.  Activations lie in panels and weights in blocks of 32-bit words, each of a
few bytes or of two 16-bit integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from epimc.backends.crossbar.compiled.processor import features


@dataclass(frozen=True)
class Form:
    """One form.

    Attributes:
        number: By which compiled code knows it.
        positions: Rows of a tile.
        outputs: Columns of a tile.
        depth: Activations in a word: four bytes, or two 16-bit integers.
        lanes: 32-bit sums of a vector.
        instruction: LLVM's name for the product of two vectors; "" for what any processor has.
        needs: Features, each one in any of the ways listed, that the processor must have.
    """

    number: int
    positions: int
    outputs: int
    depth: int
    lanes: int
    instruction: str = ""
    needs: tuple[frozenset[str], ...] = (frozenset(),)

    @property
    def row(self) -> int:
        """Words of a panel's row: positions are packed four at a time."""
        return -(-self.positions // 4) * 4

    @property
    def runs(self) -> bool:
        """Whether LLVM may use the form's instructions here."""
        return any(need <= features() for need in self.needs)


# Products of 16-bit integers, added in pairs: 12 sums, weights and an input fill the 16 registers
# of SSE2 and AVX2, 28 sums the 32 of AVX-512.
PORTABLE = Form(0, 6, 8, 2, 4)
PAIRS_128 = Form(1, 6, 8, 2, 4, "llvm.x86.sse2.pmadd.wd", (frozenset({"sse2"}),))
PAIRS_256 = Form(2, 6, 16, 2, 8, "llvm.x86.avx2.pmadd.wd", (frozenset({"avx2"}),))
PAIRS_512 = Form(3, 14, 32, 2, 16, "llvm.x86.avx512.pmaddw.d.512", (frozenset({"avx512bw"}),))
# Products of unsigned and signed bytes, added in fours to the sums.
VNNI_256 = (frozenset({"avxvnni"}), frozenset({"avx512vnni", "avx512vl"}))
VNNI_512 = (frozenset({"avx512vnni", "avx512bw"}),)
BYTES_256 = Form(4, 6, 16, 4, 8, "llvm.x86.avx512.vpdpbusd.256", VNNI_256)
BYTES_512 = Form(5, 14, 32, 4, 16, "llvm.x86.avx512.vpdpbusd.512", VNNI_512)
# The same for few outputs, and for few positions.
NARROW_512 = Form(6, 28, 16, 4, 16, "llvm.x86.avx512.vpdpbusd.512", VNNI_512)
SHORT_512 = Form(7, 4, 64, 4, 16, "llvm.x86.avx512.vpdpbusd.512", VNNI_512)

FORMS = (
    PORTABLE,
    PAIRS_128,
    PAIRS_256,
    PAIRS_512,
    BYTES_256,
    BYTES_512,
    NARROW_512,
    SHORT_512,
)
BEST_FIRST = (BYTES_512, BYTES_256, PAIRS_512, PAIRS_256, PAIRS_128, PORTABLE)


@cache
def best_form(outputs: int, positions: int = 196) -> Form:
    """The fastest form, of those that run here, for so many outputs of a group and positions."""
    best = next(form for form in BEST_FIRST if form.runs)
    if best is not BYTES_512:
        return best
    if outputs <= NARROW_512.outputs:
        return NARROW_512
    # Weights are read more often by tiles of few positions, which must be worth it.
    short, long = (computed(form, outputs, positions) for form in (SHORT_512, BYTES_512))
    return SHORT_512 if short <= 0.95 * long else BYTES_512


def computed(form: Form, outputs: int, positions: int) -> int:
    """How many sums are computed, those of incomplete tiles included."""
    rows = -(-positions // form.positions) * form.positions
    return rows * -(-outputs // form.outputs) * form.outputs
