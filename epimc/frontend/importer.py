"""ONNX models to the IR's level `nn`.

A first walk folds constants and tries every other node on the chip, by the importer in its
operator's record (`trial.py`).  Where all of them are there, that is the module; else the model is
divided between chip and host (`partition/`) and put together anew (`assembly.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from epimc.backends.onnx.large import LargeModel
from epimc.frontend.assembly import Assembly, RefusedError, UnliftedError, size_of
from epimc.frontend.chip import Chip, is_real_input
from epimc.frontend.core.bindings import HostTensor
from epimc.frontend.core.draft import Draft
from epimc.frontend.core.steps import Scope, Step
from epimc.frontend.model.checks import check_model
from epimc.frontend.model.constants import fix_inputs
from epimc.frontend.model.external import elsewhere
from epimc.frontend.model.float32 import runnable
from epimc.frontend.model.inputs import set_wanted
from epimc.frontend.model.installed import typed
from epimc.frontend.model.loader import load_model
from epimc.frontend.model.node_names import distinct, remarks_on
from epimc.frontend.model.opsets import readable, with_default_opset
from epimc.frontend.model.outputs import named_apart, remarks_on_outputs
from epimc.frontend.model.preparation import prepared
from epimc.frontend.model.samples_axis import remarks_on_samples
from epimc.frontend.model.scopes import refuse_deep
from epimc.frontend.model.shapes import AS_DECLARED, WantedInputs
from epimc.frontend.model.standard import name_of, operator_of
from epimc.frontend.model.weightless import fill_weights, mark_weights
from epimc.frontend.parameters import parameters_of, remarks_on_parameters
from epimc.frontend.ports import Entries, ModelPort, entries_of, is_batched, port_type
from epimc.frontend.trial import Trial
from epimc.ir.core.liveness import refuse_large_maps
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value
from epimc.support.diagnostics import counted, error, shortened
from epimc.support.files import as_text
from epimc.support.limits import DEFAULT_BYTES, LONGEST_NAME, MOST_NODES, MOST_PORTS, Budget
from epimc.support.origins import EVERY_NODE, Node
from epimc.support.placement import CHEAPER_SO, PlacedNode, Placement, reasons

NOTHING: Mapping[Node, str] = {}


@dataclass(frozen=True)
class ImportedModel:
    """A model in the IR, and the model that it was.

    Attributes:
        module: At level `nn`.
        sha256: Of the model file and its external data (`loader.LoadedModel`); empty when the
            model came from memory.
        model: The user's own, with its external data.
        inputs: What it takes.
        outputs: What it gives.
        nodes: Where each node runs.
        crossing_bytes: Of one sample, as reals, that go from the chip to the host and back.
        remarks: What the user should know of the model, in sentences without a full stop.
        parameters: Inputs that operators read as nothing but what the chip must know as it is
            programmed: were they constant, more nodes could be on it.
    """

    module: Module
    sha256: str
    model: LargeModel
    inputs: list[ModelPort]
    outputs: list[ModelPort]
    nodes: tuple[PlacedNode, ...] = ()
    crossing_bytes: int = 0
    remarks: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()

    @property
    def placement(self) -> Placement:
        """How much of it runs on the chip."""
        return Placement.of(self.nodes, self.crossing_bytes)


def import_model(
    path: Path,
    *,
    limit_bytes: int = DEFAULT_BYTES,
    newest_opset: int | None = None,
    wanted: WantedInputs = AS_DECLARED,
) -> ImportedModel:
    """Import a model file.

    Args:
        path: Of the ONNX file; its stem names the module.
        limit_bytes: The most that the file, its external data and all tensors may take together.
        newest_opset: The newest opset of the default domain to accept.
        wanted: Shapes that its inputs get.

    Raises:
        EpimcError: The file is no good ONNX model, or epimc does not support what is in it.
    """
    loaded = load_model(path, limit_bytes, newest_opset, wanted)
    budget = Budget(limit_bytes, f"Model file '{path}'")
    return _imported(loaded.model, as_text(path.stem), loaded.sha256, budget)


def import_proto(
    model: onnx.ModelProto,
    name: str,
    *,
    limit_bytes: int = DEFAULT_BYTES,
    wanted: WantedInputs = AS_DECLARED,
) -> ImportedModel:
    """Import a model from memory; its tensors hold their data themselves.

    Args:
        model: As the user has it.
        name: Of the module.
        limit_bytes: The most that the model and all tensors may take together.
        wanted: Shapes that its inputs get, in a copy.

    Raises:
        EpimcError: It is no good ONNX model, or epimc does not support what is in it.
    """
    # Before anything that follows graphs within nodes.
    refuse_deep(model.graph)
    return import_large(LargeModel.of(model), name, limit_bytes=limit_bytes, wanted=wanted)


def import_large(
    model: LargeModel,
    name: str,
    *,
    limit_bytes: int = DEFAULT_BYTES,
    wanted: WantedInputs = AS_DECLARED,
) -> ImportedModel:
    """Import a model whose large tensors lie beside it; everything as `import_proto`."""
    budget = Budget(limit_bytes, f"Model '{name}'")
    if wanted != AS_DECLARED:
        model = with_wanted(model, wanted, replace(budget))
    for tensor, _ in elsewhere(model):
        raise error(
            f"Tensor '{tensor.name}' has external data, which is not loaded.",
            hint="Import the model from its file.",
        )
    check_model(model.proto)
    return _imported(model, name, "", budget)


def with_wanted(model: LargeModel, wanted: WantedInputs, budget: Budget) -> LargeModel:
    """A copy of a model from memory, with the shapes that a user wants."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model.proto)
    fixed = fix_inputs(copy, wanted.constants, budget.limit)
    weights = mark_weights(copy, None) if wanted.only else []
    fill_weights(weights, budget)
    changed = set_wanted(copy, wanted) or weights or fixed
    return model.with_proto(copy).apart() if changed else model


