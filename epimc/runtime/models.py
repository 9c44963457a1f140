"""Small ONNX models that others ask about: run in onnxruntime, each loaded once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from epimc.runtime.guard import GuardedSession
from epimc.support.limits import DEFAULT_BYTES

Array = NDArray[Any]

# Of a few kilobytes each.
MOST_LOADED = 64


def run_model(
    model: bytes, inputs: Mapping[str, Array], *, limit_bytes: int = DEFAULT_BYTES
) -> list[Array]:
    """All outputs of a model, in order.

    Args:
        model: Serialized.
        inputs: By name.
        limit_bytes: Bounds what its tensors may take.

    Raises:
        EpimcError: onnxruntime refuses it, or fails.
    """
    session = loaded(model, limit_bytes)
    return session.run(list(session.outputs), inputs)


@lru_cache(maxsize=MOST_LOADED)
def loaded(model: bytes, limit_bytes: int) -> GuardedSession:
    """The session of a model."""
    return GuardedSession(model, "a function of the model", limit_bytes=limit_bytes)
