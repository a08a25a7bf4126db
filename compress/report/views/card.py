"""Model cards: for each artifact that would be deployed, what it is, its numbers, its limits, and
how to load it.

A card is a README for the artifact's folder, with the front matter that the Hugging Face hub reads
(https://huggingface.co/docs/hub/model-cards)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from ruamel.yaml import YAML

from compress.options import flat
from compress.report.detail import stated
from compress.report.text import facts, number, show, spread, visible
from compress.report.views.markdown import bullets, escape, fenced, md_table
from compress.results.examples import elsewhere
from compress.tracker import against_references


def deployable(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The steps and the reference that serve the recipe's task and that no step was made from, and
    the best."""
    steps = [
        s
        for s in report["steps"]
        if s["role"] in ("step", "reference") and s["task"] == report["task"]["name"]
    ]
    parents = {s["parent"] for s in report["steps"] if s["role"] in ("step", "reference")}
    best = (report["budget"] or {}).get("best")
    return [s for s in steps if s["name"] not in parents or s["name"] == best]


def card(step: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """The model card of a step as Markdown with front matter."""
    needs, code = (
        escape(", ".join(step["usage"]["packages"])),
        fenced(step["usage"]["code"], "python"),
    )
    parts = [
        f"---\n{_yaml(front_matter(step, report))}---",
        f"# {escape(step['name'])} of {escape(report['name'])}",
        escape(_what(step, report)),
        "## How it was made\n\n" + _chain(step, report),
        "## Numbers\n\n" + _numbers(step),
        "## Limits\n\n" + bullets(_limits(step, report)),
        f"## Loading it\n\nIt needs {needs}. The folder is relative to that of the run.\n\n{code}",
    ]
    return "\n\n".join(parts) + "\n"


def front_matter(step: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """The card's metadata as plain values. ``base_model`` is told only where it is a model of the
    hub, and results only where there are data and a quality, of the examples that the reference
    answered."""
    traits, task, usage = step["traits"], step["task"], step["usage"]
    found: dict[str, Any] = {"library_name": usage["library"]}
    if step["base"] and (step["base"] in report["hub_models"] or "/" in step["base"]):
        found["base_model"] = step["base"]
    if usage["pipeline_tag"]:
        found["pipeline_tag"] = usage["pipeline_tag"]
    found["tags"] = list(
        dict.fromkeys(["compress-toolkit", traits["format"], traits["precision"], step["stage"]])
    )
    metrics = list(_metrics(step))
    if metrics and report["data"] and step["name"] not in elsewhere(report):
        data = _data_name(report)
        found["model-index"] = [
            {
                "name": f"{report['name']}/{step['name']}",
                "results": [
                    {
                        "task": {"type": task},
                        "dataset": {"type": data, "name": data},
                        "metrics": metrics,
                    }
                ],
            }
        ]
    return found


def _metrics(step: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The headline, and every other score (a number without a unit) of the same examples."""
    quality = step["measurements"].get("quality")
    if quality is None or quality["value"] is None:
        return
    yield {"type": quality["title"], "name": quality["title"], "value": quality["value"]}
    for name, m in step["measurements"].items():
        if (
            name != "quality"
            and m["value"] is not None
            and not m["unit"]
            and m["conditions"] == quality["conditions"]
        ):
            yield {"type": name, "name": name.replace("_", " "), "value": m["value"]}


def _what(step: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    traits = step["traits"]
    chain = _ancestry(step, report)
    fresh = " It was trained from random weights." if chain[0]["stage"] != "import" else ""
    base = f" It starts from {step['base']}." if step["base"] else fresh
    labels = f" Its labels are {', '.join(step['labels'])}." if step["labels"] else ""
    return (
        f"A model for {step['task']}, made smaller or faster by compress "
        f"{report['compress_version']}; "
        f"{traits['format']}, {traits['precision']}.{base}{labels}"
    )


def _chain(step: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """The steps that led to it, oldest first, with their options and seeds."""
    lines = []
    for i, one in enumerate(_ancestry(step, report), start=1):
        given = {
            name: value
            for name, value in flat(one["options"]).items()
            if value is not None and value != []
        }
        given |= {} if one["seed"] is None else {"seed": one["seed"]}
        options = ", ".join(
            f"{name} {_without_folder(str(value))}" for name, value in given.items()
        )
        lines.append(
            f"{i}. {escape(one['name'])} "
            f"({escape(one['stage'])}){': ' + escape(options) if options else ''}"
        )
    return "\n".join(lines)


def _ancestry(step: Mapping[str, Any], report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The steps that led to it and itself, oldest first."""
    by_name = {s["name"]: s for s in report["steps"]}
    chain: list[Mapping[str, Any]] = []
    at: Mapping[str, Any] | None = step
    while at is not None and at not in chain:
        chain.insert(0, at)
        at = by_name.get(at["parent"] or "")
    return chain


def _without_folder(text: str) -> str:
    for path in (PurePosixPath(text), PureWindowsPath(text)):
        if path.is_absolute():
            return path.name
    return text


def _numbers(step: Mapping[str, Any]) -> str:
    rows = [
        [m["title"] or name, show(m) + spread(m), number(m["n"]), stated(m["conditions"])]
        for name, m in step["measurements"].items()
        if m["value"] is not None
    ]
    text = "Brackets hold 95 % intervals.\n\n" + md_table(
        ["measurement", "value", "n", "measured with"], rows
    )
    return "\n\n".join([text, *_against(step)]) if rows else "Nothing was measured."


def _against(step: Mapping[str, Any]) -> Iterator[str]:
    """How it compares with the reference, and with that in its fastest engine."""
    called = {"reference": "the reference", "fastest": "the reference in its fastest float engine"}
    for which, against in against_references(step).items():
        compared = [
            [name.replace("_", " "), show(m) + spread(m), facts(m)]
            for name, m in against["comparisons"].items()
            if m["value"] is not None
        ]
        if compared:
            yield (
                f"Against {escape(against['name'])}, {called[which]}:\n\n"
                f"{md_table(['comparison', 'value', 'more'], compared)}"
            )


def _limits(step: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[str]:
    traits, env = step["traits"], report["environment"]
    yield from (
        finding["text"] for finding in report["findings"] if finding["step"] == step["name"]
    )
    if step["name"] in elsewhere(report):
        yield "Quality was measured on other test examples than the reference's: the two scores are not to be compared."
    elif report["data"] and (step["measurements"].get("quality") or {}).get("value") is not None:
        yield (
            f"Quality was measured on one data set ({_data_name(report)}), its test split; on "
            "other texts it may be "
            "another."
        )
    machine = ", ".join(
        [env["processor"], *env.get("gpus", ()), f"{env['threads']} threads", env["system"]]
    )
    yield f"Times and memory are those of one machine: {machine}."
    if traits["precision"] == "int8":
        yield "Its weights are int8: answers may differ between processors, and speed depends on their int8 instructions."
    if traits["precision"] == "fake-quantized":
        yield "Its weights are float and rounded to what int8 can hold: it is to be exported, and is itself not smaller."
    if traits["shape"] == "free":
        yield "Its layers have sizes that a stock config cannot state: plain from_pretrained cannot open it."
    yield from (
        f"Not measured: {name.replace('_', ' ')}, {m['absent']}."
        for name, m in step["measurements"].items()
        if m["absent"]
    )


def _data_name(report: Mapping[str, Any]) -> str:
    return _without_folder(str(report["data"]["name"]))


def _yaml(values: Mapping[str, Any]) -> str:
    """YAML in which everything beyond ASCII is escaped, so that no text reads as something else."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.allow_unicode = False, False
    yaml.width = 120
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = StringIO()
    yaml.dump(_plain(values), stream)
    return stream.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return visible(value) if isinstance(value, str) else value
