"""The job that applies a stage and writes the manifest of what it made."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from compress.artifact import MANIFEST, Artifact, Manifest, Traits, digest_files
from compress.errors import CompressError, NothingChanged
from compress.machine import versions
from compress.registry.plugins import Registered, Registry, naming_what_is_missing
from compress.stage import Made, Stage
from compress.store.store import Store
from compress.workers.channel import WorkerLine
from compress.workers.context import WorkerContext
from compress.workers.jobs.common import data_of, task_of


def run(job: dict[str, Any], line: WorkerLine, registry: Registry) -> dict[str, Any]:
    """An artifact with its manifest in ``job["output"]``."""
    entry = registry.stages[job["stage"]]
    context = _context(job, line, registry, entry)
    with naming_what_is_missing(entry.name, entry.cls.extra):
        made = entry.cls().apply(context)
    manifest = context.describe(context.output, made)
    _refuse_no_op(manifest, context.input, entry.name)
    manifest.write(context.output)
    return {}


def _context(
    job: dict[str, Any], line: WorkerLine, registry: Registry, entry: Registered[Stage[Any]]
) -> WorkerContext:
    before, data = Artifact.open(job["input"]) if job["input"] else None, data_of(job)
    return WorkerContext(
        options=entry.cls.Options.model_validate(job["options"], strict=False),
        seed=job["seed"],
        input=before,
        fresh=job["fresh"],
        references={name: Artifact.open(folder) for name, folder in job["references"].items()},
        task=task_of(job, registry),
        architectures=tuple(entry.cls for entry in registry.architectures.values()),
        data=data,
        output=Path(job["output"]),
        work=Path(job["work"]),
        store=Store(Path(job["store"])),
        line=line,
        describe=partial(
            _manifest,
            job,
            entry,
            before.manifest if before else None,
            data.labels if data else None,
        ),
    )


def _manifest(
    job: dict[str, Any],
    entry: Registered[Stage[Any]],
    before: Manifest | None,
    labels: tuple[str, ...] | None,
    folder: Path,
    made: Made,
) -> Manifest:
    """The manifest of the model in ``folder``, made from one with the manifest ``before``."""
    # Another format holds any shape, so that nothing is replayed where it is loaded.
    inherited = before.edits if before and before.traits.format == job["traits"]["format"] else ()
    edits = tuple(made.edits) if made.edits is not None else inherited
    # The plan is cautious about shapes; without edits to replay, stock transformers can open the
    # folder.
    traits = replace(Traits(**job["traits"]), shape="free" if edits else "stock")
    lineage = before.lineage if before else ()
    if before:
        lineage = (*lineage, {"step": before.step, "stage": before.stage, "digest": before.digest})
    parameters = (
        made.parameters if made.parameters is not None else (before.parameters if before else None)
    )
    return Manifest(
        traits=traits,
        files=digest_files(folder),
        step=job["step"],
        stage=entry.name,
        options=job["options"],
        seed=job["seed"],
        labels=labels if labels is not None else (before.labels if before else ()),
        task_options=job["task"]["options"],
        edits=edits,
        parameters=parameters,
        base=before.base if before else None,
        lineage=lineage,
        needs=("compress-toolkit",) if edits else (),
        notes=dict(made.notes),
        versions=versions(("compress-toolkit", entry.distribution, *entry.cls.libraries)),
    )


def _refuse_no_op(made: Manifest, before: Artifact | None, stage: str) -> None:
    if not any(name != MANIFEST for name in made.files):
        raise CompressError(f"{stage} wrote no files")
    if before is None:
        return
    weights = (".safetensors", ".onnx", ".onnx.data", ".bin", ".xml")
    new, old = (
        {n: d for n, d in m.files.items() if n.endswith(weights)} for m in (made, before.manifest)
    )
    if new == old:
        raise NothingChanged(
            f"{stage} changed nothing: the weights it wrote are those it was given; give it "
            "options "
            "that do more, or leave the step out"
        )
