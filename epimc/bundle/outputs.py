"""Where commands may write: not into bundles, over their own inputs, or over what others wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from epimc.bundle.manifest import MANIFEST, stated_manifest
from epimc.support.diagnostics import EpimcError, error
from epimc.support.files import refused
from epimc.support.workshops import clear
from epimc.support.writing import check_place, is_stream

NAMED_FILES = 5


def check_output(folder: Path) -> None:
    """Raise EpimcError unless a bundle can be written here: a new, an empty, or a bundle's folder.

    A bundle's folder must hold nothing but the bundle, for it is replaced.  To be called before the
    work whose result is to be written.
    """
    place = Path(os.path.realpath(folder))
    try:
        check_parent(folder, place.parent)
        # What a killed process has left, which may be the bundle itself.
        clear(place.parent)
        if not os.path.lexists(place):
            return
        empty = place.is_dir() and not os.listdir(place)
    except OSError as caught:
        raise refused(f"Output folder '{folder}'", "written", caught) from None
    if not empty and not is_bundle(place):
        raise error(
            f"Output folder '{folder}' exists and is not a bundle.",
            hint="Choose another folder, or remove that one.",
        )
    if not empty:
        refuse_foreign_files(folder, place)


def check_parent(folder: Path, parent: Path) -> None:
    """Raise EpimcError unless a bundle can be made in a folder."""
    if not parent.is_dir():
        raise error(
            f"Output folder '{folder}' cannot be made: there is no folder '{parent}'.",
            hint="Make that folder first.",
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise error(f"Output folder '{folder}' cannot be made: '{parent}' is not writable.")
    refuse_in_bundle(folder)


def refuse_foreign_files(folder: Path, place: Path) -> None:
    """Raise EpimcError if a bundle's folder holds what is not of the bundle: it would be lost."""
    try:
        foreign = sorted(foreign_files(place, stated_manifest(place)))
    except OSError as caught:
        raise refused(f"Output folder '{folder}'", "written", caught) from None
    if not foreign:
        return
    notes = [f"'{name}'" for name in foreign[:NAMED_FILES]]
    if len(foreign) > NAMED_FILES:
        notes.append(f"{len(foreign) - NAMED_FILES} more.")
    raise error(
        f"Output folder '{folder}' holds files that are not of the bundle there.",
        notes=notes,
        hint="Move them to another place, or choose another folder.",
    )


def foreign_files(place: Path, stated: Mapping[str, object]) -> Iterator[str]:
    """What lies in a bundle's folder and is not listed by its manifest.

    Raises:
        OSError: A folder in it cannot be read.
    """

    def refuse(caught: OSError) -> None:
        raise caught

    listed = stated.get("files")
    known = {MANIFEST, *(listed if isinstance(listed, dict) else ())}
    for parent, folders, files in os.walk(place, onerror=refuse):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in (*files, *links):
            path = os.path.relpath(os.path.join(parent, name), place).replace(os.sep, "/")
            if path not in known:
                yield path


def check_file(output: Path, source: Path) -> None:
    """Raise EpimcError unless a command can write a file that it makes of another.

    To be called before the work whose result is to be written.
    """
    check_place(output)
    if is_stream(output):
        return
    refuse_in_bundle(output)
    # Links to one file have the same place: it would be replaced for both.
    if os.path.realpath(output) == os.path.realpath(source):
        raise error(
            f"'{output}' is what is read, and cannot be written too.",
            hint="Give another path.",
        )


def check_folder(folder: Path, output: Path | None = None) -> None:
    """Raise EpimcError unless dumps can be written to a folder: a new one or an existing one.

    To be called before the work whose result is to be written.

    Args:
        folder: Where.
        output: A bundle that is to be written too.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise error(f"The dumps cannot be written to '{folder}': it is not a folder.")
        parents = (folder, *folder.absolute().parents)
        nearest = next(parent for parent in parents if parent.exists())
    except OSError as caught:
        raise refused(f"Folder '{folder}'", "written", caught) from None
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise error(f"The dumps cannot be written to '{folder}': '{nearest}' is not writable.")
    place = Path(os.path.realpath(folder))
    if output is not None and place.is_relative_to(os.path.realpath(output)):
        raise error(
            f"The dumps cannot be written to '{folder}': that is in the output folder '{output}'.",
            hint="Choose a folder outside of it; the bundle has its own copy of the IR.",
        )
    # A name in it stands for any file there.
    refuse_in_bundle(folder / "tensors")


def refuse_in_bundle(path: Path) -> None:
    """Raise EpimcError if a path leads into a bundle, which holds its own files and no others."""
    for folder in Path(os.path.realpath(path)).parents:
        if os.path.isfile(folder / MANIFEST) and is_bundle(folder):
            raise error(
                f"'{path}' cannot be written: it lies in the bundle '{folder}'.",
                hint="Choose a place outside of it.",
            )


def is_bundle(folder: Path) -> bool:
    """Whether epimc has written this folder, in this version of the format or another."""
    try:
        stated = stated_manifest(folder)
    except EpimcError:
        return False
    return isinstance(stated.get("format"), int) and str(stated.get("tool")).startswith("epimc ")
