"""`epimc evaluate`, and what `compile` and `verify` read of the same sources."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import epimc
from epimc.bundle.bundle import read_bundle
from epimc.support.rendering import WIDTH
from tests.cli.conftest import Refuse, Run

ROOT = Path(epimc.__file__).parents[1]


@pytest.fixture
def images(here: Path) -> Path:
    """A folder with six images, two classes of which are subfolders."""
    draw = np.random.default_rng(2)
    for name in ("cat/a.png", "cat/b.png", "dog/a.png", "dog/b.png", "dog/c.png", "dog/d.png"):
        path = here / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (11, 9, 3), np.uint8)).save(path)
    return here / "images"


def test_evaluate(run: Run, here: Path) -> None:
    result = run("evaluate", "bundle", "--data", "samples.npz")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].split() == ["model", "output", "mean", "error", "max", "error"]
    assert lines[2].split()[:2] == ["program", "y"]
    assert lines[3] == "4 samples; in brackets: 95 % confidence intervals"
    assert len(lines) == 4
    assert max(map(len, lines)) <= WIDTH
    with np.load(here / "samples.npz") as file:
        np.save(here / "x.npy", file["x"])
    for arguments in (["samples.npz", "--jobs", "2", "--batch", "1"], ["x.npy"]):
        assert run("evaluate", "bundle", "--data", *arguments) == result


def test_evaluate_without_anything_to_compare_with(run: Run) -> None:
    result = run("evaluate", "bundle", "--data", "samples.npz", "--of", "program,integers")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "error: There is nothing to compare: no labels, and not two models, one of them float.\n"
        "  hint: Name the labels, or evaluate float beside something else.\n"
    )


def test_what_is_evaluated_and_how(run: Run) -> None:
    names = ["float", "epitomized", "integers", "program"]
    common = ["evaluate", "bundle", "--data", "samples.npz", "--json", "--of", "program"]
    expected = json.loads(run(*common, "--of", "epitomized,float", "--of", "integers").out)
    assert [model["name"] for model in expected["models"]] == names
    for more in (["--path", "bit-serial"], ["--engine", "bytes"], ["--integers", "onnxruntime"]):
        again = run(*common, "--of", ",".join(names), *more)
        assert json.loads(again.out) == expected


def test_images_are_evaluated(run: Run, images: Path, here: Path) -> None:
    arguments = ("--mean", "120,110,100", "--scale", "1/60", "--size", "10")
    result = run("evaluate", "bundle", "--data", "images", *arguments, "--of", "program", "--json")
    assert result.err == (
        "error: The first output of the model gives no classes, of which there are labels.\n"
        "  hint: Leave out the labels.\n"
    )
    for number, name in enumerate(sorted(images.rglob("*.png"))):
        name.rename(images / f"{number}.png")
    for folder in ("cat", "dog"):
        (images / folder).rmdir()
    result = run("evaluate", "bundle", "--data", "images", *arguments, "--json")
    assert (result.code, json.loads(result.out)["samples"]) == (0, 6)
    source = epimc.Images("images", size=10, mean=(120, 110, 100), scale=1 / 60)
    expected = epimc.evaluate(here / "bundle", source)
    assert json.loads(result.out) == expected.to_json()
    last = run("evaluate", "bundle", "--data", "images", *arguments, "--json", "--first", "2")
    assert json.loads(last.out)["samples"] == 2


def test_calibration_and_verification_read_images(run: Run, images: Path, here: Path) -> None:
    arguments = ("--mean", "127.5", "--scale", "1/127.5")
    made = run(
        "compile", "model.onnx", "-o", "out", "--calibration", "images", *arguments, "--first", "5"
    )
    assert (made.code, made.err) == (0, "")
    with np.load(here / "out" / "reference" / "samples.npz") as file:
        assert file["x"].shape == (5, 3, 8, 8)
        assert np.abs(file["x"]).max() <= 1
        np.save(here / "five.npy", file["x"])
        assert file["labels"].tolist() == [0, 0, 1, 1, 1]
    result = run("verify", "out", "--input", "images", *arguments, "--first", "5", "--json")
    assert (result.code, json.loads(result.out)["samples"]) == (0, 5)
    for source in (["images", *arguments], ["five.npy"]):
        assert run("run", "out", "--input", *source, "--output", "y.npz", "--first", "4").code == 0
        with np.load(here / "y.npz") as file:
            (expected,) = epimc.load("out").run(None, {"x": np.load("five.npy")[:4]})
            np.testing.assert_array_equal(file["y"], expected)
    plain = json.loads(run("verify", "out", "--input", "five.npy", "--json").out)
    assert plain["outputs"] == json.loads(result.out)["outputs"]
    assert json.loads(run("verify", "out", "--first", "3", "--json").out)["samples"] == 3
    # The same samples in an npy file give the same ranges.
    run("compile", "model.onnx", "-o", "again", "--calibration", "five.npy")
    assert (here / "again" / "program.bin").read_bytes() == (
        here / "out" / "program.bin"
    ).read_bytes()
    digests = [read_bundle(here / name).manifest.options.calibration for name in ("out", "again")]
    assert digests[0] != digests[1]
    assert all(len(digest) == 64 for digest in digests)


# --- bad input ------------------------------------------------------------------------------------

EVALUATE = ("evaluate", "bundle", "--data")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("none.npz",),
            "error: Data file 'none.npz' does not exist.\n",
        ),
        (
            ("model.onnx",),
            "error: Data file 'model.onnx' is of no known kind.\n"
            "  hint: Pass an npz file, an npy file, or a folder of images.\n",
        ),
        (
            ("samples.npz", "--of", "float,porgram"),
            "error: 'porgram' is nothing that can be evaluated.\n  hint: Did you mean 'program'?\n",
        ),
        (
            ("samples.npz", "--labels", "three.txt"),
            "error: Labels file 'three.txt' has 3 labels for 4 samples.\n"
            "  hint: Each sample needs the number of its class.\n",
        ),
        (
            ("wrong.npy",),
            "error: Data file 'wrong.npy' has a wrong shape.\n"
            "  note: Expected (n, 3, 8, 8), found (4, 8, 8, 3).\n"
            "  hint: Move its axes: array.transpose(0, 3, 1, 2).\n",
        ),
        (
            ("empty",),
            "error: Folder 'empty' has no images.\n"
            "  hint: Their names end in .bmp, .gif, .jpeg, .jpg, .pgm, .png, .pnm, .ppm, .tif, "
            ".tiff, .webp.\n",
        ),
        (
            ("broken",),
            "error: Image 'broken/b.png' cannot be read.\n"
            "  note: cannot identify image file 'broken/b.png'\n"
            "  hint: Replace it, or take it out of the folder.\n",
        ),
        (
            ("broken", "--jobs", "2", "--batch", "1"),
            "error: Image 'broken/b.png' cannot be read.\n"
            "  note: cannot identify image file 'broken/b.png'\n"
            "  hint: Replace it, or take it out of the folder.\n",
        ),
        (
            ("samples.npz", "--size", "8"),
            "error: --size is for folders of images, and 'samples.npz' is none.\n"
            "  hint: Arrays are taken as they are.\n",
        ),
        (
            ("empty", "--crop", "8by8"),
            "error: --crop '8by8' is no size.\n  hint: Write it as 256, or as 224x320.\n",
        ),
        (
            ("empty", "--scale", "1/0"),
            "error: --scale has '1/0', which is no number.\n"
            "  hint: Write it as 0.5, or as 1/255.\n",
        ),
        (
            ("samples.npz", "--engine", "ssb"),
            "error: Unknown simulation engine 'ssb'.\n  hint: Did you mean 'ssa'?\n",
        ),
        (
            ("samples.npz", "--state", "bundle/state"),
            "error: 'bundle/state/evaluation.json' cannot be written: it lies in the bundle "
            "'{here}/bundle'.\n  hint: Choose a place outside of it.\n",
        ),
    ],
)
def test_wrong_input(arguments: tuple[str, ...], message: str, refuse: Refuse, here: Path) -> None:
    (here / "three.txt").write_text("0\n1\n0\n")
    np.save(here / "wrong.npy", np.zeros((4, 8, 8, 3), np.float32))
    (here / "empty").mkdir()
    (here / "broken").mkdir()
    Image.new("RGB", (8, 8)).save(here / "broken" / "a.png")
    (here / "broken" / "b.png").write_bytes(b"no image")
    assert refuse(*EVALUATE, *arguments) == message.format(here=here)


def test_a_batch_that_memory_cannot_hold(refuse: Refuse, run: Run) -> None:
    # 192 integers in, 72 accumulators, 72 activations; 192 and 72 reals at the borders.
    one = 4 * (192 + 72 + 72) + 2 * 4 * (192 + 72)
    limits = ("--limit-bytes", "1000000")
    assert refuse(*EVALUATE, "samples.npz", "--batch", "1000", *limits) == (
        f"error: A batch of 1000 samples takes up to {1000 * one} bytes; the limit is 1000000.\n"
        "  note: A sample: all maps of the program, its inputs and its outputs.\n"
        f"  hint: Use --batch {1000000 // one}, or raise the limit (--limit-bytes).\n"
    )
    fitting = str(1000000 // one)
    assert run(*EVALUATE, "samples.npz", "--batch", fitting, *limits).code == 0
    assert refuse(*EVALUATE, "samples.npz", "--batch", "200", "--jobs", "2", *limits).startswith(
        f"error: A batch of 200 samples takes up to {400 * one} bytes in 2 processes; "
    )


def test_options_of_images_without_images(refuse: Refuse) -> None:
    problem = "error: Options of images are for a folder of images, and there is none.\n"
    assert refuse("verify", "bundle", "--scale", "2") == problem
    assert refuse("compile", "model.onnx", "-o", "out", "--mean", "1") == problem


# --- interruptions --------------------------------------------------------------------------------


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from epimc.__main__ import main
from epimc.evaluation import state
from epimc.evaluation.state import State

# Results are written as they come.
state.SECONDS = 0
write, kind = State.write, sys.argv.pop(1)

def interrupted(state):
    write(state)
    # Once: what is left is written when it ends.
    if any(Path("state").glob("*.npz")) and not Path("children.txt").exists():
        own = os.getpid()
        # Of all threads: any may have started them.
        tasks = Path("/proc/self/task").glob("*/children")
        Path("children.txt").write_text(" ".join(task.read_text() for task in tasks))
        # As in a terminal, where Ctrl-C reaches all processes of the command; or from elsewhere.
        os.killpg(0, signal.SIGINT) if kind == "terminal" else os.kill(own, signal.SIGTERM)

State.write = interrupted
# Of a job in the background it may be ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""
"""The command, in a process that is interrupted as soon as there are results on disk."""


def interrupted(folder: Path, kind: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """An evaluation that is interrupted halfway."""
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED, kind, "evaluate", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        check=False,
        timeout=300,
    )


def is_running(number: int) -> bool:
    """Whether a process is there, and has not ended."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="no /proc")
