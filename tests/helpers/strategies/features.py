"""What occurs in a compiled case: so that a suite can tell what it has really seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.moves import Rearrange
from epimc.backends.crossbar.instructions.vector import Add
from epimc.backends.crossbar.summary import program_summary
from epimc.ir.core.module import Module
from epimc.ir.dialects import epi, moves, nn
from epimc.ir.epitome.plan import Patch

OPERATORS = (
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Concat",
    "Conv",
    "Gemm",
    "MatMul",
    "MaxPool",
    "Mul",
    "PRelu",
    "Pad",
    "Relu",
    "Resize",
    "Slice",
    "Softmax",
    "Sub",
    "Transpose",
)

FEATURES = (
    *OPERATORS,
    "asymmetric pads",
    "constants",
    "depthwise",
    "dilations",
    "groups",
    "look-ups",
    "loops",
    "overlapping windows",
    "partial sums",
    "rearrangements on chip",
    "repeated windows",
    "residuals",
    "rows sent",
    "selections",
    "several inputs",
    "several outputs",
    "several tiles",
    "spatial epitomes",
    "spills",
    "strides",
    "uneven means",
    "wrapped outputs",
)
"""All that must occur again and again."""


def features(modules: Mapping[str, Module], program: Program) -> set[str]:
    """Those of FEATURES that occur.

    Args:
        modules: The IR after each stage by name.
        program: What was made of it.
    """
    imported = modules["import"]
    present = {kind for op in imported.ops for kind, _ in op.location.nodes} & {*OPERATORS}
    present.update(of_module(imported), of_plans(modules["epitomize"]), of_program(program))
    return present


def of_module(module: Module) -> Iterator[str]:
    """What a module at level `nn` holds."""
    if len(module.inputs) > 1:
        yield "several inputs"
    if len(module.outputs) > 1:
        yield "several outputs"
    for op in module.ops:
        if type(op) is nn.Add:
            yield "residuals"
        if isinstance(op, moves.Constant):
            yield "constants"
        if isinstance(op, moves.Select):
            yield "selections"
        if isinstance(op, nn.AveragePool) and op.counted is not None:
            yield "uneven means"
        if not isinstance(op, nn.Conv):
            continue
        top, left, bottom, right = op.pads
        channels = op.x.type.shape[0]
        holds = {
            "groups": 1 < op.groups < channels,
            "depthwise": 1 < op.groups == channels,
            "dilations": op.dilations != (1, 1),
            "strides": op.strides != (1, 1),
            "asymmetric pads": (top, left) != (bottom, right),
        }
        yield from (name for name, is_present in holds.items() if is_present)


def of_plans(module: Module) -> Iterator[str]:
    """What the plans of a module at level `epi` hold."""
    for op in module.ops:
        if not isinstance(op, epi.Conv):
            continue
        _, _, eh, ew = module.tensors[op.epitome.name].type.shape
        _, _, kh, kw = op.shape
        if (eh, ew) != (kh, kw):
            yield "spatial epitomes"
        for one, other in combinations(op.plan, 2):
            yield from of_patches(one, other, (kh, kw))


def of_patches(one: Patch, other: Patch, kernel: tuple[int, int]) -> Iterator[str]:
    """How the windows of two patches lie to one another."""
    first, second = window(one, kernel), window(other, kernel)
    if any(a.stop <= b.start or b.stop <= a.start for a, b in zip(first, second, strict=True)):
        return
    if first[1:] == second[1:]:
        same_inputs = (one.i0, one.in_) == (other.i0, other.in_)
        yield "wrapped outputs" if same_inputs else "repeated windows"
    if first != second:
        yield "overlapping windows"


def window(patch: Patch, kernel: tuple[int, int]) -> list[range]:
    """What a patch takes of the epitome, dim by dim."""
    firsts = patch.eo, patch.ei, patch.dy, patch.dx
    sizes = patch.on, patch.in_, *kernel
    return [range(first, first + size) for first, size in zip(firsts, sizes, strict=True)]


def of_program(program: Program) -> Iterator[str]:
    """What a program holds."""
    summary = program_summary(program)
    opcodes = {instruction.opcode for stream in program.streams for instruction in stream}
    holds = {
        "several tiles": summary.tiles > 1,
        "spills": bool(summary.spilled),
        "rows sent": "send" in opcodes,
        "look-ups": "lookup" in opcodes,
        "loops": "loop" in opcodes,
        "partial sums": any(isinstance(table, Add) for table in program.tables),
        "rearrangements on chip": any(isinstance(t, Rearrange) for t in program.tables),
    }
    yield from (name for name, is_present in holds.items() if is_present)
