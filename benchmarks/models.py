"""What becomes of all ONNX models below a folder: compiled, verified, beside another quantizer.

    python benchmarks/models.py FOLDER
    python benchmarks/models.py FOLDER --calibration detector=images.npz --target tiny --jobs 2
    python benchmarks/models.py FOLDER --range detector=-1,1 --count 16

A model is named by its path below the folder, without `.onnx`, and without a last `/model`.  It is
calibrated and measured on the samples of `--calibration`, of `NAME-calibration.npz` beside it, or
of `samples.npz` beside it where it is the only model of its folder; without any, on seeded ones in
the range of `--range` or the one that the model declares (`drawing.py`), else standard normal ones,
with which figures mean little.  The peer is that of `quantizers.py`, with the same samples; it is
there for models of float32 with the samples first.  Where onnx cannot convert a model to the peer's
opset, the peer has it in its own, and the table says in which.

Each step of each model runs in a process of its own: one that fails, crashes or takes too long is a
row of the table.  Every row is written to the log at once, and `--resume` goes on from there.
Exits with 1 where a model does not compile or is not exact.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

LOG = Path("build/models.jsonl")
MOST_SAID = 200


@dataclass(frozen=True)
class Row:
    """A model.

    Attributes:
        name: Its path below the folder, without what all have.
        compiles: Whether it does.
        exact: Whether the program computes just what onnxruntime does; None where it is not run.
        sqnr_db: Of the worst output, against the float model; None where none has one.
        peer_db: Of the peer's worst output; None where there is no peer.
        peer_opset: Of the model that the peer quantized; None where there is no peer.
        samples: What both were calibrated and measured on.
        macs: The share of multiplications on the chip, 0 to 1; None where there are none.
        nodes: The share of nodes on the chip, 0 to 1.
        bytes: The share of bytes that the chip computes, 0 to 1.
        crossbars: Arrays that the program takes.
        seconds: Of the compile.
        gigabytes: Most memory of the process that compiles, in 10^9 bytes.
        said: What went wrong, in the order in which it did.
    """

    name: str
    compiles: bool = False
    exact: bool | None = None
    sqnr_db: float | None = None
    peer_db: float | None = None
    peer_opset: int | None = None
    samples: str = ""
    macs: float | None = None
    nodes: float | None = None
    bytes: float | None = None
    crossbars: int | None = None
    seconds: float | None = None
    gigabytes: float | None = None
    said: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether it compiles and is exact."""
        return self.compiles and self.exact is True


@dataclass(frozen=True)
class Job:
    """What is done with a model, as a process of its own is told.

    Attributes:
        name: As a row has it.
        model: The file.
        samples: A file of samples; None: seeded ones.
        bounds: LOW,HIGH of seeded ones; None: as the model declares.
        count: Of seeded ones.
        target: A target's name or file; None: the default.
        shapes: Shapes of inputs by name.
        bundle: Where the bundle goes.
    """

    name: str
    model: str
    samples: str | None
    bounds: str | None
    count: int
    target: str | None
    shapes: dict[str, tuple[int, ...]]
    bundle: str


# --- what processes of their own do ---------------------------------------------------------------


def samples_step(job: Job) -> dict[str, Any]:
    """Draw samples, and how; compile draws itself where inputs are no float32."""
    drawing = beside("drawing")
    model, shapes = Path(job.model), drawing.input_shapes(Path(job.model), job.shapes)
    if shapes is None:
        return {"samples": "drawn"}
    ranges = drawing.declared_ranges(drawing.load(model))
    if job.bounds:
        ranges = dict.fromkeys(shapes, drawing.range_of(job.bounds))
    drawing.write(drawn_file(job), job.count, shapes, ranges)
    return {"samples": drawing.words(job.count, list(shapes), ranges)}


def drawn_file(job: Job) -> Path:
    """Where drawn samples go."""
    return Path(job.bundle).with_name("samples.npz")


def compile_step(job: Job) -> dict[str, Any]:
    """Compile, and what the program is."""
    import epimc

    start = time.monotonic()
    session = epimc.compile(
        job.model,
        job.bundle,
        calibration=job.samples,
        target=job.target,
        shapes=job.shapes,
    )
    seconds = time.monotonic() - start
    where = session.bundle.manifest.on_chip.placement
    summary: Any = session.describe()
    return {
        "compiles": True,
        "seconds": round(seconds, 2),
        "macs": share(where.macs_on_chip, where.macs),
        "nodes": share(where.nodes_on_chip, where.nodes),
        "bytes": share(where.result_bytes_on_chip, where.result_bytes),
        "crossbars": summary.crossbars,
    }


def share(part: int, total: int) -> float | None:
    """A part of a total, 0 to 1; None where the total is 0."""
    return part / total if total else None


