"""Fills the generated parts of the docs: ``python docs/generate.py`` writes them, ``--check`` names
the pages that are stale.

The tables of recipes.md come from the options of the toolkit's plugins. The help and the exit codes
of cli.md come from the commands.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args, get_origin

import click
from markers import filled, settle, table
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from compress.cli import cli
from compress.cli.catalogue import (
    StageDescription,
    accepted_text,
    default_text,
    describe_options,
    describe_stage,
)
from compress.meter import EFFORTS, Effort, Rounds
from compress.options import nested
from compress.registry.plugins import Registered, Registry, load_plugins
from compress.source import FileOptions, SourceOptions
from compress.task import Task, TextTaskOptions
from compress.training import TrainingOptions

DOCS = Path(__file__).parent
_WIDTH = 100
_HEADERS = ["option", "type", "default", "meaning"]
_OWN = "compress-toolkit"
"""The distribution whose plugins are documented. Other installed plugins are left out."""


def main(check: bool) -> None:
    """Write or check every generated page."""
    pages = {DOCS / "recipes.md": recipe_parts(), DOCS / "cli.md": cli_parts()}
    settle({page: _filled(page, parts) for page, parts in pages.items()}, check=check)


def _filled(page: Path, parts: dict[str, str]) -> str:
    return filled(page.read_text(encoding="utf-8"), parts, f"docs/{page.name}")


def recipe_parts() -> dict[str, str]:
    """The parts of recipes.md by marker name."""
    registry = load_plugins()
    stages = [_stage(e, describe_stage(registry, e.name)) for e in _own(registry.stages)]
    efforts = {f"generated:effort-{effort}": effort_table(registry, effort) for effort in EFFORTS}
    return {
        **efforts,
        "generated:source-options": options_table(SourceOptions),
        "generated:file-options": options_table(FileOptions, without=SourceOptions),
        "generated:sources": "\n\n".join(map(_source, _own(registry.sources))),
        "generated:task-options": options_table(TextTaskOptions),
        "generated:tasks": "\n\n".join(map(_task, _own(registry.tasks))),
        "generated:training-options": options_table(TrainingOptions),
        "generated:stages": "\n\n".join(stages),
    }


def _own(entries: Mapping[str, Registered]) -> list[Registered]:
    """The toolkit's own entries, by name."""
    return [e for _, e in sorted(entries.items()) if e.distribution == _OWN]


def options_table(model: type[BaseModel], without: type[BaseModel] | None = None) -> str:
    """A table of a model's options, without those of ``without``; a sentence where none is left."""
    rows = _option_rows(model, without)
    return table(_HEADERS, rows) if rows else "No options of its own."


def _option_rows(model: type[BaseModel], without: type[BaseModel] | None) -> list[list[str]]:
    """Nested training options are one row, with a link to their own table; what such options have
    besides follows."""
    fields = model.model_fields.items()
    known = without.model_fields if without else {}
    skipped = {name for name, field in fields if name in known and _is_same(field, known[name])}
    inner_models = {name: nested(field.annotation) for name, field in fields}
    trainings = {n: m for n, m in inner_models.items() if m and issubclass(m, TrainingOptions)}
    rows = []
    for option in describe_options(model):
        name, _, inner = option.name.partition(".")
        if name in skipped or (inner and name in trainings and not _is_own(trainings[name], inner)):
            continue
        is_training = name in trainings and not inner
        kind = "[training options](#training-options)" if is_training else option.type
        rows.append([f"`{option.name}`", kind, _code(default_text(option)), option.description])
    return rows


def _is_own(model: type[BaseModel], name: str) -> bool:
    """Whether an option is the model's own, and not one of every training or nested in another."""
    return name in model.model_fields.keys() - TrainingOptions.model_fields.keys()


def _is_same(field: FieldInfo, other: FieldInfo) -> bool:
    """Whether a model has an option as its base has it: with the same default and description."""
    return (field.default, field.description) == (other.default, other.description)