def _imported(model: LargeModel, name: str, sha256: str, budget: Budget) -> ImportedModel:
    proto = model.proto
    refuse_many(proto.graph)
    budget.read(model.size, "the model itself")
    remarks = (*remarks_on(proto), *remarks_on_outputs(proto))
    proto = with_default_opset(named_apart(proto, budget), budget)
    proto = readable(distinct(proto, budget), budget)
    model = runnable(model.with_proto(proto), budget)
    result = _Import(model, name, budget).run()
    further = (*remarks_on_samples(proto), *remarks_on_parameters(result.parameters))
    remarks = (*remarks, *further)
    return replace(result, sha256=sha256, model=model, remarks=remarks)


def with_hosted(
    imported: ImportedModel, hosted: Mapping[Node, str], name: str, limit_bytes: int
) -> ImportedModel:
    """The same model with more nodes on the host.

    Args:
        imported: The model.
        hosted: Why each of them, by op type and name, cannot be on the chip.
        name: Of the module.
        limit_bytes: The most that the model and all tensors may take together.

    Raises:
        EpimcError: That is not enough.
    """
    budget = Budget(limit_bytes, f"Model '{name}'")
    budget.read(imported.model.size, "the model itself")
    result = _Import(imported.model, name, budget, hosted).run()
    remarks = (*imported.remarks, *remarks_on_hosted(hosted))
    return replace(result, sha256=imported.sha256, model=imported.model, remarks=remarks)


def remarks_on_hosted(hosted: Mapping[Node, str]) -> Iterator[str]:
    """What a user should know of nodes that the chip cannot have, as passes have seen."""
    if EVERY_NODE in hosted:
        yield f"the host runs all nodes: {hosted[EVERY_NODE]}"
        return
    nodes = (PlacedNode(op, name, False, reason, 0, 0) for (op, name), reason in hosted.items())
    yield from (f"the host runs {line}" for line in reasons(nodes))


def refuse_host_nodes(imported: ImportedModel) -> None:
    """Raise EpimcError, saying why, if the host runs a node of the model."""
    hosted = [node for node in imported.nodes if not node.on_chip]
    if hosted:
        raise error(
            f"The host would run {counted(len(hosted), 'node')}, which --strict forbids.",
            notes=[f"{line}." for line in reasons(hosted)],
            hint="Compile without --strict, or end the model before these operators.",
        )


