"""Accuracy of a compiled program on all 10,000 Fashion-MNIST test images.

    python benchmarks/accuracy.py --data DIR
    python benchmarks/accuracy.py --data DIR --weight-bits 4 --activation-bits 6

DIR holds t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz, as Fashion-MNIST publishes them.
The model is compiled with the calibration images of examples/, which are training images, and runs
on the bundled simulator.  Prints the accuracy of the float model in onnxruntime, that of the
program, and the difference in percentage points; exits with 1 when the program is worse by more
than --limit of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import epimc

EXAMPLES = Path(__file__).parent.parent / "examples"
IMAGES, LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

Floats = NDArray[np.float32]


def preparation() -> ModuleType:
    """The script that made the example data: it reads and scales the images."""
    spec = importlib.util.spec_from_file_location("prepare_data", EXAMPLES / "prepare_data.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_set(folder: Path) -> tuple[Floats, NDArray[np.int64]]:
    """Images float32 [n, 1, 28, 28] as the model wants them, and labels int64 [n].

    Raises:
        SystemExit: A file is missing or broken.
    """
    prepare = preparation()
    try:
        images = prepare.normalised(prepare.read_idx(folder / IMAGES))
        labels = prepare.read_idx(folder / LABELS).astype(np.int64)
    except (OSError, ValueError) as problem:
        raise SystemExit(f"error: {problem}") from None
    if len(images) != len(labels):
        raise SystemExit(f"error: {len(images)} images, but {len(labels)} labels")
    return images, labels


def float_winners(model: Path, images: Floats) -> NDArray[np.int64]:
    """The classes that the float model finds, int64 [n]."""
    options: Any = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: part})[0] for part in np.array_split(images, 20)]
    winners: NDArray[np.int64] = np.concatenate(parts).argmax(axis=1)
    return winners


def program_winners(session: epimc.Session, images: Floats) -> NDArray[np.int64]:
    """The classes that the program finds, int64 [n]."""
    name = session.get_inputs()[0].name
    winners: NDArray[np.int64] = session.run(None, {name: images})[0].argmax(axis=1)
    return winners


def measure(arguments: argparse.Namespace) -> float:
    """Compile, run, print; the loss of accuracy in percentage points."""
    images, labels = test_set(arguments.data)
    images, labels = images[: arguments.count], labels[: arguments.count]
    with tempfile.TemporaryDirectory() as folder:
        session = epimc.compile(
            arguments.model,
            Path(folder) / "bundle",
            target=arguments.target,
            weight_bits=arguments.weight_bits,
            activation_bits=arguments.activation_bits,
            calibration=arguments.calibration,
        )
        started = time.perf_counter()
        ours = program_winners(session, images)
        seconds = time.perf_counter() - started
    theirs = float_winners(arguments.model, images)
    accuracy, float_accuracy = (100 * float((w == labels).mean()) for w in (ours, theirs))
    bits = f"W{arguments.weight_bits}A{arguments.activation_bits}"
    print(f"{arguments.model.name} on {arguments.target}, {bits}, {len(labels)} images")
    print(f"float model:  {float_accuracy:6.2f} %")
    print(f"program:      {accuracy:6.2f} %, {seconds:.1f} s on the simulator")
    print(f"difference:   {accuracy - float_accuracy:+6.2f} points")
    print(f"same class:   {100 * float((ours == theirs).mean()):6.2f} %")
    return float_accuracy - accuracy


def argument_parser() -> argparse.ArgumentParser:
    """The options, as the docstring of this file shows them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help=f"folder of {IMAGES} and {LABELS}")
    parser.add_argument("--model", type=Path, default=EXAMPLES / "fashion-resnet8.onnx")
    parser.add_argument("--calibration", type=Path, default=EXAMPLES / "fashion-calibration.npz")
    parser.add_argument("--target", default="epim-256", help="a target's name or file")
    parser.add_argument("--weight-bits", type=int, default=8)
    parser.add_argument("--activation-bits", type=int, default=8)
    parser.add_argument("--count", type=int, default=10_000, help="use the first images only")
    parser.add_argument("--limit", type=float, default=0.3, help="points that may be lost")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; 1 when too much is lost, else 0."""
    arguments = argument_parser().parse_args(argv)
    loss = measure(arguments)
    if loss > arguments.limit:
        print(f"the program loses {loss:.2f} points, more than {arguments.limit}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
