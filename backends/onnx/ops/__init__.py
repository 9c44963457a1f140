"""What each op is in ONNX, a file a family: on reals its float form, on integers its integer form.

An op gets its forms by decorators, `@float_form(nn.Relu)` and `@integer_form(epi.Conv)`; importing
this package registers all that are here.
"""

from epimc.backends.onnx.ops import border, epitomes, functions, host, moves, pools, sums
from epimc.backends.onnx.ops.tables import Quantized, activation_of, float_form, integer_form

__all__ = [
    "Quantized",
    "activation_of",
    "border",
    "epitomes",
    "float_form",
    "functions",
    "host",
    "integer_form",
    "moves",
    "pools",
    "sums",
]
