"""The kinds of cases: what is changed, and which commands then meet it."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from random import Random

import numpy as np

from tests.campaigns import interrupts
from tests.campaigns.bundles import changed_bundle
from tests.campaigns.messages import changed_message
from tests.campaigns.mutation import changed_bytes, changed_text
from tests.campaigns.sandbox import Bench
from tests.campaigns.seeds import BUNDLED, OPTIONS, models, outputs

GOLDEN = Path(__file__).parents[1] / "golden"

PIPELINES = (
    "",
    "layout,fold",
    "layout,fold,equalize,epitomize,calibrate",
    "layout,fold,equalize,epitomize{policy=uniform:16x8},calibrate,quantize",
    "quantize,map,place,schedule,allocate",
    "map,place,schedule,allocate",
    "layout,fold,equalize,epitomize,calibrate,quantize,map,place,schedule,allocate",
)

PLANS = """schema = 1
[[layer]]
name = "conv0"
epitome = [2, 18]
"""

Play = Callable[[Random, Path, Bench], None]


@dataclass(frozen=True)
class Kind:
    """A kind of cases.

    Attributes:
        name: On the command line, and in the table.
        share: Of all cases, in percent.
        play: Makes a case and runs its commands: from a random generator, what all cases start
            from, and the folder that is the case's own.
    """

    name: str
    share: int
    play: Play


def compile_and_verify(bench: Bench, random: Random, *options: str) -> None:
    """Compile a model; what compiles must verify."""
    words = ["compile", "model.onnx", "-o", "out", *options]
    if bench.run(*words).code == 0 and random.random() < 0.5:
        done = bench.run("verify", "out")
        if done.code == 1:
            bench.complain("what was compiled is not exact")


def onnx_bytes(random: Random, seeds: Path, bench: Bench) -> None:
    """A model file with other bytes."""
    name = random.choice(sorted(models()))
    data = (seeds / f"{name}.onnx").read_bytes()
    Path("model.onnx").write_bytes(changed_bytes(random, data))
    compile_and_verify(bench, random, *OPTIONS)


def onnx_messages(random: Random, seeds: Path, bench: Bench) -> None:
    """A model with other messages."""
    del seeds
    model = changed_message(random, models()[random.choice(sorted(models()))])
    try:
        data = model.SerializeToString()
    # A text that is no UTF-8.
    except (ValueError, UnicodeError):
        data = b""
    Path("model.onnx").write_bytes(data)
    if random.random() < 0.2:
        bench.run("plan", "model.onnx")
    compile_and_verify(bench, random, *random.choice((OPTIONS, (), ("--strict",))))


def bundles(random: Random, seeds: Path, bench: Bench) -> None:
    """A bundle with one file changed, its checksums redone."""
    name = random.choice(BUNDLED)
    shutil.copytree(seeds / name, "bundle")
    changed_bundle(random, Path("bundle"))
    samples = str(seeds / f"{name}.npz")
    bench.run(random.choice(("inspect", "check")), "bundle")
    ran = bench.run("run", "bundle", "--input", samples, "--output", "out.npz")
    proof = bench.run("verify", "bundle")
    # One file is another: a proof that still holds must be one of the same outputs.
    if proof.code == ran.code == 0 and outputs(Path("out.npz")) != outputs(
        seeds / f"{name}-out.npz"
    ):
        bench.complain("'verify' proves a bundle whose outputs have changed")


def ir_texts(random: Random, seeds: Path, bench: Bench) -> None:
    """IR with other tokens or bytes, through a pipeline."""
    texts = [*sorted(GOLDEN.glob("*.epi"))]
    dumps = [*sorted(seeds.glob("*-ir/*.epi"))]
    source = random.choice(random.choice((texts, dumps)))
    if source.parent != GOLDEN:
        Path("tensors").symlink_to(source.parent / "tensors")
    text = source.read_text("utf-8")
    if random.random() < 0.2:
        Path("x.epi").write_bytes(changed_bytes(random, text.encode()))
    else:
        changed = changed_text(random, text)
        Path("x.epi").write_bytes(changed.encode("utf-8", "surrogatepass"))
    done = bench.run("opt", "x.epi", "-p", random.choice(PIPELINES), "-o", "y.epi")
    if done.code != 0 or bench.run("opt", "y.epi", "-o", "z.epi").code != 0:
        return
    if Path("y.epi").read_bytes() != Path("z.epi").read_bytes():
        bench.complain("a text that 'opt' has written comes back otherwise")


def tables(random: Random, seeds: Path, bench: Bench) -> None:
    """Targets and plans with other keys and numbers."""
    model = str(seeds / "fire.onnx")
    if random.random() < 0.3:
        Path("plans.toml").write_bytes(changed_text(random, PLANS).encode("utf-8", "surrogatepass"))
        bench.run("plan", model, "--epitome", "plans.toml")
        return
    folder = resources.files("epimc.backends.crossbar.target.builtin")
    text = folder.joinpath(random.choice(("tiny.toml", "epim-256.toml"))).read_text("utf-8")
    changed = changed_text(random, text).encode("utf-8", "surrogatepass")
    Path("t.toml").write_bytes(changed_bytes(random, changed) if random.random() < 0.2 else changed)
    if bench.run("targets", "./t.toml").code == 0:
        shutil.copy(model, "model.onnx")
        compile_and_verify(bench, random, "--target", "./t.toml")


def sample_files(random: Random, seeds: Path, bench: Bench) -> None:
    """Sample files with other bytes, other arrays, and archives that promise much."""
    name = random.choice(BUNDLED)
    data = (seeds / f"{name}.npz").read_bytes()
    change = random.choice((changed_bytes, _other_arrays))
    data = change(random, data)
    Path("x.npz").write_bytes(data)
    command = random.choice(("run", "verify", "compile"))
    if command == "compile":
        model = str(seeds / f"{name}.onnx")
        bench.run("compile", model, "-o", "out", "--calibration", "x.npz", *OPTIONS)
        return
    output = ("--output", "y.npz") if command == "run" else ()
    bench.run(command, str(seeds / name), "--input", "x.npz", *output)


def _other_arrays(random: Random, data: bytes) -> bytes:
    """The archive with a member changed before it is packed again."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w") as new:
        for entry in old.infolist():
            method = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
            content = old.read(entry)
            for _ in range(random.choice((0, 1, 1, 2))):
                content = changed_bytes(random, content[:160]) + content[160:]
            new.writestr(random.choice((entry.filename, "x.npy", "x")), content, method)
        if random.random() < 0.3:
            array = np.zeros(random.choice((0, 3, 10**6)), random.choice(("f4", "f8", "i8", "U9")))
            labels = io.BytesIO()
            np.save(labels, array)
            new.writestr("labels.npy", labels.getvalue(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def assemblies(random: Random, seeds: Path, bench: Bench) -> None:
    """Assembly with other numbers, binaries with other bytes."""
    name = random.choice(BUNDLED)
    if random.random() < 0.5:
        text = changed_text(random, (seeds / name / "program.asm").read_text("utf-8"))
        Path("x.asm").write_bytes(text.encode("utf-8", "surrogatepass"))
        bench.run("asm", "x.asm", "-o", "x.bin")
        return
    Path("x.bin").write_bytes(changed_bytes(random, (seeds / name / "program.bin").read_bytes()))
    if bench.run("disasm", "x.bin", "-o", "x.asm").code == 0:
        bench.run("asm", "x.asm", "-o", "y.bin")
        if Path("x.bin").read_bytes() != Path("y.bin").read_bytes():
            bench.complain("a binary that 'disasm' takes is not what 'asm' makes of its text")


KINDS = (
    Kind("onnx-bytes", 15, onnx_bytes),
    Kind("onnx-messages", 25, onnx_messages),
    Kind("bundles", 15, bundles),
    Kind("ir", 10, ir_texts),
    Kind("tables", 5, tables),
    Kind("samples", 4, sample_files),
    Kind("assembly", 5, assemblies),
    Kind("killed", 1, interrupts.killed),
    Kind("interrupted", 1, interrupts.interrupted),
    Kind("terminated", 1, interrupts.terminated),
    Kind("injected", 15, interrupts.injected),
    Kind("full-disk", 3, interrupts.full_disk),
)
