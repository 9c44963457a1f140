"""Bundles that are changed by hand, with checksums that are right again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from epimc.bundle.manifest import MANIFEST, sealed
from epimc.support.files import sha256_of_file


def rechecksum(folder: Path) -> None:
    """Make the manifest of a bundle agree with files that were changed, and with itself.

    Files that the manifest lists and that are missing keep their checksums; no file is added.
    """

    def listed(manifest: dict[str, Any]) -> None:
        files = manifest["files"]
        files.update({name: digest_of(folder / name, files[name]) for name in files})

    change_manifest(folder, listed)


def list_file(folder: Path, name: str) -> None:
    """Have the manifest of a bundle list a file."""

    def listed(manifest: dict[str, Any]) -> None:
        manifest["files"][name] = digest_of(folder / name, "0" * 64)

    change_manifest(folder, listed)


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of a bundle, and its own checksum after it."""
    file = folder / MANIFEST
    manifest = json.loads(file.read_bytes())
    manifest.pop("checksum", None)
    change(manifest)
    file.write_bytes(sealed(manifest))


def digest_of(path: Path, otherwise: str) -> str:
    """The SHA-256 of a file, if it is there."""
    return sha256_of_file(path) if path.is_file() else otherwise
