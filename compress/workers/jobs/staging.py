"""The job that applies a stage and writes the manifest of the model it made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from compress.artifact import MANIFEST, Ancestor, Artifact, Manifest, Traits, digest_files
from compress.edits import Edit
from compress.errors import CompressError, NothingChanged, UsageError, first_line, shortened
from compress.generation import write_generation
from compress.machine import versions
from compress.options import Options
from compress.pretrained.modelfolder import model_types
from compress.ranks import Alone, Ranks
from compress.registry.models import (
    distributions_bringing,
    model_origins,
    needs_torch,
    register_models,
)
from compress.registry.plugins import Registered, Registry, explain_missing_package
from compress.stage import Candidate, Made, Stage
from compress.task import Task
from compress.workers.channel import WorkerLine
from compress.workers.context import WorkerContext
from compress.workers.jobs.common import task_of
from compress.workers.jobs.opening import open_once
from compress.workers.protocol import ApplyStage, Finished

_WEIGHTS = (".safetensors", ".onnx", ".onnx.data", ".bin", ".xml")


def run(job: ApplyStage, line: WorkerLine, registry: Registry) -> Finished:
    """Write the stage's artifact into ``job.output``."""
    return apply(job, line, registry, Alone())


def apply(job: ApplyStage, line: WorkerLine, registry: Registry, ranks: Ranks) -> Finished:
    """Do this process's part of the job. Only what rank 0 writes is kept."""
    entry = registry.stages[job.stage]
    before = Artifact.open(job.input) if job.input else None
    writer = ManifestWriter(job, entry, before.manifest if before else None, registry)
    options = entry.cls.Options.model_validate(job.options, strict=False)
    kinds = _model_types(job, options)
    if needs_torch(entry.cls.libraries):
        register_models(registry, kinds)
    context = WorkerContext(
        options=options,
        seed=job.seed,
        input=before,
        fresh=job.fresh,
        references={name: Artifact.open(folder) for name, folder in job.references.items()},
        task=task_of(job.task, registry),
        task_plugin=registry.tasks[job.task.name].origin,
        architectures=tuple(entry.cls for entry in registry.architectures.values()),
        data=job.data,
        unlabelled=job.unlabelled,
        output=_output(job, ranks),
        work=job.work,
        store=job.store,
        line=line,
        ranks=ranks,
        write_manifest=writer.write,
        models=model_origins(registry, kinds),
        earlier=job.earlier,
        choices=job.choices,
    )
    with explain_missing_package(entry):
        made = checked(entry.cls().apply(context), entry)
    if ranks.rank > 0:
        shutil.rmtree(context.output)
        return Finished()
    _state_generation(job.output, context.task)
    manifest = writer.manifest(job.output, made, made.traits or job.traits)
    _refuse_unchanged(manifest, before, entry.name)
    manifest.write(job.output)
    return Finished(opened=_opened_here(job, manifest, entry, registry))


def _state_generation(folder: Path, task: Task[Any]) -> None:
    """Write into a model folder how its task generates answers, if it does."""
    has_config = (folder / "config.json").is_file()  # a format may have no such file
    settings = task.generation(folder) if has_config else {}
    if settings:
        write_generation(folder, settings)


def checked(made: object, entry: Registered[Stage[Any]]) -> Made:
    """What ``apply`` returned. Raises UsageError if it is no ``Made``, or if a manifest cannot hold
    it."""
    if not isinstance(made, Made):
        raise UsageError(
            f"apply of {entry.called} returned {shortened(repr(made))}: return a "
            "compress.stage.Made"
        )
    try:
        json.dumps([made.parameters, list(made.edits or ()), dict(made.notes)])
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"apply of {entry.called} returned a Made that JSON cannot hold: {first_line(error)}; "
            "give it plain numbers, texts, lists and dicts"
        ) from error
    return made


def _opened_here(
    job: ApplyStage, manifest: Manifest, entry: Registered[Stage[Any]], registry: Registry
) -> bool:
    """Whether the artifact was opened in this process, which has what its engine needs. Any other
    is opened in a process of its own."""
    engines = [e.cls for e in registry.engines.values() if manifest.traits.format in e.cls.formats]
    if not engines or not set(engines[0].packages) <= set(entry.cls.libraries):
        return False
    open_once(job.output, job.task, entry.called, registry)
    return True


