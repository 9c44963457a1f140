"""`epimc.backend`: the backend of ONNX, for `import epimc.backend` as for `epimc.backend`.

ONNX has backends be classes, and onnxruntime has modules of such names: here the class stands in
the place of the module, so that both are the same.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import cast

from epimc.onnx_backend import EpimcBackend

sys.modules[__name__] = cast(ModuleType, EpimcBackend)
