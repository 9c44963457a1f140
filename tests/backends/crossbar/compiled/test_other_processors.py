"""The bit-serial kernels as processors without AVX-512, or without any AVX, have them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from epimc.backends.crossbar.compiled.processor import features

ROOT = Path(__file__).parents[4]

# Features that LLVM may use, by what a processor lacks.
LESS: dict[str, Callable[[str], bool]] = {
    "avx512": lambda name: name.startswith("avx512"),
    "avx": lambda name: "avx" in name,
}


@pytest.mark.skipif("avx2" not in features(), reason="no processor of this kind")
@pytest.mark.parametrize("missing", LESS)
def test_with_fewer_instructions(
    missing: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The tests of this folder that compare bits, in a process of their own.

    Its machine code is kept between runs, as that of this process is, for as long as it is that of
    the modules.
    """
    cache: pytest.Cache | None = getattr(request.config, "cache", None)
    kept_code = tmp_path if cache is None else cache.mkdir(f"kernels-without-{missing}")
    kept = sorted(features())
    lacking = [name for name in kept if LESS[missing](name)]
    stated = ",".join(("-" if name in lacking else "+") + name for name in kept)
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "x86-64",
        "NUMBA_CPU_FEATURES": stated,
        "NUMBA_CACHE_DIR": str(kept_code),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    test = "tests/backends/crossbar/compiled/test_serial.py"
    # What differs between processors is how bits are laid out and added, which these reach.
    chosen = ["-k", "forced_it_is or large_arrays"]
    done = subprocess.run(
        [*command, test, *chosen],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
