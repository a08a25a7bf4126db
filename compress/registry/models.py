"""Models that plugins bring: which architectures do, what depends on their versions, and making
transformers know them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from compress.architecture import Architecture, brings_models
from compress.errors import UsageError, listed, name_and_first_line
from compress.machine import versions
from compress.registry.plugins import Registered, Registry
from compress.sizes import architecture_of

_HEAVY = {"torch", "transformers"}

ModelOrigins = Mapping[str, Sequence[str | Mapping[str, str]]]
"""By the name of an architecture that brings models: distribution and version of its plugin, and
the versions of its libraries."""


def needs_torch(packages: Collection[str]) -> bool:
    """Whether a stage or an engine that names these ``packages`` runs torch or transformers."""
    return not _HEAVY.isdisjoint(packages)


def bringing(registry: Registry, model_types: Iterable[str]) -> list[Registered[Architecture]]:
    """The architectures that bring models of these types, each once, in the order of their names.

    Raises UsageError if two plugins claim one of the types."""
    classes = [entry.cls for entry in registry.architectures.values()]
    serving = {architecture_of(kind, classes) for kind in model_types}
    found = [e for e in registry.architectures.values() if e.cls in serving]
    return sorted((e for e in found if brings_models(e.cls)), key=lambda entry: entry.name)


def model_origins(registry: Registry, model_types: Iterable[str]) -> ModelOrigins:
    """What models of these types depend on besides torch and transformers. Empty for the families
    of transformers."""
    return _origins(bringing(registry, model_types))


def distributions_bringing(registry: Registry, model_types: Iterable[str]) -> list[str]:
    """The distributions without which models of these types cannot be opened with PyTorch."""
    return sorted({entry.distribution for entry in bringing(registry, model_types)})


def all_model_origins(registry: Registry) -> ModelOrigins:
    """What models of all types that plugins bring depend on. It does not matter here whether two
    claim one type."""
    entries = (entry for _, entry in sorted(registry.architectures.items()))
    return _origins(entry for entry in entries if brings_models(entry.cls))


def _origins(entries: Iterable[Registered[Architecture]]) -> ModelOrigins:
    return {entry.name: [entry.origin, versions(entry.cls.libraries)] for entry in entries}


def register_models(registry: Registry, model_types: Iterable[str]) -> None:
    """Make transformers know the models of these types that plugins bring. Where there are any, it
    imports transformers and what they import.

    Raises UsageError with plugin, hook and reason if one cannot be registered."""
    for entry in bringing(registry, model_types):
        try:
            _register(entry.cls)  # type: ignore[arg-type]  # mypy 1.x: a class is hashable
        except Exception as error:  # a plugin's code may raise anything
            raise UsageError(
                f"{entry.origin}: compress_architectures: register of {entry.cls.__name__} failed: "
                f"{name_and_first_line(error)}; without it no model of the types "
                f"{listed(entry.cls.model_types)} can be opened"
            ) from error


@cache  # transformers refuses to register a type twice in one process
def _register(architecture: type[Architecture]) -> None:
    from transformers import CONFIG_MAPPING

    architecture.register()
    missing = [kind for kind in architecture.model_types if kind not in CONFIG_MAPPING]
    if missing:
        raise UsageError(
            f"it registers no config for {listed(missing)}: call AutoConfig.register({missing[0]!r}"
            ", ...) in it"
        )


def refuse_missing_needs(folder: Path, needs: Iterable[str]) -> None:
    """Raise UsageError if a distribution that the artifact in ``folder`` needs is not installed."""
    wanted = list(needs)
    missing = sorted(set(wanted) - versions(wanted).keys())
    if missing:
        raise UsageError(
            f"{folder} needs {listed(missing)}, which is not installed: install it with pip, and "
            "open the model again"
        )
