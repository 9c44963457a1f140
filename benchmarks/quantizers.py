"""What quantization loses: epimc beside onnxruntime's own static quantization, in one run.

    python benchmarks/quantizers.py MODEL.onnx --calibration C.npz --input X.npz
    python benchmarks/quantizers.py MODEL.onnx --calibration C.npz --input X.npz --leave-one-out

Both get the same calibration samples, 8-bit weights with a scale per channel, and 8-bit
activations.  The peer is `onnxruntime.quantization.quantize_static` (QDQ format, minima and maxima,
unsigned activations, signed weights) on the model converted to opset 13 (of its own opset where
onnx cannot convert it), run without graph optimizations, because the fused kernels of some machines
saturate.  Prints the SQNR of every
output against the float model, in dB; exits with 1 when an output of epimc's is worse by more than
--limit dB.

With --leave-one-out, the samples of both files are taken together, each is the test once while all
others calibrate, and the mean over all of them counts: a few samples make one figure a throw of
dice.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

import epimc
from epimc.verification.measures import Loss

OPSET = 13

Array = NDArray[Any]
Samples = dict[str, Array]


class Reader(CalibrationDataReader):  # type: ignore[misc]  # It is untyped.
    """Gives the calibration samples to quantize_static, one by one."""

    def __init__(self, samples: Samples) -> None:
        self.rest: Iterator[Samples] = one_by_one(samples)

    def get_next(self) -> Samples | None:
        """The next sample, None at the end."""
        return next(self.rest, None)


def one_by_one(samples: Samples) -> Iterator[Samples]:
    """Each sample as a batch of one."""
    for k in range(count(samples)):
        yield {name: array[k : k + 1] for name, array in samples.items()}


def count(samples: Samples) -> int:
    """How many samples there are."""
    return len(next(iter(samples.values())))


def read(path: Path) -> Samples:
    """The samples of an npz file, without labels."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name != "labels"}


def run_onnx(model: Path, samples: Samples) -> list[Array]:
    """The outputs of an ONNX model without graph optimizations, samples first."""
    options: Any = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    parts = [session.run(None, sample) for sample in one_by_one(samples)]
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def run_epimc(model: Path, calibration: Samples, test: Samples, folder: Path) -> list[Array]:
    """The outputs of the compiled program."""
    np.savez(folder / "calibration.npz", allow_pickle=False, **calibration)
    session = epimc.compile(model, folder / "out", calibration=folder / "calibration.npz")
    return session.run(None, test)


def convert(model: Path, converted: Path) -> int:
    """Write a model of the opset that the peer gets, its own where onnx cannot convert it.

    Returns:
        That opset.
    """
    loaded = onnx.load(model)
    try:
        loaded = onnx.version_converter.convert_version(loaded, OPSET)
        # The converter may give a model that is none.
        onnxruntime.InferenceSession(loaded.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception:
        loaded = onnx.load(model)
    onnx.save(loaded, converted)
    opsets = {each.domain: int(each.version) for each in loaded.opset_import}
    return opsets.get("", opsets.get("ai.onnx", OPSET))


def quantize(model: Path, calibration: Samples, folder: Path) -> Path:
    """What quantize_static makes of a converted model, a file."""
    made = folder / "quantized.onnx"
    quantize_static(
        model,
        made,
        Reader(calibration),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return made


def run_peer(model: Path, calibration: Samples, test: Samples, folder: Path) -> list[Array]:
    """The outputs of what quantize_static makes of a converted model."""
    return run_onnx(quantize(model, calibration, folder), test)


def sqnr(outputs: list[Array], true: list[Array]) -> list[float]:
    """SQNR of every output in dB; infinite where nothing is lost."""
    result = []
    for a, b in zip(outputs, true, strict=True):
        loss = Loss()
        loss.add(a, b)
        result.append(float("inf") if loss.sqnr_db is None else loss.sqnr_db)
    return result


def folds(
    calibration: Samples, test: Samples, leave_one_out: bool
) -> list[tuple[Samples, Samples]]:
    """Pairs of calibration and test samples."""
    if not leave_one_out:
        return [(calibration, test)]
    every = {name: np.concatenate([calibration[name], test[name]]) for name in calibration}
    return [
        (
            {name: np.delete(array, k, axis=0) for name, array in every.items()},
            {name: array[k : k + 1] for name, array in every.items()},
        )
        for k in range(count(every))
    ]


def measure(model: Path, pairs: list[tuple[Samples, Samples]]) -> tuple[Array, Array]:
    """Mean SQNR of every output over the pairs: of epimc, of the peer."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        converted = folder / "converted.onnx"
        convert(model, converted)
        for calibration, test in pairs:
            true = run_onnx(model, test)
            ours.append(sqnr(run_epimc(model, calibration, test, folder), true))
            theirs.append(sqnr(run_peer(converted, calibration, test, folder), true))
    return np.mean(ours, axis=0), np.mean(theirs, axis=0)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--leave-one-out", action="store_true")
    parser.add_argument("--limit", type=float, default=0.5, metavar="DB")
    options = parser.parse_args(arguments)
    # quantize_static advises at every call to run another tool first, and tells each of its steps.
    onnxruntime.set_default_logger_severity(4)
    logging.disable(logging.WARNING)
    pairs = folds(read(options.calibration), read(options.input), options.leave_one_out)
    ours, theirs = measure(options.model, pairs)
    outputs = [output.name for output in onnx.load(options.model).graph.output]
    print(f"{options.model.name}, mean over {len(pairs)} tests, SQNR in dB")
    width = max(len("output"), *map(len, outputs))
    print(f"{'output':{width}}  {'epimc':>6}  {'peer':>6}  difference")
    for name, a, b in zip(outputs, ours, theirs, strict=True):
        print(f"{name:{width}}  {a:6.2f}  {b:6.2f}  {a - b:+10.2f}")
    worst = float((ours - theirs).min())
    if worst < -options.limit:
        print(f"an output is worse by {-worst:.2f} dB, more than {options.limit}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
