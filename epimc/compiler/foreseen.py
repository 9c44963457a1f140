"""What a compile would be refused for in the end, told before samples are looked at for long.

Equalization, calibration and the bits of layers measure for seconds to minutes.  What follows from
options, the model and the chip alone is looked at before: on the layers with their epitomes, which
are what they will be but for the numbers in them.  Layers count that calibration would send to the
host because their results are not finite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from epimc.ir.core.levels import EPI
from epimc.ir.core.module import Module
from epimc.ir.pipeline import Pass, Registry, Runner
from epimc.quantization.allocation.allocate import AllocateBits, possible_widths
from epimc.quantization.equalization.equalize import Equalize
from epimc.quantization.quantize import Quantize


def refuse_foreseen(
    module: Module,
    passes: Sequence[Pass],
    quantize: Quantize,
    refuse_width: Callable[[int, str], None],
    registry: Registry,
) -> None:
    """Raise what the passes would in the end.

    Args:
        module: What the first of the passes takes.
        passes: Those that will run before `quantize`.
        quantize: What numbers will have.
        refuse_width: Raises EpimcError where the chip has no weights of so many bits; it is told
            the layer, too.
        registry: All passes that there are.

    Raises:
        RefusedNodesError: The chip cannot have some nodes.
        EpimcError: Weights of a layer have a width that the chip has not, or no choice of bits
            stays within the budget.
    """
    epitomized = Runner(registry).run(module, unmeasured(passes))
    allocate = next((step for step in passes if isinstance(step, AllocateBits)), None)
    for op, bits in possible_widths(epitomized, allocate, quantize.weight_bits):
        refuse_width(bits, str(op.location))
    if allocate is not None:
        allocate.refuse_impossible(epitomized)
    quantize.refuse_impossible(epitomized)


def unmeasured(passes: Sequence[Pass]) -> list[Pass]:
    """The passes up to level `epi` and those that stay there, but for what looks at samples."""
    levels = [step.ensures for step in passes]
    end = len(levels) - levels[::-1].index(EPI)
    return [step for step in passes[:end] if not isinstance(step, Equalize)]
