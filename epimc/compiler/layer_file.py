"""What was chosen for each layer, as the file that `--epitome` reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from epimc.compiler.importing import Start
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op
from epimc.ir.epitome.layer_plans import PLANS, LayerPlan, Plans, indices_by_name
from epimc.ir.epitome.plan_files import plan_text
from epimc.ir.passes.epitomize import layers_of, module_plans
from epimc.quantization.allocation.allocate import BIT_CHOICE, layers_with_weights
from epimc.support.bit_choice import BitChoice
from epimc.support.files import File

LAYER_FILE = "ir/layers.toml"


def bit_choice(module: Module) -> BitChoice | None:
    """Which widths were chosen; None where nobody asked."""
    stated: dict[str, Any] | None = module.attributes.get(BIT_CHOICE)
    if stated is None:
        return None
    counts = Counter(stated["weight_bits"])
    return BitChoice(
        {str(bits): counts[bits] for bits in sorted(counts)},
        stated["crossbars"],
        stated["array_reads"],
        stated["error"],
        stated["gap"],
    )


def layer_files(start: Start, floats: Module, epitome: str) -> dict[str, File]:
    """The file, by its path in the bundle; none where bits were not chosen layer by layer.

    Args:
        start: What the compile started from.
        floats: The module whose layers state their bits.
        epitome: What gave layers their epitomes: a policy, or a file.
    """
    choice = bit_choice(floats)
    if choice is None:
        return {}
    plans = module_plans(start.module) if PLANS in start.module.attributes else Plans(epitome)
    layers = layers_with_weights(floats)
    bits = [layer.weight_bits or 0 for layer in layers]
    text = plan_text(with_bits(plans, start.module, layers, bits))
    return {LAYER_FILE: f"# {choice}\n{text}".encode()}


def with_bits(plans: Plans, module: Module, layers: Sequence[Op], bits: Sequence[int]) -> Plans:
    """Plans that also state the bits of every layer.

    Args:
        plans: For the epitomes.
        module: As it was imported.
        layers: Of the module that quantization takes, in order.
        bits: Of each layer's weights.
    """
    described = list(layers_of(module, rows=1).values())
    known = indices_by_name(described)
    stated: dict[str, LayerPlan] = {one.name: one for one in plans.layers}
    # What a file calls a layer stays what it is called.
    names = {known[name][0]: name for name in stated if len(known.get(name, ())) == 1}
    for op, width in zip(layers, bits, strict=True):
        indices = known.get(op.output.name, [])
        if len(indices) == 1 and indices[0] not in names:
            own = described[indices[0]].names
            names[indices[0]] = next(name for name in own if known[name] == indices)
        name = names[indices[0]] if len(indices) == 1 else op.output.name
        stated[name] = replace(stated.get(name, LayerPlan(name)), weight_bits=width)
    return replace(plans, layers=tuple(stated.values()))
