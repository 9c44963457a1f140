"""Real functions of one number, which the chip computes by look-up tables.

One declaration a function: its name in the IR, what ONNX calls it, what it computes in float64, and
the parameters that it takes, with ONNX's defaults.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# With so many nodes the integral behind erf is exact to 14 digits up to ERF_END,
# beyond which erf is 1.
ERF_NODES, ERF_END = 32, 6.0


@dataclass(frozen=True)
class Function:
    """One function.

    Attributes:
        onnx: ONNX's operator.
        compute: Called with x and a value for each parameter, which broadcast.
        parameters: Their names (`alpha`, `beta`) and defaults, in order.
        keys: What ONNX calls them, where it has other names.
        settings: Further attributes with which ONNX's operator is this function.
        binary: ONNX's operator of x and the first parameter, which may be one number a channel.
        homogeneous: Whether it passes a positive factor on: f(s * x) = s * f(x) for every s > 0.
    """

    onnx: str
    compute: Callable[..., Array]
    parameters: tuple[tuple[str, float], ...] = ()
    keys: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    binary: str = ""
    homogeneous: bool = False

    @property
    def onnx_parameters(self) -> dict[str, tuple[str, float]]:
        """By ONNX's names the parameters: name and default."""
        keys = self.keys or tuple(name for name, _ in self.parameters)
        return dict(zip(keys, self.parameters, strict=True))


def erf(x: Array) -> Array:
    """The error function: 2x/sqrt(pi) times the integral of exp(-x^2 t^2) over t in [0, 1]."""
    inside = np.clip(x, -ERF_END, ERF_END)
    nodes, weights = np.polynomial.legendre.leggauss(ERF_NODES)
    total = np.zeros_like(inside)
    for node, weight in zip((nodes + 1) / 2, weights, strict=True):
        total += weight * np.exp(-((inside * node) ** 2))
    result: Array = inside * total / math.sqrt(math.pi)
    return result


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    result: Array = 0.5 * (1 + np.tanh(0.5 * x))
    return result


def softplus(x: Array) -> Array:
    """log(1 + exp(x)), without overflow."""
    result: Array = np.logaddexp(0.0, x)
    return result


def elu(x: Array, alpha: Array | float) -> Array:
    """x, below 0 alpha * (exp(x) - 1)."""
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)


def celu(x: Array, alpha: Array | float) -> Array:
    """x, below 0 alpha * (exp(x / alpha) - 1)."""
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0) / alpha), x)


def hard_sigmoid(x: Array, alpha: Array | float, beta: Array | float) -> Array:
    """alpha * x + beta, clipped to [0, 1]."""
    result: Array = np.clip(alpha * x + beta, 0, 1)
    return result


def gelu_tanh(x: Array) -> Array:
    """The approximation of gelu by tanh."""
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    result: Array = 0.5 * x * (1 + np.tanh(inner))
    return result


FUNCTIONS: Mapping[str, Function] = {
    "abs": Function("Abs", np.abs, homogeneous=True),
    "celu": Function("Celu", celu, (("alpha", 1.0),)),
    "elu": Function("Elu", elu, (("alpha", 1.0),)),
    "erf": Function("Erf", erf),
    "exp": Function("Exp", np.exp),
    "gelu": Function("Gelu", lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2)))),
    "gelu_tanh": Function("Gelu", gelu_tanh, settings=(("approximate", "tanh"),)),
    "hard_sigmoid": Function("HardSigmoid", hard_sigmoid, (("alpha", 0.2), ("beta", 0.5))),
    "hard_swish": Function("HardSwish", lambda x: x * hard_sigmoid(x, 1 / 6, 0.5)),
    "larger": Function("Max", np.maximum, (("alpha", 0.0),), binary="Max"),
    "leaky_relu": Function(
        "LeakyRelu",
        lambda x, alpha: np.where(x < 0, alpha * x, x),
        (("alpha", 0.01),),
        binary="PRelu",
        homogeneous=True,
    ),
    "mish": Function("Mish", lambda x: x * np.tanh(softplus(x))),
    "selu": Function(
        "Selu",
        lambda x, alpha, beta: beta * elu(x, alpha),
        (("alpha", 1.67326319217681884765625), ("beta", 1.05070102214813232421875)),
        keys=("alpha", "gamma"),
    ),
    "sigmoid": Function("Sigmoid", sigmoid),
    "smaller": Function("Min", np.minimum, (("alpha", 0.0),), binary="Min"),
    "softplus": Function("Softplus", softplus),
    "softsign": Function("Softsign", lambda x: x / (1 + np.abs(x))),
    "tanh": Function("Tanh", np.tanh),
    "thresholded_relu": Function(
        "ThresholdedRelu", lambda x, alpha: np.where(x > alpha, x, 0), (("alpha", 1.0),)
    ),
}
