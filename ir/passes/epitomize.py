"""`epitomize`: every convolution and every constant matmul becomes an epitome op."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from epimc.diagnostics import error
from epimc.ir import plan, policies
from epimc.ir.core import Builder, Module, Value
from epimc.ir.dialects import epi, nn
from epimc.ir.levels import EPI
from epimc.ir.pipeline import Pass
from epimc.ir.policies import Layer
from epimc.ir.types import IrError


@dataclass(frozen=True)
class Epitomize(Pass):
    """Choose a sampling plan a layer and fit its epitome by least squares on the weights.

    Attributes:
        policy: `none`: the identity plan, whose epitome is the weights themselves; or
            `uniform:RxC`: epitomes of at most R rows and C columns.
    """

    policy: str = "none"

    name: ClassVar[str] = "epitomize"
    requires: ClassVar[str] = "nn"
    ensures: ClassVar[str] = "epi"

    def __post_init__(self) -> None:
        try:
            policies.choose(self.policy, Layer((1, 1, 1, 1), 1))
        except IrError as problem:
            raise ValueError(str(problem)) from None

    def run(self, module: Module) -> Module:
        """Rewrite nn.conv and nn.gemm; everything else stays."""
        builder = Builder(module, EPI)
        builder.inputs_of(module)
        rows = 1 if self.policy == "none" else array_rows(module)
        classifying = classifiers(module)
        for op in module.ops:
            if isinstance(op, (nn.Conv, nn.Gemm)):
                layer = layer_of(module, op, rows, op.output in classifying)
                rewrite(builder, module, op, *policies.choose(self.policy, layer))
            else:
                builder.copy(op)
        builder.outputs_of(module)
        return builder.finish()


def array_rows(module: Module) -> int:
    """Word lines of the target's crossbar, to which a policy aligns its blocks.

    Raises:
        EpimcError: The module names no target.
    """
    target = module.attributes.get("target")
    rows = target.get("crossbar", {}).get("rows") if isinstance(target, dict) else None
    if not isinstance(rows, int) or rows < 1:
        raise error(
            f"Module '{module.name}' does not tell the word lines of a crossbar.",
            hint="Declare its target: attribute target = {…, crossbar = {rows = 256, …}}.",
        )
    return rows


def classifiers(module: Module) -> set[Value]:
    """The results that reach a graph output through no other layer with weights."""
    producers = module.producers()
    reached: set[Value] = set()
    pending = [value for _, value in module.outputs]
    while pending:
        value = pending.pop()
        op = producers.get(value)
        if op is None or value in reached:
            continue
        reached.add(value)
        if not isinstance(op, (nn.Conv, nn.Gemm)):
            pending += op.operands
    return reached


def layer_of(module: Module, op: nn.Conv | nn.Gemm, array_rows: int, is_classifier: bool) -> Layer:
    """What a policy knows of an op; a matmul has one group."""
    groups = op.groups if isinstance(op, nn.Conv) else 1
    return Layer(weights_shape(module, op), array_rows, is_classifier, groups)


def weights_shape(module: Module, op: nn.Conv | nn.Gemm) -> plan.Shape:
    """[Cout, Cin / groups, Kh, Kw]; a matmul is a 1x1 convolution."""
    shape = module.tensors[op.weight.name].type.shape
    cout, cin, kh, kw = (*shape, *(1,) * (4 - len(shape)))
    return cout, cin, kh, kw


def rewrite(
    builder: Builder, module: Module, op: nn.Conv | nn.Gemm, epitome: plan.Shape, chosen: plan.Plan
) -> None:
    """Append the epitome op for one layer."""
    shape = weights_shape(module, op)
    fitted = plan.fit(module.tensor(op.weight).reshape(shape), chosen, epitome)
    windows = ("strides", "pads", "dilations", "groups") if isinstance(op, nn.Conv) else ()
    old = op.output
    builder.mapped[old] = builder.add(
        epi.Conv,
        [builder.mapped[op.x]],
        Value(old.name, old.type, old.range),
        op.location,
        epitome=builder.store(f"{op.weight.name}.epitome", fitted, "f32"),
        bias=op.bias,
        shape=shape,
        plan=chosen,
        **{key: op.attributes[key] for key in windows},
    )
