"""The command line.  Only typer is imported here; a command imports what it needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from epimc.backends import DEFAULT_BACKEND
from epimc.cli.console import progress, say, tell_of_notices, warn
from epimc.cli.options import takes
from epimc.cli.streams import escape_characters, put, quiet_pipes, tell, unwritten
from epimc.compiler.options import (
    CompileOptions,
    InputOptions,
    PlanOptions,
    PlanRequest,
    Request,
)
from epimc.evaluation.options import EvaluateOptions
from epimc.runtime.options import ExecutionOptions, SimulatorOptions
from epimc.samples.options import DataOptions
from epimc.support.diagnostics import EpimcError, error, render
from epimc.support.files import read_bytes, read_text, refused_by_system
from epimc.support.interrupts import raise_at_interrupt
from epimc.support.limits import DEFAULT_BYTES, LARGEST_PROGRAM
from epimc.support.options import values_of
from epimc.support.version import VERSION
from epimc.support.writing import number_of, write_file

INTERRUPTED = 130
STANDARD_OUTPUT = 1

app = typer.Typer(
    name="epimc",
    help="Compile ONNX models to programs for processing-in-memory crossbar chips.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

BundleFolder = Annotated[Path, typer.Argument(metavar="DIR", help="A bundle.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DumpIr = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write the IR after every stage there.", show_default=False),
]
Limit = Annotated[
    int,
    typer.Option(
        metavar="N", min=1, help="The most bytes that a model, bundle or samples may take."
    ),
]
ChosenBackend = Annotated[str, typer.Option("--backend", metavar="NAME", help="The kind of chip.")]
Timing = Annotated[bool, typer.Option("--timing", help="Tell how long each stage took.")]
PrintAfter = Annotated[
    str | None,
    typer.Option(
        metavar="PASS|all",
        help="Print the IR after a pass, to standard error.",
        show_default=False,
    ),
]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: None: those of this process, whose streams and signals are set up.

    Returns:
        0 good, 1 a check failed, 2 bad usage or input, 130 interrupted.
    """
    words = sys.argv[1:] if arguments is None else arguments
    limit_threads()
    debug = "--debug" in words
    # It may stand anywhere, also behind a command, which does not declare it.
    words = [argument for argument in words if argument != "--debug"]
    if arguments is None:
        quiet_pipes()
        escape_characters()
        tell_of_notices()
        if debug:
            raise_at_interrupt()
    try:
        code = run_commands(words)
        # What the library of the command line has printed.
        put("")
        return code
    except (EpimcError, OSError, MemoryError, KeyboardInterrupt) as problem:
        if debug:
            raise
        return code_of(problem)


def run_commands(words: list[str]) -> int:
    """Run the command that some words name; the exit code.

    Raises:
        KeyboardInterrupt: The user has interrupted it.
        EpimcError: The user has made a mistake.
    """
    try:
        command_line()(words, prog_name="epimc", standalone_mode=True)
    except SystemExit as end:
        # The library makes an exit of an interrupt, and says nothing.
        if isinstance(end.__context__, KeyboardInterrupt) or end.code == INTERRUPTED:
            raise KeyboardInterrupt from None
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


@cache
def command_line() -> Callable[..., None]:
    """`app` with all commands read, which takes longer than many a command does."""
    return typer.main.get_command(app)


def code_of(problem: BaseException) -> int:
    """Tell what has ended a command; the exit code."""
    match problem:
        case EpimcError():
            tell(render(problem.diagnostic))
            return problem.exit_code
        case KeyboardInterrupt():
            tell("interrupted")
            return INTERRUPTED
        case OSError():
            return code_of(unwritten() or refused_by_system(problem))
    hint = "Close other programs, or compile a smaller model."
    return code_of(error("There is not enough memory.", hint=hint))


