"""The front matter of a model card: YAML that the Hugging Face hub reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from ruamel.yaml import YAML

from compress.measurement import Measurement, Values
from compress.quantities import QUALITY
from compress.report.text import spaced, visible
from compress.results.examples import incomparable_names
from compress.results.report import Report, ReportedData
from compress.results.step import StepResult


def front_matter_text(step: StepResult, report: Report) -> str:
    """The front matter as YAML. Everything beyond ASCII is escaped, so that no text reads as
    something else."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.allow_unicode = False, False
    yaml.width = 120
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = StringIO()
    yaml.dump(_visible(front_matter(step, report)), stream)
    return stream.getvalue()


def front_matter(step: StepResult, report: Report) -> Values:
    """The card's metadata as plain values.

    ``base_model`` is set only for a model of the hub. Results need data and a quality, measured on
    the examples that the reference answered."""
    values: Values = {"library_name": step.usage.library}
    if step.base and (step.base in report.hub_models or "/" in step.base):
        values["base_model"] = step.base
    if step.usage.pipeline_tag:
        values["pipeline_tag"] = step.usage.pipeline_tag
    tags = ["compress-toolkit", step.traits.format, step.traits.precision, step.stage]
    values["tags"] = list(dict.fromkeys(tags))
    metrics = list(_metrics(step))
    if metrics and report.data and step.name not in incomparable_names(report):
        values["model-index"] = [_result(step, report.name, report.data, metrics)]
    return values


def _result(step: StepResult, run: str, data: ReportedData, metrics: list[Values]) -> Values:
    """The metrics on the run's data, in the hub's form."""
    name = data_name(data)
    result = {
        "task": {"type": step.task},
        "dataset": {"type": name, "name": name},
        "metrics": metrics,
    }
    return {"name": f"{run}/{step.name}", "results": [result]}


def _metrics(step: StepResult) -> Iterator[Values]:
    """The headline, and every other score (a number without a unit) of the same examples."""
    quality = step.measured(QUALITY)
    if quality is None:
        return
    yield {"type": quality.title, "name": quality.title, "value": quality.value}
    for name, m in step.measurements.items():
        is_score = m.value is not None and not m.unit and _examples(m) == _examples(quality)
        if is_score and name != QUALITY:
            yield {"type": name, "name": spaced(name), "value": m.value}


def _examples(m: Measurement) -> Values:
    """The conditions without what is of the one metric."""
    return {name: value for name, value in m.conditions.items() if name != "signature"}


def data_name(data: ReportedData) -> str:
    """The name of the data, without a folder of this machine."""
    return without_folder(data.name)


def without_folder(text: str) -> str:
    """The name of a file where the text is an absolute path."""
    for path in (PurePosixPath(text), PureWindowsPath(text)):
        if path.is_absolute():
            return path.name
    return text


def _visible(value: Any) -> Any:
    """The values, with invisible characters in their texts made visible."""
    if isinstance(value, Mapping):
        return {name: _visible(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_visible(v) for v in value]
    return visible(value) if isinstance(value, str) else value
