"""Copies of models, which are paid for before they are made."""

from __future__ import annotations

import onnx

from epimc.support.limits import Budget


def paid_copy(model: onnx.ModelProto, budget: Budget, subject: str) -> onnx.ModelProto:
    """A copy of a model.

    Args:
        model: As it is.
        budget: Pays for it.
        subject: What the copy is, as messages call it.

    Raises:
        EpimcError: The limit does not leave enough.
    """
    budget.read(model.ByteSize(), subject)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
