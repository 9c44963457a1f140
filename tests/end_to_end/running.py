"""A random case compiled, run, and held to all that must be true of every program."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from epimc.backends.base import DoesNotFitError
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.isa.assembly import format_program, parse_program
from epimc.backends.crossbar.isa.binary import decode, encode
from epimc.backends.crossbar.isa.listing import list_program
from epimc.backends.crossbar.sim.counters import Counters
from epimc.backends.crossbar.target.schema import Target
from epimc.bundle.bundle import Bundle, read_bundle, write_bundle
from epimc.compiler.compiler import Job, compile_model, compiled_once
from epimc.compiler.memory import NOTHING, InMemory
from epimc.compiler.options import PlanRequest, Request
from epimc.compiler.planning import plan_model
from epimc.ir.core.module import Module
from epimc.ir.interpreter import interpret
from epimc.ir.observers import CompileObserver
from epimc.runtime.host import OnnxHost
from epimc.runtime.session import Session
from epimc.samples.samples import write_samples
from epimc.support.diagnostics import RefusedNodesError
from epimc.support.origins import Node
from epimc.verification.results import VerifyResult
from epimc.verification.verify import verify
from tests.crossbars import counts_of, program_in
from tests.golden_files import round_trip
from tests.helpers.observed import Observed
from tests.helpers.strategies.cases import Case, toml_of

Array = NDArray[Any]


@dataclass(frozen=True)
class Done:
    """A case that was compiled into a bundle, which was written and read back.

    Attributes:
        bundle: In a folder that lives as long as the `with` of `compiled`.
        modules: The IR after each stage by name.
        request: What was asked for in the end, when the buffer was large enough.
    """

    bundle: Bundle
    modules: dict[str, Module]
    request: Request

    @property
    def program(self) -> Program:
        """The program as read from the bundle."""
        return program_in(self.bundle)


def with_buffer(target: Target, size: int) -> Target:
    """The target with so many bytes in a tile's buffer."""
    tile = target.tile.model_copy(update={"buffer_bytes": size})
    return target.model_copy(update={"tile": tile})


@contextmanager
def compiled(case: Case) -> Iterator[Done]:
    """Compile a case; where a window exceeds its buffers, with plenty of room.

    Raises:
        EpimcError: The case is refused.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(case.model, folder / "model.onnx")
        files = case.fits_files
        if files:
            write_samples(folder / "samples.npz", case.samples)
        if case.plans:
            (folder / "plans.toml").write_text(toml_of(case.plans), encoding="utf-8")
        request = Request(
            folder / "model.onnx" if files else None,
            target=str(folder / "target.toml"),
            weight_bits=case.weight_bits,
            activation_bits=case.activation_bits,
            calibration=folder / "samples.npz" if files else None,
            epitome=str(folder / "plans.toml") if case.plans else case.policy,
        )
        observed = Observed()
        memory = NOTHING if files else InMemory(case.model, calibration=case.samples)
        bundle = compile_tightly(request, case.target, observed, memory)
        write_bundle(folder / "bundle", bundle)
        yield Done(
            read_bundle(folder / "bundle"),
            observed.modules,
            replace(request, model=folder / "model.onnx"),
        )


def compile_tightly(
    request: Request, target: Target, observer: CompileObserver, memory: InMemory = NOTHING
) -> Bundle:
    """Compile for the target; where a window exceeds its buffers, with plenty of room."""
    assert request.target is not None
    Path(request.target).write_text(target.to_toml(), encoding="utf-8")
    try:
        # As `compile_model`, which lets the host run what does not fit.
        return compiled_once(Job.of(request), [observer], memory, {})
    except DoesNotFitError:
        Path(request.target).write_text(with_buffer(target, 2**20).to_toml(), encoding="utf-8")
    except RefusedNodesError:
        pass
    return compile_model(request, [observer], memory)


def assert_all(case: Case, done: Done) -> None:
    """All that must be true of every program."""
    report = verify(done.bundle, layers=True)
    assert_right(report, near=case.loses_little)
    # What the host runs alone has none.
    maps = done.program.maps
    assert report.layers or not any(m.nodes and not m.is_token for m in maps)
    assert_same_integers(case, done)
    assert_paths_agree(case, done.bundle)
    assert_losses_agree(case, done.bundle)
    assert_counts_as_planned(case, done)
    assert_texts_come_back(done)


def assert_right(report: VerifyResult, *, near: bool) -> None:
    """All integers and outputs are onnxruntime's; and perhaps near the float model."""
    assert report.exact, (
        report.parameters,
        [x for x in report.layers if x.mismatches],
        [x for x in report.outputs if x.mismatches],
    )
    assert all(layer.elements for layer in report.layers)
    assert report.layer_errors is not None
    if near:
        # The integer reference could be wrong as well: then it is far from the user's model.
        alone = {loss.name: loss.sqnr_alone_db for loss in report.layer_errors}
        assert not {name: db for name, db in alone.items() if db is not None and db < NEAR}, alone


