"""The model card of a bundle."""

from __future__ import annotations

from pathlib import Path

from compress.artifact import Artifact
from compress.bundling.programs import Parts
from compress.bundling.settings import LIBRARIES
from compress.errors import CompressError
from compress.report.reading import read_report
from compress.report.views.card import card
from compress.report.views.escaped import escape, fenced
from compress.results.report import Report
from compress.results.step import StepResult, Usage

CARD = "README.md"
_CODE = """\
# In this folder, after pip install -r requirements.txt:
from predict import Model

print(Model()([{text!r}]))
"""


def card_of(artifact: Artifact, given: Path, parts: Parts) -> str:
    """A card for a bundle: with the numbers of the run that made the artifact, where ``given`` is a
    folder in that run; else the artifact's own ``README.md``; else what its manifest says."""
    usage = Usage(
        library=parts.engine.library or artifact.traits.format,
        pipeline_tag=parts.task.kind or None,
        packages=(*parts.engine.packages, *LIBRARIES),
        code=_CODE.format(text=parts.task.card.example),
    )
    found = _step_of(artifact, given)
    if found:
        return card(*found, usage)
    own = artifact.folder / CARD
    if own.is_file():
        return own.read_text(encoding="utf-8")
    return _plain(artifact, usage)


def _step_of(artifact: Artifact, given: Path) -> tuple[StepResult, Report] | None:
    """The artifact in the report of the run that a folder such as ``runs/x/steps/03-int8`` or
    ``runs/x/best`` is in."""
    place = given.absolute()
    for run in (place.parent.parent, place.parent):
        try:
            report = read_report(run)
        except CompressError:
            continue
        for step in report.steps:
            if step.digest == artifact.digest:
                return step, report
    return None


def _plain(artifact: Artifact, usage: Usage) -> str:
    manifest, traits = artifact.manifest, artifact.traits
    ancestors = [f"{one['step']} ({one['stage']})" for one in manifest.lineage]
    chain = ", ".join([*ancestors, f"{manifest.step} ({manifest.stage})"])
    labels = f" Its labels are {', '.join(manifest.labels)}." if manifest.labels else ""
    return (
        "\n\n".join(
            [
                f"# {escape(manifest.step)}",
                escape(f"A model for {traits.task}; {traits.format}, {traits.precision}.{labels}"),
                f"How it was made, oldest first: {escape(chain)}.",
                "Its quality is not known here: only a run measures it.",
                f"## Loading it\n\nIt needs {', '.join(usage.packages)}.",
                fenced(usage.code, "python"),
            ]
        )
        + "\n"
    )
