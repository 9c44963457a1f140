"""Models of PyTorch, exported to ONNX by PyTorch's own exporter (extra `torch`)."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from epimc.support.diagnostics import error

if TYPE_CHECKING:
    import onnx

INSTALL = "Install them: pip install 'epimc[torch]'."


def is_torch_module(value: object) -> bool:
    """Whether a value is a torch.nn.Module; where torch has not been imported, nothing is."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def export_torch(module: Any, example: Any) -> onnx.ModelProto:
    """The ONNX model of a torch.nn.Module in evaluation mode, for any number of samples.

    Args:
        module: It is left as it was.
        example: A tensor, or a tuple of tensors, to call it with; samples first.

    Raises:
        EpimcError: There is no example, a package is missing, or PyTorch cannot export the module.
    """
    import torch

    if example is None:
        raise error(
            "A torch.nn.Module can only be exported with an example of its inputs.",
            hint="Pass example=tensor, or a tuple of tensors, samples first.",
        )
    inputs = example if isinstance(example, tuple) else (example,)
    for tensor in inputs:
        if not isinstance(tensor, torch.Tensor) or not tensor.ndim:
            raise error("The example must be tensors with the samples first.")
    batch = torch.export.Dim("batch")
    with quiet(), evaluating(module):
        try:
            program = torch.onnx.export(
                module,
                inputs,
                dynamo=True,
                dynamic_shapes=tuple({0: batch} for _ in inputs),
                verbose=False,
            )
        except ImportError as problem:
            raise error(f"PyTorch's exporter lacks a package: {problem}.", hint=INSTALL) from None
        # The exporter runs the module and translates what it does: anything may go wrong.
        except Exception as problem:
            raise error(
                f"PyTorch cannot export the {type(module).__name__}.",
                notes=[first_line(problem)],
                hint="Try torch.onnx.export(module, example, dynamo=True) to see the whole reason.",
            ) from problem
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """The module in evaluation mode for a while: dropout off, norms by their statistics."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def quiet() -> Iterator[None]:
    """What the exporter warns of is about itself, not about the user's model."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def first_line(problem: Exception) -> str:
    """What an exception says first."""
    return next(iter(str(problem).splitlines()), type(problem).__name__)
