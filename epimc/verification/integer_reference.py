"""The integer reference of a bundle: compared with what a program claims of it, and run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from epimc.backends.base import CompiledProgram, FeatureMap
from epimc.backends.forms import Claim, HostValue, Tensor
from epimc.backends.onnx.fragments import inlined
from epimc.backends.onnx.graph import integer_prefix
from epimc.backends.onnx.large import LargeModel
from epimc.backends.onnx.ledger import Ledger
from epimc.backends.onnx.reading import Exported, read_exported, tensor_names, with_outputs
from epimc.runtime.reference import Reference
from epimc.support.diagnostics import check_failed
from epimc.support.port_types import FLOAT, PortType

Array = NDArray[Any]


class IntegerReference:
    """The integer graph that a program must equal.

    Attributes:
        exported: What the graph states.
        tensors: The tensors that stand for maps of the program, by the map's name.
    """

    def __init__(
        self,
        data: bytes | LargeModel,
        what: str,
        program: CompiledProgram,
        maps: Iterable[FeatureMap],
    ) -> None:
        """Read the graph, and load it into onnxruntime so that it gives the maps.

        Args:
            data: An ONNX file, or what two files have.
            what: Names it in errors.
            program: What it stands for.
            maps: Whose integers it is to give, as far as it has them.

        Raises:
            EpimcError: It is not of the form in which epimc writes it, or onnxruntime refuses it
                (exit code 2), or it has other inputs and outputs than the program (exit code 1).
        """
        self.program, self.exported = program, read_exported(data, what)
        prefix, made = self.exported.prefix, tensor_names(self.exported.model)
        names = {feature.name: Tensor(feature.name).name(prefix) for feature in maps}
        # What the reference lacks is for the caller to count as a mismatch.
        self.tensors = {name: tensor for name, tensor in names.items() if tensor in made}
        # What crosses from one call of the host to the next has to be there as the host gives it:
        # onnxruntime computes some types in wider ones, and would not round in between.
        crossing = [value.tensor.name(prefix) for value in host_values(program)]
        kept = [*self.tensors.values(), *(name for name in crossing if name in made)]
        watched = self.exported.large.with_proto(with_outputs(self.exported.model, kept))
        self.session = Reference(watched, "the integer reference", types=types_of(program))
        refuse_other_ports(program, self.session, prefix)

    def run(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The named outputs and tensors for all samples, samples first."""
        return self.session.run(names, inputs)

    def mismatches(self, fragments: Mapping[str, bytes]) -> dict[str, int]:
        """How much of the graph is not what the program claims, as `mismatches_of`."""
        return mismatches_of(self.exported, self.program, fragments)


def mismatches_of(
    exported: Exported,
    program: CompiledProgram,
    fragments: Mapping[str, bytes],
    claimed: Iterable[Claim] | None = None,
) -> dict[str, int]:
    """How much of a graph is not what a program claims, by the names of tensors.

    Args:
        exported: The graph.
        program: Whose claims are compared.
        fragments: The models of its host calls.
        claimed: The claims, where they are known already.

    Raises:
        EpimcError: A fragment is no ONNX model, or does not fit its call.
    """
    ledger = Ledger(exported)
    # One after the other: the weights of all layers at once would be large.
    for claim in program.claims() if claimed is None else claimed:
        ledger.take(claim)
    for call in program.host_calls:
        fragment = fragments[call.fragment]
        ledger.take_fragment(inlined(fragment, call.fragment, call.operands, exported.prefix))
    ledger.take_annotations(feature.name for feature in program.maps if feature.is_activation)
    inputs, outputs = (
        [(port.name, port.port_type) for port in ports]
        for ports in (program.inputs, program.outputs)
    )
    ledger.take_borders(inputs, outputs)
    # What the graph has and nobody has claimed is wrong, too.
    ledger.close()
    # Every name above has the prefix that the reference states; that it is the right one is left.
    right = integer_prefix(name for name, _ in (*inputs, *outputs)) == exported.prefix
    return ledger.wrong if right else ledger.wrong | {exported.prefix: 1}


def host_values(program: CompiledProgram) -> list[HostValue]:
    """The results of host calls that other calls take."""
    operands = (each for call in program.host_calls for each in call.operands)
    values = (each for each in operands if isinstance(each, HostValue))
    return [*dict.fromkeys(value for value in values if value.result is not None)]


def types_of(program: CompiledProgram) -> dict[str, PortType] | None:
    """The types of inputs and outputs, where its references get one sample at a time."""
    ports = (*program.inputs, *program.outputs)
    plain = all(port.port_type == PortType(dims=port.shape) for port in ports)
    if plain and not program.host_calls:
        return None
    return {port.name: port.port_type for port in ports}


def refuse_other_ports(program: CompiledProgram, reference: Reference, prefix: str) -> None:
    """The inputs and outputs of the program are those of the reference, by name, shape and order.

    Raises:
        EpimcError: They are not (exit code 1).
    """
    for kind, ports, known in (
        ("inputs", program.inputs, reference.inputs),
        ("outputs", program.outputs, reference.outputs),
    ):
        own = [port.name for port in ports]
        # Besides its own, the reference gives the integers of all layers.
        stated = [name for name in known if not name.startswith(prefix)]
        alike = all(fits(port.port_type, known.get(port.name)) for port in ports)
        if own != stated or not alike:
            said = [f"'{port.name}' {port.port_type}" for port in ports]
            theirs = [f"'{name}' {known[name]}" for name in stated]
            notes = [f"The program: {', '.join(said)}.", f"The reference: {', '.join(theirs)}."]
            raise check_failed(f"The {kind} are not those of the integer reference.", notes=notes)


def fits(kind: PortType, shape: Sequence[int | str | None] | None) -> bool:
    """Whether an input or output of floats is stated in its shape, as far as that is known."""
    if kind.kind != FLOAT or not kind.samples_first or kind.dims is None:
        return True
    if shape is None or len(shape) != len(kind.dims):
        return False
    return all(size in (None, other) for size, other in zip(kind.dims, shape, strict=True))