def limit_threads() -> None:
    """One thread for matrix products, unless the user says otherwise; before numpy is imported.

    The products are small: where other processes run, threads that wait for one another took ten
    times as long.  It also keeps float sums, and so calibration, the same on every machine.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def show_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        typer.echo(f"epimc {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with errors.")] = False,
) -> None:
    """Compile ONNX models to programs for processing-in-memory crossbar chips."""


@app.command()
@takes(DataOptions, "reading")
@takes(CompileOptions)
def compile(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The bundle.")],
    options: CompileOptions,
    reading: DataOptions,
    dump_ir: DumpIr = None,
    print_ir_after: PrintAfter = None,
    timing: Timing = False,
    json: Json = False,
) -> None:
    """Compile an ONNX model to a bundle."""
    from epimc.api import build
    from epimc.cli.observers import ProgressBar, chosen_observers
    from epimc.compiler.compiler import Job
    from epimc.compiler.memory import InMemory
    from epimc.results.summaries import compile_result

    request = Request(model, **values_of(CompileOptions, options))
    if options.calibration is None and reading.first is not None:
        raise error("--first is for calibration samples, and there are none.")
    memory = InMemory(calibration=reading.read(options.calibration), first=reading.first)
    stages = Job.of(request).stages
    observers = chosen_observers(print_ir_after, timing, stages.with_ir)
    with progress("compiling", len(stages.names)) as advance:
        bundle = build(request, output, dump_ir, [*observers, ProgressBar(advance)], memory)
    if options.calibration is None and bundle.program.inputs:
        kind, _, _ = bundle.manifest.options.calibration.partition(",")
        warn(f"no --calibration: {kind} samples were used, and figures mean little")
    for warning in (*bundle.remarks, *bundle.program.warnings()):
        warn(warning)
    result = compile_result(bundle, str(output))
    if not result.on_chip.nodes_on_chip:
        warn("nothing of the model runs on the chip: the host computes all of it")
    say(result, json)


@app.command()
@takes(PlanOptions)
def plan(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file.")],
    options: PlanOptions,
    json: Json = False,
) -> None:
    """Count the crossbars that a model takes, without compiling it."""
    from epimc.compiler.planning import plan_model

    say(plan_model(PlanRequest(model, **values_of(PlanOptions, options))), json)


@app.command()
@takes(DataOptions, "reading")
@takes(SimulatorOptions)
def run(
    folder: BundleFolder,
    input: Annotated[Path, typer.Option("--input", metavar="X", help="Samples.")],
    output: Annotated[Path, typer.Option("--output", metavar="Y.npz", help="Results.")],
    options: SimulatorOptions,
    reading: DataOptions,
    limit_bytes: Limit = DEFAULT_BYTES,
    stats: Annotated[
        bool, typer.Option("--stats", help="Count what a sample costs, layer by layer.")
    ] = False,
    json: Json = False,
) -> None:
    """Execute a bundle on the simulator."""
    from epimc.bundle.bundle import read_bundle
    from epimc.bundle.outputs import check_file
    from epimc.results.commands import RunResult
    from epimc.runtime.session import Session
    from epimc.samples.sample_arrays import samples_of
    from epimc.samples.samples import encode_samples, inputs_of
    from epimc.support.sample_types import Shaped, refuse_in_files, result_arrays

    check_file(output, input)
    source = reading.source(input)
    bundle = read_bundle(folder, limit_bytes)
    bundle.program.refuse_bad()
    session = Session(bundle, **options.chosen)
    meter = bundle.program.cost_meter() if stats else None
    refuse_in_files("a file of results", map(Shaped.of, bundle.program.outputs))
    inputs = inputs_of(bundle.program)
    samples = samples_of(source, inputs, limit_bytes=limit_bytes, first=reading.first)
    names = [port.name for port in bundle.program.outputs]
    observers = [] if meter is None else [meter]
    results = session.run(names, samples.inputs, observers)
    write_file(output, encode_samples(result_arrays(names, results)))
    costs = None if meter is None else bundle.program.costs(meter)
    result = RunResult(samples.count, tuple(names), str(output), costs)
    say(result, json, aside=number_of(output) == STANDARD_OUTPUT)


@app.command()
@takes(DataOptions, "reading")
@takes(SimulatorOptions)
def verify(
    folder: BundleFolder,
    options: SimulatorOptions,
    reading: DataOptions,
    input: Annotated[
        Path | None,
        typer.Option("--input", metavar="X", help="Samples; else those of the bundle."),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Tell also what each layer loses.")
    ] = False,
    limit_bytes: Limit = DEFAULT_BYTES,
    json: Json = False,
) -> None:
    """Hold a bundle to onnxruntime: exact against the integers, measured against the floats."""
    from epimc.bundle.bundle import read_bundle
    from epimc.verification.verify import verify as verify_bundle

    samples = reading.read(input)
    bundle = read_bundle(folder, limit_bytes)
    with progress("verifying", 100) as advance:

        def done(count: int, samples: int) -> None:
            advance(f"{count} of {samples} samples", 100 * count // samples)

        result = verify_bundle(
            bundle,
            samples,
            done,
            limit_bytes,
            layers=layers,
            first=reading.first,
            **options.chosen,
        )
    say(result, json)
    if not result.exact:
        raise typer.Exit(1)


@app.command()
@takes(DataOptions, "reading")
@takes(ExecutionOptions, "execution")
@takes(EvaluateOptions)
def evaluate(
    folder: BundleFolder,
    data: Annotated[
        Path, typer.Option("--data", metavar="X", help="npz, npy, or a folder of images.")
    ],
    options: EvaluateOptions,
    execution: ExecutionOptions,
    reading: DataOptions,
    limit_bytes: Limit = DEFAULT_BYTES,
    json: Json = False,
) -> None:
    """Run a data set through a bundle: accuracy, and errors against the float model."""
    from epimc.bundle.bundle import read_bundle
    from epimc.evaluation.evaluate import evaluate as evaluate_bundle

    bundle = read_bundle(folder, limit_bytes)
    source = reading.source(data)
    with progress("evaluating", 100) as advance:

        def done(samples: int, count: int | None) -> None:
            advance(f"{samples} of {count} samples", 100 * samples // (count or 1))

        result = evaluate_bundle(
            bundle,
            source,
            options,
            first=reading.first,
            progress=done,
            simulator=execution.chosen,
        )
    say(result, json)


@app.command()
@takes(InputOptions)
def inspect(
    path: Annotated[Path, typer.Argument(metavar="DIR|MODEL", help="A bundle or an ONNX file.")],
    options: InputOptions,
    stage: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL|asm",
            help="Print a bundle's IR at a level (nn to allocated), or its program with comments.",
            show_default=False,
        ),
    ] = None,
    quantization: Annotated[
        bool,
        typer.Option("--quantization", help="Tell what a bundle's quantization loses, by layers."),
    ] = False,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --quantization: one layer, with a histogram.",
            show_default=False,
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.svg|FILE.png",
            help="With --quantization: draw all layers.",
            show_default=False,
        ),
    ] = None,
    limit_bytes: Limit = DEFAULT_BYTES,
    json: Json = False,
) -> None:
    """Show what a bundle or a model consists of."""
    if (layer is not None or picture is not None) and not quantization:
        raise error("--layer and --picture are for --quantization.")
    for wanted, option in ((stage is not None, "--stage"), (quantization, "--quantization")):
        if wanted and options != InputOptions():
            raise error(f"{option} is for a bundle, whose inputs are set when a model is compiled.")
    if stage is not None:
        inspect_stage(path, stage, limit_bytes, json)
        return
    if quantization:
        inspect_quantization(path, layer, picture, limit_bytes, json)
        return
    from epimc.results.summaries import inspected
    from epimc.support.constants import constants_from

    fixed = constants_from(options.constants)
    say(inspected(path, None, limit_bytes, options.shapes, fixed), json)


def inspect_stage(path: Path, stage: str, limit_bytes: int, json: bool) -> None:
    """Print the text of one stage of a bundle."""
    from epimc.bundle.bundle import read_bundle
    from epimc.compiler.stages import stage_text
    from epimc.results.commands import StageResult

    bundle = read_bundle(path, limit_bytes)
    bundle.program.refuse_bad()
    say(StageResult(stage, stage_text(bundle, stage)), json)


def inspect_quantization(
    path: Path, layer: str | None, picture: Path | None, limit_bytes: int, json: bool
) -> None:
    """Tell what quantization loses in a bundle, and draw it."""
    from epimc.bundle.bundle import read_bundle
    from epimc.bundle.outputs import check_file
    from epimc.report.picture import format_of, picture_of, require_matplotlib
    from epimc.report.report import quantization_report

    if picture is not None:
        # Before minutes go by.
        check_file(picture, path)
        kind = format_of(picture)
        require_matplotlib()
    bundle = read_bundle(path, limit_bytes)
    with progress("measuring", 100) as advance:

        def done(count: int, samples: int) -> None:
            advance(f"{count} of {samples} samples", 100 * count // samples)

        report = quantization_report(bundle, done)
    result = report if layer is None else report.only(layer)
    if picture is not None:
        write_file(picture, picture_of(report, kind))
    say(result, json)


@app.command()
def opt(
    file: Annotated[Path, typer.Argument(metavar="FILE.epi", help="IR in text form.")],
    passes: Annotated[
        str, typer.Option("-p", "--passes", metavar="'a,b{n=4}'", help="The pipeline.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.epi", help="Else printed.")
    ] = None,
    limit_bytes: Limit = DEFAULT_BYTES,
    dump_ir: DumpIr = None,
    print_ir_after: PrintAfter = None,
    timing: Timing = False,
) -> None:
    """Run passes on textual IR."""
    from epimc.backends.registry import load_backends
    from epimc.bundle.outputs import check_file, check_folder
    from epimc.cli.observers import chosen_observers
    from epimc.compiler.dumps import Dumps
    from epimc.compiler.passes import passes_of
    from epimc.ir.pipeline import Runner, parse_pipeline
    from epimc.ir.text.parser import read_module
    from epimc.ir.text.printer import print_module, write_module

    registry = passes_of(*load_backends())
    steps = parse_pipeline(passes, registry)
    if output is not None:
        check_file(output, file)
    if dump_ir is not None:
        check_folder(dump_ir)
    dumps = Dumps()
    observers = chosen_observers(print_ir_after, timing, [step.name for step in steps])
    module = Runner(registry, [*observers, dumps]).run(read_module(file, limit_bytes), steps)
    if dump_ir is not None:
        dumps.write(dump_ir)
    if output is not None:
        write_module(module, output)
    else:
        put(print_module(module))


@app.command()
def asm(
    file: Annotated[Path, typer.Argument(metavar="FILE.asm", help="Assembly text.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.bin", help="Binary.")],
    backend: ChosenBackend = DEFAULT_BACKEND,
) -> None:
    """Assemble a program from text to binary."""
    from epimc.backends.registry import load_backend
    from epimc.bundle.outputs import check_file

    check_file(output, file)
    write_file(
        output, load_backend(backend).assemble(read_text(file, limit=LARGEST_PROGRAM), str(file))
    )


@app.command()
def disasm(
    file: Annotated[Path, typer.Argument(metavar="FILE.bin", help="A program in binary.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.asm", help="Else printed.")
    ] = None,
    backend: ChosenBackend = DEFAULT_BACKEND,
) -> None:
    """Disassemble a program from binary to text."""
    from epimc.backends.registry import load_backend
    from epimc.bundle.outputs import check_file

    if output is not None:
        check_file(output, file)
    text = load_backend(backend).disassemble(read_bytes(file, limit=LARGEST_PROGRAM), str(file))
    if output is None:
        put(text)
    else:
        write_file(output, text.encode())


@app.command()
def check(folder: BundleFolder, limit_bytes: Limit = DEFAULT_BYTES, json: Json = False) -> None:
    """Check a bundle's program without running it."""
    from epimc.bundle.bundle import read_bundle
    from epimc.results.commands import CheckResult

    bundle = read_bundle(folder, limit_bytes)
    problems = tuple(render(diagnostic) for diagnostic in bundle.program.problems())
    result = CheckResult(not problems, problems, bundle.program.size)
    if json or result.good:
        say(result, json)
    else:
        tell(str(result))
    if not result.good:
        raise typer.Exit(1)


@app.command()
def targets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME|FILE]", help="Show one.")] = None,
    backend: ChosenBackend = DEFAULT_BACKEND,
    json: Json = False,
) -> None:
    """List the built-in targets, or show one."""
    from epimc.backends.registry import load_backend
    from epimc.results.commands import TargetList, TargetResult

    kind = load_backend(backend)
    if name is not None:
        say(TargetResult(kind.load_target(name)), json)
    else:
        say(TargetList(tuple(map(kind.load_target, kind.targets()))), json)


@app.command()
def ops(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show one.")] = None,
    json: Json = False,
) -> None:
    """List the ONNX operators that are supported, or show one."""
    from epimc.frontend.document import (
        OperatorList,
        OperatorResult,
        operator_named,
        operators_by_name,
    )

    if name is not None:
        say(OperatorResult.of(operator_named(name)), json)
    else:
        say(OperatorList(tuple(map(OperatorResult.of, operators_by_name()))), json)