def verify_step(job: Job) -> dict[str, Any]:
    """Verify the bundle, and what its outputs lose."""
    import epimc

    result = epimc.verify(job.bundle, job.samples)
    sqnrs = [output.sqnr_db for output in result.outputs if output.sqnr_db is not None]
    return {"exact": result.exact, "sqnr_db": min(sqnrs, default=None)}


def peer_step(job: Job) -> dict[str, Any]:
    """Quantize by onnxruntime, and what its outputs lose; nothing where there is no peer."""
    import epimc
    from epimc.support.limits import DEFAULT_BYTES
    from epimc.verification.verify import bundle_samples

    bundle = epimc.load(job.bundle).bundle
    kinds = [port.port_type for port in bundle.program.inputs]
    if not all(kind.samples_first and kind.kind == "tensor(float)" for kind in kinds):
        return {}
    samples = bundle_samples(bundle, job.samples, DEFAULT_BYTES).inputs
    # It advises at every call to run another tool first, and tells each of its steps.
    logging.disable(logging.WARNING)
    peer = beside("quantizers")
    folder = Path(job.bundle).parent
    converted = folder / "converted.onnx"
    opset = peer.convert(folder / "bundle" / "reference" / "float.onnx", converted)
    true = peer.run_onnx(converted, samples)
    computed = peer.run_peer(converted, samples, samples, folder)
    finite = [sqnr for sqnr in peer.sqnr(computed, true) if math.isfinite(sqnr)]
    return {"peer_db": min(finite, default=None), "peer_opset": opset}


