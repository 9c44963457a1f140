"""The passes that choose numbers: one truth of what numbers are, that of `quantize`.

The passes before it look ahead: each takes over what `quantize`, or the one that it looks ahead to,
is told by options of a compile or of that pass itself (`-O`).  What contradicts it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from epimc.compiler.options import CompileOptions
from epimc.ir.option_text import read_steps
from epimc.ir.pipeline import Pass, make, with_settings
from epimc.quantization.allocation.allocate import AllocateBits
from epimc.quantization.allocation.options import AllocationOptions, is_mixed, mixed_bits
from epimc.quantization.calibrate import Calibrate
from epimc.quantization.calibration.options import (
    DEFAULT_PERCENTILE,
    PERCENTILE,
    CalibrateOptions,
)
from epimc.quantization.equalization.equalize import Equalize
from epimc.quantization.equalization.options import (
    COMMON_WEIGHT_BITS,
    MEASURED,
    equalization_of,
)
from epimc.quantization.options import NumberOptions, QuantizeOptions
from epimc.quantization.quantize import Quantize
from epimc.quantization.rounding.options import (
    EFFORTS,
    Effort,
    GranularityOptions,
    RoundingOptions,
    observer_of,
)
from epimc.support.diagnostics import error
from epimc.support.options import options_of, values_of

P = TypeVar("P", bound=Pass)


def quantize_of(options: CompileOptions, effort: Effort) -> Quantize:
    """The pass to integers, as options of the compile and of the pass itself have it.

    The passes before it choose their numbers for it: so it is made first.
    """
    bits = options.weight_bits
    made = make(
        Quantize,
        # Of layers that state no bits of their own: where theirs are chosen, all do.
        weight_bits=max(mixed_bits(bits).weight_bits) if isinstance(bits, str) else bits,
        **values_of(NumberOptions, options),
        **values_of(RoundingOptions, EFFORTS[effort]),
    )
    step = told(made, options)
    if is_mixed(bits) and step.weight_bits != max(mixed_bits(str(bits)).weight_bits):
        raise error(
            f"--weight-bits {bits} has the bits of every layer chosen, but pass 'quantize' has "
            f"weight_bits={step.weight_bits}.",
            hint="Leave out one of them.",
        )
    return step


def calibrate_of(options: CompileOptions, effort: Effort, quantize: Quantize) -> Calibrate:
    """The pass that gives ranges, for what `quantize` makes of them."""
    bits, observer = quantize.activation_bits, options.observer
    made = make(
        Calibrate,
        observer=observer_of(effort, bits) if observer == "auto" else observer,
        percentile=DEFAULT_PERCENTILE if options.percentile is None else options.percentile,
        activation_bits=bits,
    )
    return told(made, options)


def equalize_of(
    options: CompileOptions,
    effort: Effort,
    calibrate: Calibrate,
    quantize: Quantize,
) -> Equalize:
    """The pass that equalizes layers, where it measures with ranges and integers such as theirs."""
    step = told(make(Equalize, when=equalization_of(options.equalize, effort)), options)
    if step.when != MEASURED:
        return step
    known = values_of(QuantizeOptions, quantize) | values_of(CalibrateOptions, calibrate)
    if is_mixed(options.weight_bits):
        # What single layers will have nobody knows yet.
        known["weight_bits"] = COMMON_WEIGHT_BITS
    return make(Equalize, when=step.when, **known)


def allocations_of(options: CompileOptions, quantize: Quantize) -> tuple[AllocateBits, ...]:
    """The pass that has layers state their bits, where these are to be chosen.

    Args:
        options: What the user asks for.
        quantize: How weights become integers.
    """
    if not isinstance(options.weight_bits, str):
        return ()
    allocate = make(
        AllocateBits,
        **values_of(AllocationOptions, mixed_bits(options.weight_bits)),
        **values_of(GranularityOptions, quantize),
        **values_of(RoundingOptions, quantize),
    )
    return (told(allocate, options),)


def pricings_of(
    pricing: type[Pass] | None, allocations: Sequence[AllocateBits], quantize: Quantize
) -> tuple[Pass, ...]:
    """The pass that tells what layers take at each width that they may get.

    Args:
        pricing: The backend's; None where nothing is chosen.
        allocations: The pass that chooses, if there is one.
        quantize: What activations have.
    """
    if pricing is None:
        return ()
    (allocate,) = allocations
    bits = quantize.activation_bits
    return (make(pricing, weight_bits=allocate.widths, activation_bits=bits),)


def told(step: P, options: CompileOptions) -> P:
    """A pass with the options that texts of the compile set for it.

    Raises:
        EpimcError: A text is malformed, or a value is wrong.
    """
    result: Pass = step
    for text in options.pass_options:
        for each in read_steps(text):
            if each.name == step.name:
                result = with_settings(type(step), each.settings, result)
    assert isinstance(result, type(step))
    return result


def refuse_contradictions(passes: Sequence[Pass], quantize: Quantize) -> None:
    """Raise EpimcError where a pass chooses numbers for others than those that are made.

    Args:
        passes: Those before `quantize`.
        quantize: What the numbers are.
    """
    sources = [quantize, *(step for step in passes if isinstance(step, Calibrate))]
    allocations = [step for step in passes if isinstance(step, AllocateBits)]
    for step in passes:
        if isinstance(step, Equalize | Calibrate):
            refuse_idle_percentile(step)
    for source in sources:
        for step in passes:
            refuse_others(step, source)
    for step in passes:
        if isinstance(step, Equalize):
            refuse_other_widths(step, quantize, is_mixed=bool(allocations))
        for allocate in allocations:
            refuse_fewer_widths(step, allocate)


def refuse_others(step: Pass, source: Pass) -> None:
    """Raise EpimcError where an option of a pass is another than that of the one it looks ahead to.

    The bits of weights are those of layers that state none, or the widths among which one is
    chosen: each pass has its own.
    """
    shared = options_of(type(source)).keys() - {"weight_bits"}
    for name in options_of(type(step)):
        if name in shared:
            refuse_other(step, source, name)


def refuse_other(step: Pass, source: Pass, name: str) -> None:
    """Raise EpimcError where an option that two passes share is not the same."""
    known = options_of(type(step))[name]
    mine, other = getattr(step, name), getattr(source, name)
    # What equalizes all layers, or none, looks at no numbers: it took none over, but may be told.
    is_untold = isinstance(step, Equalize) and step.when != MEASURED and mine == known.default
    if mine == other or is_untold:
        return
    raise error(
        f"Pass '{step.name}' has {name}={known.kind.show(mine)}, but pass '{source.name}' has "
        f"{name}={known.kind.show(other)}.",
        hint=f"Set it for '{source.name}' alone: '{step.name}' takes it over.",
    )


def refuse_other_widths(step: Equalize, quantize: Quantize, *, is_mixed: bool) -> None:
    """Raise EpimcError where losses would be measured at other bits of weights than there will be.

    Args:
        step: What may measure them.
        quantize: What layers have that state no bits.
        is_mixed: Whether all layers get bits of their own, behind it.
    """
    if not is_mixed:
        refuse_other(step, quantize, "weight_bits")
    elif step.weight_bits != COMMON_WEIGHT_BITS:
        raise error(
            f"Pass '{step.name}' has weight_bits={step.weight_bits}, but the bits of every layer "
            f"are chosen behind it: it takes all to be {COMMON_WEIGHT_BITS}.",
            hint="Leave it out.",
        )


def refuse_idle_percentile(step: Equalize | Calibrate) -> None:
    """Raise EpimcError for a percentile of an observer that has none."""
    if step.percentile != DEFAULT_PERCENTILE and step.observer != PERCENTILE:
        raise error(
            f"Pass '{step.name}' has percentile={step.percentile:g}, which is nothing to observer "
            f"'{step.observer}'.",
            hint=f"Set observer={PERCENTILE} beside it, or leave it out.",
        )


def refuse_fewer_widths(step: Pass, allocate: AllocateBits) -> None:
    """Raise EpimcError where what is chosen among has widths of which a pass says nothing."""
    named = getattr(step, "weight_bits", None)
    # Of other passes these are the bits of a layer, or there are none.
    if not isinstance(named, tuple) or step.name == allocate.name:
        return
    if missing := [str(bits) for bits in allocate.widths if bits not in named]:
        shown = options_of(type(step))["weight_bits"].kind.show(named)
        raise error(
            f"Pass '{step.name}' has weight_bits={shown}, but pass '{allocate.name}' may give "
            f"layers {', '.join(missing)} bits.",
            hint=f"Set them for '{allocate.name}' alone: '{step.name}' takes them over.",
        )
