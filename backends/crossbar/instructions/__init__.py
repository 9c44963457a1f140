"""The instruction set: one class an instruction, a file a family.

    control.py    halt, signal, wait, loop, end
    transfers.py  load, store, send, recv
    mvm.py        mvm: the crossbars
    vector.py     requantize, add, multiply, lookup
    pool.py       pool
    moves.py      rearrange, concat, pad, select, constant
    direct.py     direct
    host.py       host

`declaration.py` says what any instruction declares, `table.py` and `computing.py` what those do
that have tables; `registry.py` knows all by name.  To add one: write its class, mark it with
`register`, and import its file here.
"""

from __future__ import annotations

from epimc.backends.crossbar.instructions import (
    control,
    direct,
    host,
    moves,
    mvm,
    pool,
    transfers,
    vector,
)

__all__ = ["control", "direct", "host", "moves", "mvm", "pool", "transfers", "vector"]
