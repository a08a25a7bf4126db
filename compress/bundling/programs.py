"""The programs of a bundle, as the installed toolkit and its plugins have them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from compress.artifact import Artifact
from compress.engine import Engine
from compress.errors import IntegrityError, UsageError, listed
from compress.registry.plugins import Registry, engine_for
from compress.task import Task

SETTINGS, EXAMPLES = "bundle.json", "examples.json"
PREDICT, RUNNING, ANSWERING = "predict.py", "running.py", "answering.py"
SERVE, DOCKERFILE = "serve.py", "Dockerfile"
FILES = Path(__file__).parent / "files"


@dataclass(frozen=True)
class Parts:
    """What brings a bundle's programs: the engine of the artifact's format, and its task."""

    engine: Engine
    task: type[Task]  # type: ignore[type-arg]

    @property
    def programs(self) -> dict[str, bytes]:
        """Each program by its name in a bundle."""
        return {
            **{name: (FILES / name).read_bytes() for name in (PREDICT, SERVE, DOCKERFILE)},
            RUNNING: _source(self.engine.bundled),
            ANSWERING: _source(self.task.bundled),
        }


def parts_of(artifact: Artifact, registry: Registry) -> Parts:
    """The engine and the task of an artifact. Raises UsageError, with what to do, where one of them
    has no program for a bundle."""
    traits, folder = artifact.traits, artifact.folder
    engine = engine_for(registry, traits.format)
    if not engine.bundled:
        raise UsageError(
            f"{folder} is a model of the format {traits.format}, which a bundle cannot run: add a "
            f"step to the recipe ({listed(_conversions(registry))}), and bundle what it makes"
        )
    entry = registry.tasks.get(traits.task or "")
    if entry is None or not entry.cls.bundled:
        able = sorted(name for name, task in registry.tasks.items() if task.cls.bundled)
        raise UsageError(
            f"{folder} is a model for {traits.task or 'no task'}, which cannot be bundled: those "
            f"that can are for {listed(able)}"
        )
    return Parts(engine, entry.cls)


def refuse_other_programs(artifact: Artifact, parts: Parts) -> None:
    """Raise UsageError where a program of a bundle is not the installed one. Its digest does not
    make a stranger's code safe to run."""
    for name, wanted in parts.programs.items():
        file = artifact.folder / name
        if name not in artifact.manifest.files:
            raise IntegrityError(f"{file} is missing: it is no whole bundle")
        if file.read_bytes() != wanted:
            raise UsageError(
                f"{file} is not that of this release of compress, and is not run: if you trust "
                f"it, call python {artifact.folder / PREDICT} --check"
            )


def _conversions(registry: Registry) -> list[str]:
    """The stages that make what can be bundled."""
    engines = [entry.cls for entry in registry.engines.values() if entry.cls.bundled]
    return sorted({conversion.stage for each in engines for conversion in each.conversions})


def _source(module: str) -> bytes:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise UsageError(f"the program of a bundle, {module}, is not installed")
    return Path(spec.origin).read_bytes()
