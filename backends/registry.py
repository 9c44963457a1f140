"""All backends by name: those of epimc, and those of other packages.

Another package offers one by an entry point of the group `epimc.backends`:

    [project.entry-points."epimc.backends"]
    mychip = "mypackage.backend:BACKEND"
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name

from epimc.backends.base import Backend
from epimc.support.diagnostics import did_you_mean, error

GROUP = "epimc.backends"

BUILT_IN = {"crossbar": "epimc.backends.crossbar.backend:BACKEND"}
"""The backends of epimc itself, "module:NAME", imported on use."""


def backend_names() -> list[str]:
    """The names of all backends, sorted."""
    return sorted({*BUILT_IN, *offered()})


def offered() -> dict[str, EntryPoint]:
    """The backends of other packages, by name.

    Raises:
        EpimcError: Two packages, or a package and epimc, have a backend of one name.
    """
    entries: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        other = entries.get(entry.name)
        if entry.name in BUILT_IN or (other is not None and other.value != entry.value):
            owner = "epimc" if other is None else package_of(other)
            raise error(
                f"There are two backends '{entry.name}': of {owner} and of {package_of(entry)}.",
                hint="Remove one of these packages from the environment.",
            )
        entries[entry.name] = entry
    return entries


def package_of(entry: EntryPoint) -> str:
    """What offers a backend, as messages name it."""
    return f"package '{entry.dist.name}'" if entry.dist else f"'{entry.value}'"


@cache
def load_backend(name: str) -> Backend:
    """A backend by its name.

    Raises:
        EpimcError: There is no such backend, or it cannot be loaded.
    """
    if name not in BUILT_IN:
        return load_offered(name)
    backend: Backend = resolve_name(BUILT_IN[name])
    return backend


def load_offered(name: str) -> Backend:
    """A backend of another package.

    Raises:
        EpimcError: There is no such backend, or it cannot be loaded.
    """
    entries = offered()
    if name not in entries:
        raise error(f"There is no backend '{name}'.", hint=did_you_mean(name, backend_names()))
    entry = entries[name]
    try:
        backend = entry.load()
    # Whatever is wrong with a package that is not ours must not look like a defect of epimc.
    except (Exception, SystemExit) as problem:
        raise error(
            f"Backend '{name}' of {package_of(entry)} cannot be loaded.",
            notes=[f"{type(problem).__name__}: {problem}"],
            hint="Install a version of that package which fits this version of epimc.",
        ) from problem
    if not isinstance(backend, Backend) or getattr(backend, "name", None) != name:
        raise error(
            f"'{entry.value}' of {package_of(entry)} is not a backend named '{name}'.",
            hint="An entry point names an object of a subclass of epimc.backends.base.Backend.",
        )
    return backend


def load_backends() -> list[Backend]:
    """All backends, with their dialects registered: what reads IR of any level needs them.

    Raises:
        EpimcError: One cannot be loaded.
    """
    backends = [load_backend(name) for name in backend_names()]
    for backend in backends:
        load_dialect(backend)
    return backends


def load_dialect(backend: Backend) -> None:
    """Register the ops and levels of a backend.

    Raises:
        EpimcError: That cannot be done, as when another one's have the same names.
    """
    try:
        backend.load_dialect()
    # As where a package is loaded.
    except Exception as problem:
        raise error(
            f"The ops and levels of backend '{backend.name}' cannot be registered.",
            notes=[f"{type(problem).__name__}: {problem}"],
            hint="Where they have names of another backend's, remove one of both packages.",
        ) from problem
