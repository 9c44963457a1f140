"""The ONNX operators, a family in each file.  To import this package is to register them all."""

# ruff: noqa: F401, I001 (the order of the imports is that of the README's list)
from epimc.frontend.operators import linear
from epimc.frontend.operators import transposed
from epimc.frontend.operators import matmul
from epimc.frontend.operators import arithmetic
from epimc.frontend.operators import elementwise
from epimc.frontend.operators import pool
from epimc.frontend.operators import reduce
from epimc.frontend.operators import resize
from epimc.frontend.operators import join
from epimc.frontend.operators import select
from epimc.frontend.operators import move
from epimc.frontend.operators import quantization
from epimc.frontend.operators import constant