def refuse_many(graph: onnx.GraphProto) -> None:
    """Raise EpimcError for more nodes, inputs or outputs than are read, and for endless names."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in constants]
    for count, most, what in (
        (len(graph.node), MOST_NODES, "nodes"),
        (len(inputs), MOST_PORTS, "inputs"),
        (len(graph.output), MOST_PORTS, "outputs"),
    ):
        if count > most:
            raise error(
                f"The model has {count} {what}; the limit is {most}.",
                hint="Compile it in parts, which onnx.utils.extract_model cuts out.",
            )
    for entry in (*inputs, *graph.output):
        if len(entry.name) > LONGEST_NAME:
            raise error(
                f"The name '{shortened(entry.name)}' of an input or output has "
                f"{len(entry.name)} characters; the limit is {LONGEST_NAME}.",
                hint="Rename it, and export the model again.",
            )


class _Import:
    """The import of one model."""

    def __init__(
        self,
        model: LargeModel,
        name: str,
        budget: Budget,
        hosted: Mapping[Node, str] = NOTHING,
    ) -> None:
        self.model = model.with_proto(prepared(model.proto, budget))
        self.proto = self.model.proto
        self.name, self.budget, self.hosted = name, budget, hosted
        self.outputs = [output.name for output in self.proto.graph.output]
        if not self.outputs:
            raise error("The model has no outputs.", hint="Name the tensors that it is to give.")

    def run(self) -> ImportedModel:
        """The model in the IR.

        Raises:
            EpimcError: The model contradicts itself, or exceeds a limit.
        """
        trial = self.trial(entries_of(self.proto.graph))
        if trial.scope.batch > 1 and not self.is_batched(trial):
            # Several samples at once, which the host cannot take apart: they are one.
            first = {step.makes: step.reason for step in trial.steps if step.reason}
            trial = self.trial(entries_of(self.proto.graph, apart=True))
            # Why it is so, not what follows from it.
            for step in trial.steps:
                step.reason = step.reason and first.get(step.makes, step.reason)
        if self.needs_host(trial):
            return self.with_host(trial)
        return self.finished(trial, trial.chip, frozenset(range(len(trial.steps))), 0)

    def needs_host(self, trial: Trial) -> bool:
        """Whether something is not the chip's."""
        scope, inputs = trial.scope, trial.scope.inputs
        real = all(is_real_input(scope.kinds[name], scope.batch) for name in inputs)
        # An input that is an output as well is the host's.
        passed = not {*inputs}.isdisjoint(self.outputs)
        return passed or not real or any(step.reason for step in trial.steps)

    def is_batched(self, trial: Trial) -> bool:
        """Whether axis 0 counts samples, all of them on the chip."""
        kinds = (trial.scope.kinds.get(name) for name in trial.outputs.values())
        return not self.needs_host(trial) and all(
            is_batched(kind, trial.scope.batch) for kind in kinds
        )

    def trial(self, entries: Entries) -> Trial:
        """The model with every node on the chip that can be there."""
        # One of them is kept: what the others have made is not paid for.
        trial = Trial(self.model, entries, self.name, replace(self.budget), {}, self.hosted)
        # Of operators that ONNX does not know.
        if trial.unknown and (known := typed(self.proto, trial.unknown)):
            trial = Trial(self.model, entries, self.name, replace(self.budget), known, self.hosted)
        return trial

    def with_host(self, trial: Trial) -> ImportedModel:
        """The model of which a part runs on the host."""
        outputs = [*trial.outputs.values()]
        # What the chip refuses beside the host goes there too: each time one node at least.
        while True:
            draft = Draft(self.name, trial.scope.batch, trial.draft.opset, trial.draft.budget)
            try:
                assembly = Assembly.of(self.proto, trial.steps, trial.scope, outputs, draft)
            except RefusedError as refusal:
                trial.steps[refusal.number].reason = refusal.reason
                trial.steps[refusal.number].work = 0
                continue
            except UnliftedError:
                refuse_chip(trial.steps)
                continue
            split = assembly.split
            crossing = split.leaving + split.entering
            return self.finished(trial, assembly.chip, split.chip, crossing)

    def finished(
        self, trial: Trial, chip: Chip, on_chip: frozenset[int], crossing: int
    ) -> ImportedModel:
        """The module with its outputs, and where all nodes run."""
        draft, module, scope = chip.draft, chip.draft.module, trial.scope
        for name, tensor in trial.outputs.items():
            binding = chip.bound.get(tensor)
            value = binding.value if isinstance(binding, HostTensor) else binding
            assert isinstance(value, Value), tensor
            module.outputs.append((name, value))
        drop_unread(module)
        module = draft.builder.finish()
        refuse_large_maps(module, draft.budget)
        inputs = [
            port(scope, name, name, samples_first=not value.type.is_host)
            for name, value in module.inputs
        ]
        outputs = [
            # One that is an input is so as such.
            port(scope, name, tensor, samples_first=tensor not in scope.inputs)
            for name, tensor in trial.outputs.items()
        ]
        return ImportedModel(
            module,
            "",
            self.model,
            inputs,
            outputs,
            placed_nodes(trial, on_chip),
            crossing,
            parameters=parameters_of(scope.inputs, trial.steps),
        )


def port(scope: Scope, name: str, tensor: str, *, samples_first: bool) -> ModelPort:
    """An input or output.

    Args:
        scope: The tensors of the model.
        name: In the model.
        tensor: What it is.
        samples_first: Whether axis 0 counts samples, though it is not so for all inputs.
    """
    first = scope.samples_first or samples_first
    return ModelPort(name, port_type(scope.kinds.get(tensor), scope.batch, samples_first=first))


def placed_nodes(trial: Trial, on_chip: frozenset[int]) -> tuple[PlacedNode, ...]:
    """Where all nodes of the model run, and why."""
    kinds = trial.scope.kinds
    return tuple(
        PlacedNode(
            operator_of(step.proto),
            name_of(step.proto),
            number in on_chip,
            "" if number in on_chip else step.reason or CHEAPER_SO,
            step.macs,
            sum(size_of(kinds.get(made)) for made in step.makes),
        )
        for number, step in enumerate(trial.steps)
        if not step.copies
    )


def refuse_chip(steps: Iterable[Step]) -> None:
    """Let the host run everything."""
    for step in steps:
        step.reason = step.reason or "nodes of the host beside it are of an opset too old"
        step.work = 0


def drop_unread(module: Module) -> None:
    """Ops that nobody reads go: of a node some results may be read, or nothing but a shape."""
    read = {value for _, value in module.outputs}
    kept: list[Op] = []
    for op in reversed(module.ops):
        if op.output in read:
            kept.append(op)
            read.update(op.operands)
    # They were collected from the last to the first.
    module.ops = kept[::-1]
