"""Compile a model, run the program on the simulator, and count the right answers.

python compile_and_run.py

Writes the program into the folder `out` of the current folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import epimc

HERE = Path(__file__).parent


def main() -> None:
    """Compile the MNIST model and classify 100 digits with the compiled program."""
    epimc.compile(HERE / "mnist-conv.onnx", "out", calibration=HERE / "mnist-calibration.npz")

    with np.load(HERE / "mnist-test.npz") as test:
        images, labels = test["Input3"][:100], test["labels"][:100]
    session = epimc.load("out")
    outputs = session.run(None, {"Input3": images})

    right = int((outputs[0].argmax(axis=1) == labels).sum())
    print(f"{right} of {len(labels)} digits are classified correctly")


if __name__ == "__main__":
    main()