def effort_table(registry: Registry, effort: Effort) -> str:
    """When each meter that takes timings stops, at this effort; in the order of measuring."""
    meters = sorted((e.cls() for e in _own(registry.meters)), key=lambda meter: meter.order)
    rows = []
    for meter in meters:
        if meter.takes_turns and effort in meter.efforts:
            rows.append([f"`{meter.name}`", *_limits(meter.rounds(effort))])
    return table(["meter", "precision", "seconds", "rounds"], rows)


def _limits(rounds: Rounds) -> list[str]:
    """Precision, seconds and rounds at which measuring stops."""
    if rounds.least == rounds.most:
        return ["–", "–", str(rounds.most)]
    return [f"{100 * rounds.width:g} %", f"{rounds.seconds:g}", f"{rounds.least} to {rounds.most}"]


def cli_parts() -> dict[str, str]:
    """The parts of cli.md by marker name."""
    codes = re.findall(r"^  (\d+) +(.*)$", cli.epilog or "", re.MULTILINE)
    return {
        "generated:exit-codes": table(["exit code", "meaning"], [list(code) for code in codes]),
        "generated:help": _every_help(),
    }


def _every_help() -> str:
    """The help of ``compress`` and of every command, each under a heading."""
    top = click.Context(cli, info_name="compress", terminal_width=_WIDTH, **cli.context_settings)
    parts = [_help(top)]
    for name, command in sorted(cli.commands.items()):
        parts += [f"### compress {name}", _help(click.Context(command, parent=top, info_name=name))]
    return "\n\n".join(parts)


def _help(context: click.Context) -> str:
    return f"```text\n{context.command.get_help(context).rstrip()}\n```"


def _source(entry: Registered) -> str:
    cls = entry.cls
    ways = []
    if cls.suffixes:
        suffixes = [f"`{suffix}`" for suffix in cls.suffixes]
        ways.append(f"the suffix {' or '.join(suffixes)}")
    if cls.selects:
        ways.append(f"the option `{cls.selects}`")
    ways.append(f"`source: {entry.name}`")
    common = FileOptions if issubclass(cls.Options, FileOptions) else SourceOptions
    return "\n\n".join(
        [
            f"### `{entry.name}`",
            f"{_sentence(cls.summary)} Chosen by {' or '.join(ways)}.",
            options_table(cls.Options, common),
        ]
    )


def _task(entry: Registered) -> str:
    cls = entry.cls
    synonyms = [f"`{synonym}`" for synonym in cls.synonyms]
    also = f" Also: {', '.join(synonyms)}." if synonyms else ""
    columns = table(
        ["column", "", "meaning"],
        [[f"`{c.name}`", "" if c.required else "optional", c.description] for c in cls.columns],
    )
    headline = _headline(cls)
    return "\n\n".join(
        [
            f"### `{entry.name}`",
            f"{_sentence(cls.summary)}{also} {headline}",
            columns,
            options_table(cls.Options, TextTaskOptions),
        ]
    )


def _headline(cls: type[Task]) -> str:
    """Which metric quality is, and with which choice of an option it is another."""
    others = []
    for name, field in cls.Options.model_fields.items():
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        for choice in choices:
            headline = cls(cls.Options(**{name: choice})).headline
            if headline != cls.headline:
                others.append(f"`{headline}` with `{name}: {choice}`")
    return f"Quality is {', '.join([f'`{cls.headline}`', *others])}."


def _stage(entry: Registered, described: StageDescription) -> str:
    facts = [f"Works on {accepted_text(described.accepts)}."]
    if described.needs_data:
        facts.append(f"Needs {' and '.join(described.needs_data)} data.")
    if described.paper:
        facts.append(f"After {_sentence(described.paper)}")
    return "\n\n".join(
        [
            f"### `{entry.name}`",
            _sentence(described.summary),
            " ".join(facts),
            _stage_options(entry.cls.Options),
        ]
    )


def _stage_options(options: type[BaseModel]) -> str:
    """A stage's own options, with a link to the training options where it has these too."""
    if not issubclass(options, TrainingOptions):
        return options_table(options)
    shared = "The [training options](#training-options)"
    rows = _option_rows(options, TrainingOptions)
    return f"{shared}, and:\n\n{table(_HEADERS, rows)}" if rows else f"{shared}."


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _code(text: str) -> str:
    return text if text == "required" else f"`{text}`"


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