@pytest.mark.parametrize("kind", ["terminal", "elsewhere"])
def test_ctrl_c_leaves_nothing_half_done(kind: str, run: Run, here: Path) -> None:
    draw = np.random.default_rng(3)
    np.save(here / "x.npy", draw.standard_normal((2000, 3, 8, 8)).astype(np.float32))
    arguments = ["bundle", "--data", "x.npy", "--json"]
    expected = run("evaluate", *arguments)
    done = interrupted(here, kind, *arguments, "--state", "state", "--batch", "2", "--jobs", "2")
    assert (done.stdout, done.stderr) == ("", "interrupted\n")
    assert done.returncode == (130 if kind == "terminal" else 143)
    helpers = [int(word) for word in (here / "children.txt").read_text().split()]
    assert helpers
    deadline = time.monotonic() + 30
    while any(map(is_running, helpers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, helpers))
    kept = {path.name for path in (here / "state").iterdir()}
    assert all(name == "evaluation.json" or name.endswith(".npz") for name in kept)
    # The rest, in other batches; a last time nothing is left to be done.
    for more in (["--batch", "64"], ["--jobs", "2"]):
        result = run("evaluate", *arguments, "--state", "state", *more)
        assert (result.code, result.out) == (expected.code, expected.out)


def test_a_process_that_is_killed_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from epimc.evaluation.processes import Helper

    begin = Helper.begin

    def killed(self: Helper, job: dict[str, Any]) -> None:
        begin(self, job)
        self.process.kill()
        self.process.wait()

    monkeypatch.setattr(Helper, "begin", killed)
    with pytest.raises(epimc.EpimcError) as caught:
        epimc.evaluate("bundle", "samples.npz", jobs=2, batch=1)
    assert caught.value.diagnostic.message == (
        "A process of the evaluation has ended, with the exit code -9."
    )
