"""`epitomize`: every convolution and every constant matmul becomes an epitome op."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from epimc.ir.core.levels import EPI, NN
from epimc.ir.core.module import Builder, Module, Op, Value
from epimc.ir.core.module_attributes import TARGET
from epimc.ir.dialects import epi, nn
from epimc.ir.epitome import plan
from epimc.ir.epitome.layer_plans import PLANS, Plans, load, wrong_policy
from epimc.ir.epitome.policies import Layer
from epimc.ir.passes.fold import find_chains, keep
from epimc.ir.pipeline import Pass
from epimc.support.diagnostics import error, mistaken
from epimc.support.options import Option


@dataclass(frozen=True)
class Epitomize(Pass):
    """Choose a sampling plan a layer and fit its epitome by least squares on the weights.

    Attributes:
        policy: `none`: the identity plan, whose epitome is the weights themselves; or
            `uniform:RxC`: epitomes of at most R rows and C columns; or `plans`: what the
            module's attribute `plans` gives for each layer.
    """

    policy: Annotated[str, Option("none, uniform:RxC, or plans: those of the module.")] = "none"

    name: ClassVar[str] = "epitomize"
    requires: ClassVar[str] = NN
    ensures: ClassVar[str] = EPI

    def __post_init__(self) -> None:
        """A policy that does not exist is refused where it is asked for."""
        super().__post_init__()
        if self.policy != PLANS and (problem := wrong_policy(self.policy)):
            raise ValueError(problem)

    def run(self, module: Module) -> Module:
        """Rewrite nn.conv and nn.gemm, and nn.batch_norm to nn.affine; everything else stays."""
        builder = Builder(module, self.ensures)
        builder.inputs_of(module)
        plans = Plans(self.policy)
        if self.policy == PLANS:
            plans = module_plans(module)
            del builder.module.attributes[PLANS]
        layers = layers_of(module, array_rows(module) if plans.needs_target else 1)
        chosen = dict(zip(layers, plans.choose(list(layers.values())), strict=True))
        for op in module.ops:
            if isinstance(op, (nn.Conv, nn.Gemm)):
                rewrite(builder, module, op, *chosen[op])
            else:
                # A batch normalization that no one folds is affine behind the weights, too.
                keep(builder, module, op)
        builder.outputs_of(module)
        return builder.finish()


def module_plans(module: Module) -> Plans:
    """The plans in the attribute `plans`.

    Raises:
        EpimcError: There are none, or they are wrong.
    """
    given = module.attributes.get(PLANS)
    if not isinstance(given, dict):
        raise error(
            f"Module '{module.name}' has no plans for its layers.",
            hint='Declare them: attribute plans = {default = "none", layer = [{name = …, …}]}.',
        )
    plans, found = load(given)
    if found:
        raise mistaken("The plans of the layers have", found)
    return plans


def layers_of(module: Module, rows: int) -> dict[Op, Layer]:
    """What policies and users know of each layer of a module at level `nn`.

    Args:
        module: Before or after `fold`: the names of a layer are the same.
        rows: Word lines of the target's crossbar.
    """
    classifying, chains = classifiers(module), find_chains(module)
    return {
        op: Layer(
            weights_shape(module, op),
            rows,
            op.output in classifying,
            op.groups if isinstance(op, nn.Conv) else 1,
            layer_names([op, *chains.get(op, [])]),
        )
        for op in module.ops
        if isinstance(op, (nn.Conv, nn.Gemm))
    }


def layer_names(ops: list[Op]) -> tuple[str, ...]:
    """The names of a layer and of what is folded into it: nodes, then values."""
    nodes = [name for op in ops for _, name in op.location.nodes]
    return (*nodes, *(op.output.name for op in ops))


def array_rows(module: Module) -> int:
    """Word lines of the target's crossbar, to which a policy aligns its blocks.

    Raises:
        EpimcError: The module names no target.
    """
    target = module.attributes.get(TARGET)
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
