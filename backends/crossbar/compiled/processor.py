"""Which vector instructions kernels may use: those that LLVM is allowed to."""

from __future__ import annotations

from llvmlite import binding
from numba.core import config


def features() -> frozenset[str]:
    """The names of the features, as LLVM has them, that compiled code may use.

    Those of the processor; NUMBA_CPU_FEATURES, a list like `+avx2,-avx512f`, stands for all of
    them where it is set, so that a processor can be held to less than it has.
    """
    # Numba makes its settings at run time, of the environment.
    stated = vars(config).get("CPU_FEATURES")
    if stated is not None:
        return frozenset(word[1:] for word in str(stated).split(",") if word.startswith("+"))
    return frozenset(name for name, there in binding.get_host_cpu_features().items() if there)
