"""What `inspect` comes to: what a model or a bundle consists of."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from epimc.backends.base import Port, ProgramSummary
from epimc.bundle.bundle import Bundle, read_bundle
from epimc.bundle.manifest import Origin
from epimc.frontend import ImportedModel, ModelSource, WantedInputs, import_source
from epimc.support.bit_choice import BitChoice
from epimc.support.diagnostics import counted, error
from epimc.support.equalized_pairs import EqualizedPairs
from epimc.support.files import as_path
from epimc.support.limits import DEFAULT_BYTES
from epimc.support.placement import PlacedNode, Placement, reasons
from epimc.support.port_types import PortType
from epimc.support.results import INLINED, OnnxNode, Result, first_name, onnx_nodes
from epimc.support.shapes import shapes_from
from epimc.support.tables import Block, Facts, Lines, dims, table


@dataclass(frozen=True)
class ModelPort:
    """An input or output of a model.

    Attributes:
        name: The ONNX name.
        shape: That of one sample; null where it depends on the data, or it is no tensor.
        type: What it is, as `tensor(float)[N, 3, 224, 224]`; N counts samples.
    """

    name: str
    shape: tuple[int, ...] | None
    type: str


@dataclass(frozen=True)
class ModelNode:
    """A node of the model, and where it runs.

    Attributes:
        node: The ONNX node.
        on_chip: Whether the chip computes it.
        reason: Why the chip does not; empty where it does.
        macs: Multiplications of a convolution or product of matrices, for one sample.
    """

    node: OnnxNode
    on_chip: bool
    reason: str
    macs: int


@dataclass(frozen=True)
class ModelLayer:
    """One op of a model.

    Attributes:
        name: Of its result.
        op: Its name in the IR.
        nodes: The ONNX nodes that it stands for.
        shape: Of its result, for one sample.
    """

    name: str
    op: str
    nodes: tuple[OnnxNode, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelSummary(Result):
    """An ONNX model as the compiler reads it.

    Attributes:
        name: Of its graph.
        level: Of the IR.
        inputs: What it takes.
        outputs: What it gives.
        ops: How many of each op, by its name in the IR.
        weights: Numbers in its weights.
        layers: Its ops, in order.
        nodes: Its ONNX nodes that are no constants, and where they run.
        on_chip: How much of it runs on the chip.
    """

    KIND: ClassVar[str] = "model"

    name: str
    level: str
    inputs: tuple[ModelPort, ...]
    outputs: tuple[ModelPort, ...]
    ops: Mapping[str, int]
    weights: int
    layers: tuple[ModelLayer, ...]
    nodes: tuple[ModelNode, ...]
    on_chip: Placement

    def blocks(self) -> Iterator[Block]:
        """All ops, the borders, what runs where, and totals."""
        rows = ((first_name(x.name, x.nodes), x.op, dims(x.shape)) for x in self.layers)
        yield table(("node", "op", "shape"), rows, left=2)
        borders = (*(("input", p) for p in self.inputs), *(("output", p) for p in self.outputs))
        yield Facts(tuple((f"{side} '{port.name}'", port.type) for side, port in borders))
        ports = (*self.inputs, *self.outputs)
        totals = f"{counted(len(self.layers), 'op')}, {self.weights} weights"
        sample = what_a_sample_is(PortType.parse(port.type) for port in ports)
        yield Lines((totals, sample, str(self.on_chip)))
        yield from host_part(self.nodes)


def model_summary(imported: ImportedModel) -> ModelSummary:
    """Inputs, outputs, ops and nodes of a model."""
    module = imported.module
    counts = Counter(op.name for op in module.ops)
    # What the host has holds its nodes.
    chip = [op for op in module.ops if not op.output.type.is_host]
    stored = (ref.name for op in chip for _, ref in op.tensor_refs())
    return ModelSummary(
        name=module.name,
        level=module.level,
        inputs=tuple(map(stated_port, imported.inputs)),
        outputs=tuple(map(stated_port, imported.outputs)),
        ops=dict(sorted(counts.items())),
        weights=sum(module.tensors[name].type.size for name in stored),
        layers=tuple(
            ModelLayer(op.output.name, op.name, onnx_nodes(op.location.nodes), op.output.type.shape)
            for op in module.ops
        ),
        nodes=model_nodes(imported.nodes),
        on_chip=imported.placement,
    )


def model_nodes(nodes: Iterable[PlacedNode]) -> tuple[ModelNode, ...]:
    """The nodes of a model, as results have them."""
    return tuple(
        ModelNode(OnnxNode(node.op, node.name), node.on_chip, node.reason, node.macs)
        for node in nodes
    )


def host_part(nodes: Iterable[ModelNode]) -> Iterator[Block]:
    """What runs on the host and why, by reasons; nothing where nothing does."""
    placed = (
        PlacedNode(each.node.op, each.node.name, each.on_chip, each.reason, each.macs, 0)
        for each in nodes
    )
    lines = reasons(placed)
    if lines:
        yield Lines(("on the host:", *(f"  {line}" for line in lines)))


def stated_port(port: Port) -> ModelPort:
    """An input or output of a model."""
    return ModelPort(port.name, port.shape, str(port.port_type))


@dataclass(frozen=True)
class CompileResult(Result):
    """A bundle that was just written.

    Attributes:
        bundle: Its folder.
        program: What the backend says of the program.
        on_chip: How much of the model runs on the chip.
        nodes: The model's ONNX nodes that are no constants, and where they run.
        bits: Which bits weights have, where they were chosen layer by layer; else null.
        equalization: How many pairs of layers were equalized, where that was measured; else null.
    """

    KIND: ClassVar[str] = "compile"

    bundle: str
    program: ProgramSummary = field(metadata=INLINED)
    on_chip: Placement
    nodes: tuple[ModelNode, ...]
    bits: BitChoice | None
    equalization: EqualizedPairs | None

    def blocks(self) -> Iterable[Block]:
        """What the backend says of the program, how much of the model it is, and what is not."""
        yield from self.program.blocks()
        if self.bits is not None:
            yield Lines((str(self.bits),))
        if self.equalization is not None and self.equalization.pairs:
            yield Lines((str(self.equalization),))
        yield Lines((str(self.on_chip),))
        yield from host_part(self.nodes)


def compile_result(bundle: Bundle, folder: str) -> CompileResult:
    """What a compile comes to.

    Args:
        bundle: That was compiled just now.
        folder: Where it was written.
    """
    placement = bundle.manifest.on_chip.placement
    nodes = model_nodes(bundle.placed)
    chosen = bundle.choice, bundle.equalized
    return CompileResult(folder, bundle.program.describe(), placement, nodes, *chosen)


@dataclass(frozen=True)
class BundleSummary(Result):
    """A bundle: what it was made from, and what its program consists of.

    Attributes:
        program: What the backend says of the program.
        weight_bits: Which bits weights have, in order; `manifest.options.layer_bits` tells those of
            each layer where there are several.
        manifest: The keys of its `manifest.json`, but for `files`.
    """

    KIND: ClassVar[str] = "bundle"

    program: ProgramSummary = field(metadata=INLINED)
    weight_bits: tuple[int, ...]
    manifest: Origin

    def blocks(self) -> Iterator[Block]:
        """Where it comes from, and the program."""
        manifest, options = self.manifest, self.manifest.options
        line = (
            f"{manifest.model.name} for {manifest.target}, by {manifest.tool}: "
            f"{stated_widths(self.weight_bits)}, {options.activation_bits}-bit activations"
        )
        yield Lines((line, str(manifest.on_chip.placement), sample_line(manifest)))
        yield from self.program.blocks()


def stated_widths(widths: Sequence[int]) -> str:
    """The bits of weights in words."""
    if len(widths) == 1:
        return f"{widths[0]}-bit weights"
    return f"weights of {widths[0]} to {widths[-1]} bits (see --quantization)"


def sample_line(manifest: Origin) -> str:
    """Whether samples lie along axis 0, or the model is one."""
    return what_a_sample_is(
        PortType.parse(port.type) for port in (*manifest.inputs, *manifest.outputs)
    )


def what_a_sample_is(types: Iterable[PortType]) -> str:
    """Whether samples lie along axis 0 of all inputs and outputs, or the model is one."""
    if all(kind.samples_first for kind in types):
        return "samples lie along axis 0"
    return "one sample is all that the model takes at once"


NOTHING_FIXED: Mapping[str, Any] = {}


def inspected(
    source: ModelSource,
    example: object = None,
    limit_bytes: int = DEFAULT_BYTES,
    shapes: Sequence[str] = (),
    constants: Mapping[str, Any] = NOTHING_FIXED,
) -> ModelSummary | BundleSummary:
    """What a model or a bundle, which is a folder, consists of.

    Args:
        source: A bundle's folder, or a model as `import_source` takes it.
        example: Inputs to export a model of PyTorch with.
        limit_bytes: The most that the model, or the files of the bundle, may take.
        shapes: Shapes of a model's inputs, each text as in `x=1x3x224x224`.
        constants: What inputs of a model are fixed to, by their names.

    Raises:
        EpimcError: It is neither, or the bundle's program does not pass its check (exit code 1).
    """
    folder = as_path(source, "source") if isinstance(source, (str, os.PathLike)) else None
    if folder is None or not folder.is_dir():
        wanted = WantedInputs(shapes_from(shapes), constants=constants)
        named = import_source(source, example=example, limit_bytes=limit_bytes, wanted=wanted)
        return model_summary(named.imported)
    for stated, what in ((shapes, "shapes"), (constants, "constants")):
        if stated:
            raise error(f"'{folder}' is a bundle: its {what} are set when a model is compiled.")
    bundle = read_bundle(folder, limit_bytes)
    bundle.program.refuse_bad()
    widths = bundle.manifest.options.widths
    return BundleSummary(bundle.program.describe(), widths, bundle.manifest)
