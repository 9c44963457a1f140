"""The programs whose text is committed: the example models, and small networks of all kinds.

    python -m tests.golden_programs CASE DIR

compiles one of them and writes DIR/bundle and, for each array of which the golden file has only a
digest, its numbers in DIR/arrays: run at two commits, `diff -r` of the two folders shows them all.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

import epimc
from tests.helpers.grouped_networks import grouped, mobile
from tests.helpers.onnx_networks import NETWORKS, Network

Array = NDArray[Any]
EXAMPLES = Path(__file__).parent.parent / "examples"
FILES = ("program.asm", "tables.json")
TENSORS = ("tables.safetensors", "weights.safetensors")

MOST_SAMPLES = 64
"""Of the test samples of an example that are run: more cost time and show nothing new."""


@dataclass(frozen=True)
class Case:
    """Something to compile.

    Attributes:
        name: Of the golden files.
        model: An example's file name, or what writes the model into a file.
        data: The example's samples begin with this name; empty: standard normal ones are used.
    """

    name: str
    model: str | Callable[[Path], object]
    data: str = ""
    target: str = "epim-256"
    epitome: str = "none"
    weight_bits: int = 8
    activation_bits: int = 8

    def compile(self, folder: Path) -> epimc.Session:
        """The bundle, in `folder`/bundle."""
        path = folder / "model.onnx"
        if isinstance(self.model, str):
            path = EXAMPLES / self.model
        else:
            self.model(path)
        return epimc.compile(
            path,
            folder / "bundle",
            target=self.target,
            weight_bits=self.weight_bits,
            activation_bits=self.activation_bits,
            calibration=EXAMPLES / f"{self.data}-calibration.npz" if self.data else None,
            epitome=self.epitome,
            # Compensated rounding gives the same integers on processors of one class alone.
            effort="fast",
        )

    def samples(self, session: epimc.Session) -> dict[str, Array]:
        """Inputs to run: the example's test samples, else standard normal ones."""
        ports = session.bundle.program.inputs
        if self.data:
            with np.load(EXAMPLES / f"{self.data}-test.npz", allow_pickle=False) as file:
                return {port.name: file[port.name][:MOST_SAMPLES] for port in ports}
        random = np.random.default_rng(7)
        return {
            port.name: random.standard_normal((4, *(port.shape or ()))).astype(np.float32)
            for port in ports
        }


def hosted(path: Path) -> None:
    """A softmax between two convolutions, behind which a shortcut is added."""
    net = Network({"x": (3, 6, 5)})
    x = net.node("Relu", net.conv("x", 3, 4))
    softmax = net.node("Softmax", net.conv(x, 4, 4, 1), axis=1)
    model = net.model(net.node("Add", net.conv(softmax, 4, 4), x))
    path.write_bytes(model.SerializeToString())


def channels_last(path: Path) -> None:
    """A convolution of an image whose channels come last, larger than the buffer of `tiny`."""
    net = Network({"x": (80, 80, 3)})
    image = net.node("Transpose", "x", perm=[0, 3, 1, 2])
    path.write_bytes(net.model(net.conv(image, 3, 2, 1)).SerializeToString())


def gate(path: Path) -> None:
    """Truths that one call of the host gives another, which also takes what a layer makes."""
    net = Network({"x": (3, 6, 5)})
    shares = net.node("Softmax", net.conv("x", 3, 4, 1), axis=1)
    large = net.node("Greater", shares, net.constant(np.array(0.25, np.float32)))
    chosen = net.node("Where", large, net.conv(shares, 4, 4, 1), shares)
    path.write_bytes(net.model(chosen, net.conv(chosen, 4, 2)).SerializeToString())


def network(name: str) -> Callable[[Path], object]:
    """What writes one of NETWORKS into a file."""
    return lambda path: path.write_bytes(NETWORKS[name]().SerializeToString())


MNIST, FASHION, BLAZEFACE = "mnist-conv.onnx", "fashion-resnet8.onnx", "blazeface-front-128.onnx"
CASES = {
    case.name: case
    for case in (
        Case("mnist", MNIST, "mnist"),
        Case("mnist-tiny", MNIST, "mnist", "tiny", weight_bits=3, activation_bits=5),
        Case("fashion", FASHION, "fashion"),
        Case("fashion-epitome", FASHION, "fashion", epitome="uniform:256x32"),
        # Sixteen tiles, and a map that does not fit into their buffers.
        Case("fashion-tiny", FASHION, "fashion", "tiny"),
        Case("blazeface", BLAZEFACE, "blazeface"),
        Case("blazeface-epitome", BLAZEFACE, "blazeface", epitome="uniform:256x32"),
        Case("mobile", mobile, epitome="uniform:18x4"),
        Case("grouped-tiny", grouped, target="tiny"),
        *(Case(name, network(name)) for name in NETWORKS),
        Case("moved-tiny", network("moved"), target="tiny", epitome="uniform:18x4"),
        Case("hosted", hosted),
        Case("host-values", gate, target="tiny"),
        Case("channels-last-tiny", channels_last, target="tiny"),
    )
}


def golden_texts(case: Case, folder: Path) -> dict[str, str]:
    """What is committed of a case that is compiled into a folder, by the files' names."""
    session = case.compile(folder)
    texts = {
        f"programs/{case.name}.{name.removeprefix('program.')}": (
            (folder / "bundle" / name).read_text(encoding="utf-8")
        )
        for name in FILES
    }
    lines = [f"{name} {described(array)}" for name, array in arrays(case, session, folder)]
    texts[f"programs/{case.name}.digests"] = "\n".join(lines) + "\n"
    return texts


def arrays(case: Case, session: epimc.Session, folder: Path) -> Iterator[tuple[str, Array]]:
    """All numbers that are not in the texts: those of the tables, and what the program computes."""
    bundle = folder / "bundle"
    yield "program.bin", np.fromfile(bundle / "program.bin", np.uint8)
    for name in TENSORS:
        yield from sorted(load_file(bundle / name).items())
    if session.bundle.fragments:
        # The host computes in float32, whose last bits are those of the machine.
        return
    names = [port.name for port in session.get_outputs()]
    for name, array in zip(names, session.run(None, case.samples(session)), strict=True):
        yield f"output {name}", array


def described(array: Array) -> str:
    """An array on a line: type, shape and digest."""
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return f"{array.dtype}{list(array.shape)} {digest[:32]}"


def main(name: str, folder: Path) -> None:
    """Write a case with all its numbers as text into a folder."""
    (folder / "arrays").mkdir(parents=True)
    case = CASES[name]
    for key, array in arrays(case, case.compile(folder), folder):
        path = folder / "arrays" / f"{key.replace('/', '_')}.txt"
        path.write_text("\n".join(map(repr, array.ravel().tolist())) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
