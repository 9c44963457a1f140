"""Parts of the host in the proof: several results, values of any type, what enters the chip.

Every change of the reference, of what the program says of the host, and of a fragment must show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from epimc.api import build
from epimc.backends.crossbar.core.program import HostPort, Program
from epimc.backends.crossbar.instructions.host import Enter, Host, HostOperand
from epimc.backends.onnx.reading import Exported, read_exported
from epimc.compiler.options import Request
from epimc.support.diagnostics import EpimcError
from epimc.verification.verify import verify
from tests.crossbars import compiled_of, differences, program_in
from tests.helpers.onnx_networks import Network
from tests.verification.test_closed_proof import (
    CHANGES,
    Case,
    Change,
    doubled,
    nodes_away,
    none_left,
    wrong_attributes,
    wrong_inputs,
    wrong_kinds,
    wrong_numbers,
    wrong_types,
)

pytestmark = pytest.mark.smoke


def hosted() -> onnx.ModelProto:
    """Two parts of the host around a layer, with several results of other types, between them too.

    `ids` goes to the host and, as it is, to the user.
    """
    net = Network({"x": (3, 4, 4)}, batch=1)
    net.inputs.append(helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 4]))
    best, places = "best", "places"
    ranked = [net.conv("x", 3, 4), net.constant(np.array([2]))]
    net.nodes.append(helper.make_node("TopK", ranked, [best, places], "top", axis=3))
    chosen = net.node("GatherElements", net.conv(best, 4, 4), places, axis=1)
    weight = net.constant(net.floats(32, 5, scale=0.3))
    last = net.node("Gemm", net.node("Flatten", chosen), weight)
    summed = net.node("CumSum", "ids", net.constant(np.array(1)))
    model = net.model(last, places, summed, best, "ids")
    for output in model.graph.output:
        if output.name in (places, summed, "ids"):
            output.type.tensor_type.elem_type = TensorProto.INT64
    return model


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """It, compiled."""
    folder = tmp_path_factory.mktemp("hosted")
    onnx.save(hosted(), folder / "m.onnx")
    return Case(build(Request(folder / "m.onnx", activation_bits=7), folder / "out"))


@pytest.fixture(scope="module")
def exported(case: Case) -> Exported:
    """Its integer reference."""
    return read_exported(case.reference.read_bytes(), "it")


def test_the_model_has_all_that_it_is_for(case: Case) -> None:
    program = program_in(case.bundle)
    calls = list(program.tables_of(Host))
    tokens = [port.token for port in program.host_inputs]
    # The first call takes an activation and an input; the second one also a result of the first.
    assert [[operand.result for operand in call.reads] for call in calls] == [[-1, 0], [-1, 1]]
    assert calls[0].reads[1].map in tokens
    assert calls[1].reads[1].map == calls[0].destination
    assert len(list(program.tables_of(Enter))) == 2
    assert {port.type[:13] for port in program.host_outputs} == {"tensor(float)", "tensor(int64)"}
    assert verify(case.bundle).exact


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_the_reference_shows(case: Case, change: Change) -> None:
    assert case.survivors(change) == []


# --- the program ----------------------------------------------------------------------------------


def other_reads(reads: tuple[HostOperand, ...]) -> Iterator[tuple[HostOperand, ...]]:
    """Other operands: in another order, other results, one more and one less."""
    if len(reads) > 1:
        yield reads[::-1]
    yield (*reads, reads[0])
    yield reads[:-1]
    for k, operand in enumerate(reads):
        for other in (-1, 0, 1, 2):
            if other != operand.result:
                yield (*reads[:k], replace(operand, result=other), *reads[k + 1 :])


def other_tables(program: Program) -> Iterator[tuple[str, Program]]:
    """The program with one table of the host changed."""
    for number, table in enumerate(program.tables):
        changed: list[Host | Enter] = []
        if isinstance(table, Host):
            changed = [replace(table, reads=reads) for reads in other_reads(table.reads)]
            changed += [replace(table, fragment=f"{table.fragment}.other")]
        if isinstance(table, Enter):
            results = [k for k in range(-1, 3) if k != table.value.result]
            changed = [replace(table, value=replace(table.value, result=k)) for k in results]
            others = [k for k, kind in enumerate(program.maps) if k != table.value.map]
            changed += [replace(table, value=replace(table.value, map=k)) for k in others]
        for other in changed:
            tables = (*program.tables[:number], other, *program.tables[number + 1 :])
            yield str(other), replace(program, tables=tables)


def other_ports(program: Program) -> Iterator[tuple[str, Program]]:
    """The program with one port of the host changed."""
    maps = range(len(program.maps))
    for is_output, ports in enumerate((program.inputs, program.outputs)):
        for number, port in enumerate(ports):
            if not isinstance(port, HostPort):
                continue
            changed = [replace(port, name=f"{port.name}.other")]
            changed += [replace(port, token=k) for k in maps if k != port.token]
            changed += [replace(port, result=k) for k in range(4) if k != port.result]
            changed += [replace(port, type=text) for text in other_types(port.type)]
            for other in changed:
                there = (*ports[:number], other, *ports[number + 1 :])
                inputs, outputs = (program.inputs, there) if is_output else (there, program.outputs)
                yield str(other), replace(program, inputs=inputs, outputs=outputs)


def other_types(text: str) -> list[str]:
    """Of another element, another size, one dim less, with samples elsewhere, and of no size."""
    kind, _, dims = text.removesuffix("]").partition("[")
    sizes = dims.split(", ")
    return [
        f"tensor(double)[{dims}]",
        f"{kind}[{', '.join([*sizes[:-1], '9'])}]",
        f"{kind}[{', '.join(sizes[:-1])}]",
        f"{kind}[{', '.join(['1', *sizes[1:]])}]",
        f"seq({kind})",
    ]


def shows(program: Program, exported: Exported, fragments: Mapping[str, bytes]) -> bool:
    """Whether the checker or the proof sees that a program is another one."""
    try:
        compiled_of(program).refuse_bad()
        return bool(differences(exported, program, fragments))
    except EpimcError:
        return True


def test_every_change_of_a_table_of_the_host_shows(case: Case, exported: Exported) -> None:
    program, fragments = program_in(case.bundle), case.bundle.fragments
    assert not shows(program, exported, fragments)
    changes = list(other_tables(program))
    assert len(changes) > 30
    assert [what for what, other in changes if not shows(other, exported, fragments)] == []


def test_every_change_of_a_port_of_the_host_shows(case: Case, exported: Exported) -> None:
    program, fragments = program_in(case.bundle), case.bundle.fragments
    changes = list(other_ports(program))
    assert len(changes) > 50
    assert [what for what, other in changes if not shows(other, exported, fragments)] == []


def test_an_input_of_the_host_is_one_value(case: Case) -> None:
    program = program_in(case.bundle)
    number, call = next((k, t) for k, t in enumerate(program.tables) if isinstance(t, Host))
    reads = (call.reads[0], replace(call.reads[1], result=1))
    tables = [*program.tables]
    tables[number] = replace(call, reads=reads)
    outputs = tuple(
        replace(port, result=2) if port.name == "ids" else port for port in program.host_outputs
    )
    changed = replace(program, tables=tuple(tables), outputs=(*program.chip_outputs, *outputs))
    with pytest.raises(EpimcError) as caught:
        compiled_of(changed).refuse_bad()
    assert str(caught.value) == (
        "error: The program does not pass its check.\n"
        "  note: error: There is no result 2.\n"
        "    --> output 'ids'\n"
        "  note: error: Input 'ids' has no result 1.\n"
        "    --> table 2 (host of 'host1', node 'top' (TopK), node 'cumsum6' (CumSum))"
    )


# --- fragments ------------------------------------------------------------------------------------


def other_borders(model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[], None]]]:
    """Its inputs or its outputs in another order, one away, one twice."""
    for fields in (model.graph.input, model.graph.output):
        for kept in (
            [-1, *range(len(fields) - 1)],
            range(1, len(fields)),
            [0, *range(len(fields))],
        ):
            chosen = [fields[k] for k in kept]
            if chosen != list(fields):
                yield f"{kept}", lambda it=fields, to=chosen: refill(it, to)  # type: ignore[misc]


def refill(fields: Any, entries: list[onnx.ValueInfoProto]) -> None:
    """Put other entries in the place of those of a field."""
    copies = [onnx.ValueInfoProto.FromString(entry.SerializeToString()) for entry in entries]
    del fields[:]
    fields.extend(copies)


@pytest.mark.parametrize(
    "change",
    [
        *(wrong_kinds, wrong_inputs, wrong_attributes, nodes_away, other_borders),
        *(wrong_numbers, wrong_types, none_left, doubled),
    ],
)
def test_every_change_of_a_fragment_shows(case: Case, exported: Exported, change: Change) -> None:
    program, survivors, count = program_in(case.bundle), [], 0
    for name, data in case.bundle.fragments.items():
        for index, (place, _) in enumerate(list(change(onnx.load_model_from_string(data)))):
            model = onnx.load_model_from_string(data)
            next(islice(change(model), index, None))[1]()
            fragments = {**case.bundle.fragments, name: model.SerializeToString()}
            count += 1
            if not shows(program, exported, fragments):
                survivors.append(f"{name}: {place}")
    assert count > 0
    assert survivors == []


def test_each_call_has_its_own_fragment(case: Case, exported: Exported) -> None:
    program, fragments = program_in(case.bundle), case.bundle.fragments
    first, second = fragments
    swapped = {first: fragments[second], second: fragments[first]}
    assert shows(program, exported, swapped)
