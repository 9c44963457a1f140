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
        lanes: 32-bit sums of a vector; 0 where the compiler may choose.
        instruction: LLVM's name for the product of two vectors; "" where there is none.
        needs: Features, each one in any of the ways listed, that the processor must have.
    """

    number: int
    positions: int
    outputs: int
    depth: int
    lanes: int = 0
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


# Without an instruction of its own.
PORTABLE = Form(0, 4, 16, 2)
# Products of 16-bit integers, added in pairs: 2 vectors of weights times 6 positions fill the 16
# registers of AVX2, and 14 the 32 of AVX-512.
PAIRS_256 = Form(1, 6, 16, 2, 8, "llvm.x86.avx2.pmadd.wd", (frozenset({"avx2"}),))
PAIRS_512 = Form(2, 14, 32, 2, 16, "llvm.x86.avx512.pmaddw.d.512", (frozenset({"avx512bw"}),))
# Products of unsigned and signed bytes, added in fours to the sums.
BYTES_256 = Form(
    3,
    6,
    16,
    4,
    8,
    "llvm.x86.avx512.vpdpbusd.256",
    (frozenset({"avxvnni"}), frozenset({"avx512vnni", "avx512vl"})),
)
BYTES_512 = Form(
    4, 14, 32, 4, 16, "llvm.x86.avx512.vpdpbusd.512", (frozenset({"avx512vnni", "avx512bw"}),)
)
# The same for few outputs.
NARROW_512 = Form(
    5, 28, 16, 4, 16, "llvm.x86.avx512.vpdpbusd.512", (frozenset({"avx512vnni", "avx512bw"}),)
)

FORMS = (PORTABLE, PAIRS_256, PAIRS_512, BYTES_256, BYTES_512, NARROW_512)
BEST_FIRST = (BYTES_512, BYTES_256, PAIRS_512, PAIRS_256, PORTABLE)


@cache
def best_form(outputs: int) -> Form:
    """The fastest form, of those that run here, for so many outputs of a group."""
    best = next(form for form in BEST_FIRST if form.runs)
    return NARROW_512 if best is BYTES_512 and outputs <= NARROW_512.outputs else best