def beside(name: str) -> ModuleType:
    """A file of this folder, imported."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STEPS = {"samples": samples_step, "compile": compile_step, "verify": verify_step, "peer": peer_step}


def serve(step: str, told: str, answer: Path) -> None:
    """Run a step; its keys of the row, or what went wrong, go into a file."""
    job = Job(**json.loads(told))
    try:
        result = STEPS[step](job)
    except Exception as problem:
        lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
        said = " ".join(lines[:2]) or type(problem).__name__
        result = {"said": f"{step}: {said}"[:MOST_SAID]}
    answer.write_text(json.dumps(result), encoding="utf-8")


# --- the processes --------------------------------------------------------------------------------


def run_step(step: str, job: Job, most_seconds: float) -> tuple[dict[str, Any], float]:
    """A step in a process of its own.

    Returns:
        Its keys of the row, and the most memory that the process had, in 10^9 bytes.
    """
    answer = Path(job.bundle).with_name(f"{step}.json")
    command = [sys.executable, __file__, "--step", step, json.dumps(asdict(job)), str(answer)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(most_seconds, stop)
    timer.start()
    # The only way to ask for the memory of one child.
    _, status, usage = os.wait4(process.pid, 0)
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = round(usage.ru_maxrss * unit / 1e9, 3)
    if late.is_set():
        return {"said": f"{step}: more than {most_seconds:g} s"}, peak
    if not answer.is_file():
        return {"said": f"{step}: the process ended with {process.returncode}"}, peak
    return json.loads(answer.read_text(encoding="utf-8")), peak


def measured(job: Job, most_seconds: float, *, peer: bool) -> Row:
    """All steps of a model."""
    values: dict[str, Any] = {"name": job.name, "samples": job.samples and Path(job.samples).name}
    said = []
    if job.samples is None:
        result, _ = run_step("samples", job, most_seconds)
        # What is wrong with the model, the compile says.
        values["samples"] = result.get("samples", "")
        if drawn_file(job).is_file():
            job = replace(job, samples=str(drawn_file(job)))
    for step in ("compile", "verify", "peer") if peer else ("compile", "verify"):
        result, peak = run_step(step, job, most_seconds)
        if step == "compile":
            values["gigabytes"] = peak
        if problem := result.pop("said", ""):
            said.append(problem)
        values |= result
        if step == "compile" and problem:
            break
    return Row(**values, said=tuple(said))


# --- models, samples, rows ------------------------------------------------------------------------


def models(folder: Path) -> dict[str, Path]:
    """The ONNX files below a folder by their names, in order."""
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.onnx")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        files[name.removesuffix("/model")] = path
    return files


def samples_beside(model: Path) -> Path | None:
    """The file of samples that lies beside a model, if there is one."""
    own = model.with_name(f"{model.stem}-calibration.npz")
    if own.is_file():
        return own
    common = model.with_name("samples.npz")
    alone = len(list(model.parent.glob("*.onnx"))) == 1
    return common if common.is_file() and alone else None


def logged(path: Path) -> Iterator[Row]:
    """The rows of a log; a line that was not finished is left out."""
    known = {each.name for each in fields(Row)}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        values = {name: value for name, value in entry.items() if name in known}
        yield Row(**{**values, "said": tuple(values.get("said", ()))})


TITLES = (
    "model",
    "samples",
    "exact",
    "SQNR dB",
    "peer dB",
    "opset",
    "MACs",
    "nodes",
    "bytes",
    "crossbars",
    "s",
    "GB",
)


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """The table, what went wrong, and the totals."""
    listed = list(rows)
    texts = [TITLES, *map(cells_of, listed)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for name, *others in texts:
        padded = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join((name.ljust(widths[0]), *padded))
    for row in listed:
        yield from (f"{row.name}: {problem}" for problem in row.said)
    compiled, exact = sum(row.compiles for row in listed), sum(row.good for row in listed)
    yield f"{len(listed)} models: {compiled} compile, {exact} exact"


def cells_of(row: Row) -> tuple[str, ...]:
    """A row as text."""
    verdict = {True: "yes", False: "NO", None: "-"}[row.exact]
    return (
        row.name,
        verdict if row.compiles else "refused",
        *(number(value, 2) for value in (row.sqnr_db, row.peer_db)),
        "-" if row.peer_opset is None else str(row.peer_opset),
        *("-" if value is None else f"{value:.1%}" for value in (row.macs, row.nodes, row.bytes)),
        "-" if row.crossbars is None else str(row.crossbars),
        *(number(value, 2) for value in (row.seconds, row.gigabytes)),
        row.samples or "-",
    )


def number(value: float | None, digits: int) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


# --- the command ----------------------------------------------------------------------------------


def pairs(texts: Sequence[str], what: str) -> dict[str, str]:
    """NAME=VALUE by name.

    Raises:
        SystemExit: A text is none.
    """
    if bad := [text for text in texts if "=" not in text]:
        raise SystemExit(f"error: '{bad[0]}' is no {what}")
    return dict(text.split("=", 1) for text in texts)


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--calibration", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--shape", action="append", default=[], metavar="NAME:INPUT=1x3x224x224")
    parser.add_argument("--range", action="append", default=[], metavar="NAME=LOW,HIGH")
    parser.add_argument("--count", type=int, default=64, help="seeded samples")
    parser.add_argument("--target", metavar="TARGET")
    parser.add_argument("--jobs", type=int, default=1, help="models at the same time")
    parser.add_argument("--seconds", type=float, default=600.0, help="that a step may take")
    parser.add_argument("--no-peer", action="store_true", help="leave the peer out")
    parser.add_argument("--log", type=Path, default=LOG, help=f"a line for each row ({LOG})")
    parser.add_argument("--resume", action="store_true", help="go on where the log ends")
    parser.add_argument("--json", action="store_true", help="rows as a JSON list")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = arguments(words)
    files = models(options.folder)
    calibration = pairs(options.calibration, "NAME=FILE")
    shapes = shapes_by_model(pairs(options.shape, "NAME:INPUT=SHAPE"))
    bounds = ranges_by_model(pairs(options.range, "NAME=LOW,HIGH"))
    if unknown := sorted({*calibration, *shapes, *bounds} - {*files}):
        raise SystemExit(f"error: there is no model '{unknown[0]}' below {options.folder}")
    options.log.parent.mkdir(parents=True, exist_ok=True)
    if not options.resume:
        options.log.unlink(missing_ok=True)
    done = {row.name: row for row in logged(options.log)}
    lock = threading.Lock()

    def work(name: str) -> None:
        samples = calibration.get(name) or samples_beside(files[name])
        with tempfile.TemporaryDirectory(prefix="epimc-") as folder:
            job = Job(
                name,
                str(files[name]),
                str(samples) if samples else None,
                bounds.get(name),
                options.count,
                options.target,
                shapes.get(name, {}),
                str(Path(folder) / "bundle"),
            )
            row = measured(job, options.seconds, peer=not options.no_peer)
        with lock, options.log.open("a", encoding="utf-8") as file:
            print(json.dumps(asdict(row)), file=file, flush=True)
            done[name] = row

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(work, [name for name in files if name not in done]))
    rows = [done[name] for name in files]
    print(json.dumps([asdict(row) for row in rows]) if options.json else "\n".join(lines(rows)))
    return int(not all(row.good for row in rows))


def ranges_by_model(bounds: dict[str, str]) -> dict[str, str]:
    """LOW,HIGH by the name of the model.

    Raises:
        SystemExit: A text is no such range.
    """
    drawing = beside("drawing")
    for name, text in bounds.items():
        try:
            drawing.range_of(text)
        except ValueError:
            raise SystemExit(f"error: '{name}={text}' is no NAME=LOW,HIGH") from None
    return bounds


def shapes_by_model(texts: dict[str, str]) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes of inputs by name, by the name of the model.

    Raises:
        SystemExit: A text is no such shape.
    """
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, text in texts.items():
        model, colon, port = name.partition(":")
        if not colon or not all(size.isdecimal() for size in text.split("x")):
            raise SystemExit(f"error: '{name}={text}' is no NAME:INPUT=1x3x224x224")
        shapes.setdefault(model, {})[port] = tuple(map(int, text.split("x")))
    return shapes


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        serve(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        sys.exit(main())