def _model_types(job: ApplyStage, options: Options) -> set[str]:
    """The types of the models that the job opens or builds."""
    folders = [*job.references.values(), *([job.input] if job.input else [])]
    return model_types(folders, job.fresh, options)


def _output(job: ApplyStage, ranks: Ranks) -> Path:
    """The folder for the model's files: the job's for rank 0. Another process gets one that is
    deleted, so that a stage need not know that it is not the only one."""
    if ranks.rank == 0:
        return job.output
    folder = job.work / f"output-of-rank-{ranks.rank}"
    shutil.rmtree(folder, ignore_errors=True)  # a process that was killed left it
    folder.mkdir()
    return folder


@dataclass(frozen=True)
class ManifestWriter:
    """Describes models that a stage makes of one input; ``before`` is the input's manifest."""

    job: ApplyStage
    entry: Registered[Stage[Any]]
    before: Manifest | None
    registry: Registry

    def write(self, candidate: Candidate) -> None:
        """Write the manifest of a candidate into its folder."""
        planned, own = self.job.traits, candidate.traits
        traits = replace(own, task=own.task or planned.task) if own else planned
        made = checked(candidate.made, self.entry)
        self.manifest(candidate.folder, made, traits).write(candidate.folder)

    def manifest(self, folder: Path, made: Made, traits: Traits) -> Manifest:
        """The manifest of the model of these ``traits`` in ``folder``: what the stage states, and
        what a model inherits from its input."""
        job, entry = self.job, self.entry
        parent = self.before or Manifest(Traits(), {}, step="", stage="")
        edits = self._edits(parent, made, traits)
        # The plan cannot know which shape it will be. Stock transformers opens a folder without
        # edits.
        shape: Literal["free", "stock"] = "free" if edits else "stock"
        needs = self._needs(folder, edits, traits)
        return Manifest(
            traits=replace(traits, shape=shape),
            files=digest_files(folder),
            step=job.step,
            stage=entry.name,
            options=job.options,
            seed=job.seed,
            labels=job.data.labels if job.data else parent.labels,
            task_options=job.task.options,
            edits=edits,
            parameters=parent.parameters if made.parameters is None else made.parameters,
            base=parent.base,
            lineage=self._lineage(),
            needs=needs,
            notes=dict(made.notes),
            versions=versions(
                ("compress-toolkit", entry.distribution, *entry.cls.libraries, *needs)
            ),
        )

    def _edits(self, parent: Manifest, made: Made, traits: Traits) -> tuple[Edit, ...]:
        """Cuts to replay when the model is loaded."""
        if made.edits is not None:
            return tuple(made.edits)
        # Edits are replayed on a model that is built from its config. A file of another format
        # holds any shape itself.
        return parent.edits if parent.traits.format == traits.format else ()

    def _needs(self, folder: Path, edits: Sequence[Edit], traits: Traits) -> tuple[str, ...]:
        """The toolkit, which replays edits, and the distributions that bring the model. A file of
        another format needs neither."""
        if traits.format != "pytorch":
            return ()
        brought = distributions_bringing(self.registry, model_types([folder]))
        return ("compress-toolkit", *brought) if edits or brought else ()

    def _lineage(self) -> tuple[Ancestor, ...]:
        """The ancestors, oldest first."""
        if self.before is None:
            return ()
        parent: Ancestor = {
            "step": self.before.step,
            "stage": self.before.stage,
            "digest": self.before.digest,
        }
        return (*self.before.lineage, parent)


def _refuse_unchanged(made: Manifest, before: Artifact | None, stage: str) -> None:
    """Raise CompressError for a stage that wrote nothing, or the weights of its input again."""
    if not any(name != MANIFEST for name in made.files):
        raise CompressError(f"{stage} wrote no files")
    if before is not None and _weights(made) == _weights(before.manifest):
        raise NothingChanged(
            f"{stage} changed nothing: the weights it wrote are those it was given; "
            "give it options that do more, or leave the step out"
        )


def _weights(manifest: Manifest) -> dict[str, str]:
    """Digests of the files that hold weights, by name."""
    return {name: digest for name, digest in manifest.files.items() if name.endswith(_WEIGHTS)}
