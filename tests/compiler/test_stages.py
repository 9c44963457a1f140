"""`epimc inspect --stage`: the IR of each level, and the program with comments."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import epimc
from epimc.backends.crossbar.isa.assembly import parse_program
from epimc.backends.crossbar.isa.listing import list_program
from epimc.backends.crossbar.isa.loops import expand
from epimc.backends.registry import load_backend
from epimc.bundle.bundle import read_bundle
from epimc.cli.main import main
from epimc.compiler.compiler import Job
from epimc.compiler.options import Request
from epimc.compiler.stages import ASSEMBLY, dump_name, stages_of
from epimc.ir.core.levels import LEVELS
from epimc.ir.pipeline import name_of
from epimc.ir.text.parser import read_module
from tests.crossbars import program_in

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Fashion-MNIST model on the small chip."""
    folder = tmp_path_factory.mktemp("stages") / "out"
    samples = EXAMPLES / "fashion-calibration.npz"
    epimc.compile(EXAMPLES / "fashion-resnet8.onnx", folder, target="tiny", calibration=samples)
    return folder


@pytest.mark.parametrize(
    ("stage", "last"),
    [
        ("nn", "equalize"),
        ("epi", "epitomize"),
        ("calibrated", "calibrate"),
        ("quantized", "quantize"),
        ("mapped", "map"),
        ("placed", "place"),
        ("scheduled", "schedule"),
        ("allocated", "allocate"),
    ],
)
def test_the_last_dump_of_a_level(
    stage: str, last: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(bundle), "--stage", stage]) == 0
    (path,) = (bundle / "ir").glob(f"*-{last}.epi")
    assert capsys.readouterr().out == path.read_text()
    module = read_module(path)
    assert module.level == stage
    assert name_of(module.attributes["passes"][-1]) == last


def test_the_listing_is_the_program(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(bundle), "--stage", "asm"]) == 0
    listing = capsys.readouterr().out
    program = program_in(read_bundle(bundle))
    assert parse_program(listing, "listing") == program.streams
    used = {instruction.opcode for stream in program.streams for instruction in stream}
    # The small chip needs every kind of instruction that moves rows, orders tiles or repeats.
    assert {"load", "store", "send", "recv", "signal", "wait", "loop"} <= used
    for line in listing.splitlines():
        code, _, said = line.partition("; ")
        if code.startswith(" ") and code.split()[0] not in ("halt", "loop", "end"):
            assert said.startswith(("node '", "map 'input.q'")), line
    assert main(["inspect", str(bundle), "--stage", "asm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "format": 1,
        "kind": "stage",
        "stage": "asm",
        "text": listing,
    }
    file, binary = tmp_path / "listing.asm", tmp_path / "listing.bin"
    file.write_text(listing)
    assert main(["asm", str(file), "-o", str(binary)]) == 0
    assert binary.read_bytes() == (bundle / "program.bin").read_bytes()


def test_what_is_received_is_what_was_sent(bundle: Path) -> None:
    stored = program_in(read_bundle(bundle))
    program = replace(stored, streams=expand(stored.streams))
    lines = [line for line in list_program(program).splitlines() if line.startswith(" ")]
    said = iter(line.partition("; ")[2] for line in lines)
    moved: dict[str, dict[tuple[int, int], list[str]]] = {"send": {}, "recv": {}}
    for tile, stream in enumerate(program.streams):
        for instruction in stream:
            text = next(said)
            if instruction.opcode in moved:
                other = instruction.operands[0]
                assert isinstance(other, int)
                pair = (tile, other) if instruction.opcode == "send" else (other, tile)
                moved[instruction.opcode].setdefault(pair, []).append(text)
    assert moved["send"] == moved["recv"]


def test_deleted_dumps(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    shutil.copytree(bundle, folder)
    shutil.rmtree(folder / "ir")
    assert main(["inspect", str(folder), "--stage", "quantized"]) == 2
    assert capsys.readouterr().err == (
        f"error: Bundle '{folder}' has no 'ir/06-quantize.epi': "
        "the IR of stage quantized is lost.\n"
        "  hint: Compile the model again.\n"
    )
    assert main(["inspect", str(folder), "--stage", "asm"]) == 0


def test_every_level_is_a_stage() -> None:
    passes = Job.of(Request(Path("m.onnx"))).stages.passes
    stages = stages_of(load_backend("crossbar"))
    assert {step.ensures for step in passes} == set(LEVELS) == set(stages) - {ASSEMBLY}


def test_unknown_stage(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bundle), "--stage", "maped"]) == 2
    assert capsys.readouterr().err == (
        "error: There is no stage 'maped'.\n  hint: Did you mean 'mapped'?\n"
    )


def test_a_model_has_no_stages(capsys: pytest.CaptureFixture[str]) -> None:
    model = EXAMPLES / "mnist-conv.onnx"
    assert main(["inspect", str(model), "--stage", "nn"]) == 2
    assert capsys.readouterr().err == (
        f"error: Bundle '{model}' is not a folder.\n"
        "  hint: A bundle is the folder that `epimc compile MODEL -o DIR` writes.\n"
    )


@pytest.mark.parametrize(
    ("pipeline", "level", "name"),
    [
        ("fold,epitomize,calibrate,quantize,map", "nn", "ir/01-fold.epi"),
        ("fold,epitomize,calibrate,quantize{weight_bits=4},map", "quantized", "ir/04-quantize.epi"),
        ("epitomize,calibrate,quantize,map", "nn", "ir/00-import.epi"),
        ("fold,epitomize,calibrate,quantize,map,place", "placed", "ir/06-place.epi"),
    ],
)
def test_dump_names(pipeline: str, level: str, name: str) -> None:
    assert dump_name(pipeline, level, load_backend("crossbar")) == name