# Numbers that mean something else give 0 dB or less.
NEAR = 3.0


def assert_same_integers(case: Case, done: Done) -> None:
    """The IR means what the program computes: before the chip is known, and at the end."""
    outputs, maps = Session(done.bundle).executor.run_collect(case.samples)
    quantized, lowered = done.modules["quantize"], done.modules["allocate"]
    host = OnnxHost(done.bundle.fragments) if done.bundle.fragments else None
    seen: dict[str, Any] = {}
    real = interpret(
        quantized, case.samples, lambda value, array: seen.update({value.name: array}), host
    )
    assert real.keys() == outputs.keys()
    assert all(same(outputs[name], array) for name, array in real.items())
    again: dict[str, Any] = {}
    known = {
        # What the host takes is what users have.
        name: case.samples[name] if value.type.is_host else seen[value.name]
        for name, value in lowered.inputs
    }
    interpret(lowered, known, lambda value, array: again.update({value.name: array}), host)
    for name, array in again.items():
        # The results of a call are one value more in a program: they are compared as outputs.
        if isinstance(array, np.ndarray):
            assert name not in seen or same(array, seen[name]), name
            assert name not in maps or same(array.ravel(), maps[name].ravel()), name


def same(ours: Any, theirs: Any) -> bool:
    """Whether two values of any type are equal, type, shape and elements; NaN is equal to NaN."""
    if isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
        reals = ours.dtype.kind == theirs.dtype.kind == "f"
        return np.array_equal(ours, theirs, equal_nan=reals)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return type(ours) is type(theirs) and bool(ours == theirs)


def assert_paths_agree(case: Case, bundle: Bundle) -> None:
    """With a lossless ADC both engines give the same bits, by each path, of every map."""
    one = {name: array[:1] for name, array in case.samples.items()}
    outputs, maps = Session(bundle, engine="bytes", path="fused").executor.run_collect(one)
    for engine, path in OTHERS:
        executor = Session(bundle, engine=engine, path=path).executor
        # The maps by themselves, and then with what is computed at once.
        again, others = executor.run_collect(one)
        assert maps.keys() == others.keys()
        assert all(np.array_equal(maps[name], array) for name, array in others.items())
        for result in (again, executor.run(one)):
            assert all(same(result[name], value) for name, value in outputs.items())


# Where nothing is lost, `auto` is `fused` by another name.
OTHERS = [("bytes", "bit-serial"), ("ssa", "fused"), ("ssa", "bit-serial")]

# Fewer than any chip of the cases needs.
FEW_BITS = 4


def assert_losses_agree(case: Case, bundle: Bundle) -> None:
    """What converters lose is the same on both engines, forced or where there is a loss alone."""
    one = {name: array[:1] for name, array in case.samples.items()}

    def maps(engine: str, path: str) -> dict[str, Any]:
        executor = Session(bundle, engine=engine, path=path, adc_bits=FEW_BITS).executor
        return executor.run_collect(one)[1]

    expected = maps("bytes", "bit-serial")
    for path in ("bit-serial", "auto"):
        lossy = maps("ssa", path)
        assert all(np.array_equal(lossy[name], array) for name, array in expected.items())


def assert_counts_as_planned(case: Case, done: Done) -> None:
    """Rounds and array reads of every layer are those that `epimc plan` foretells."""
    request = done.request
    assert isinstance(request.weight_bits, int)
    asked = PlanRequest(
        request.model,
        epitome=request.epitome,
        weight_bits=request.weight_bits,
        activation_bits=request.activation_bits,
        target=request.target,
    )
    planned = counts_of(plan_model(asked))
    counters = Counters(done.program)
    one = {name: array[:1] for name, array in case.samples.items()}
    Session(done.bundle).run(None, one, [counters])
    # The phases of a transposed convolution are layers of one node.
    counted = sorted(
        (layer_name(done.program.maps[index].nodes), counts.rounds, counts.array_reads)
        for index, counts in counters.layers().items()
        if counts.rounds
    )
    expected = sorted(
        (
            layer_name((node.op, node.name) for node in layer.nodes),
            layer.rounds * layer.positions,
            layer.array_reads,
        )
        for layer in planned.layers
    )
    assert counted == expected, (counted, expected)


WEIGHTED = ("Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul")


def layer_name(nodes: Iterable[Node]) -> str:
    """The node with the weights, of all those that a layer stands for."""
    (name,) = (name for kind, name in nodes if kind in WEIGHTED)
    return name


def assert_texts_come_back(done: Done) -> None:
    """Program to text, listing and bytes and back; the IR of every stage to text and back."""
    streams = done.program.streams
    text = format_program(streams)
    assert parse_program(text, "program.asm") == streams
    assert decode(encode(streams)) == streams
    assert format_program(decode(encode(parse_program(text, "program.asm")))) == text
    assert parse_program(list_program(done.program), "listing.asm") == streams
    for module in done.modules.values():
        round_trip(module)
