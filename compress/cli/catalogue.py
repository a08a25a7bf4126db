"""Descriptions of the installed stages and tasks and of their options, for people and for JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python
from rich.console import Console

from compress.cli.rows import print_rows
from compress.errors import Mistake, UsageError, suggestion
from compress.options import (
    ArtifactReferenceMark,
    PathMark,
    StageChoicesMark,
    UnlabelledDataMark,
    nested,
)
from compress.registry.plugins import Registry
from compress.report.views.plain import plain
from compress.stage import Accepts
from compress.task import Column

_TYPES = {
    "str": "text",
    "float": "number",
    "int": "integer",
    "bool": "true | false",
    "dict": "mapping",
}
_MARKS = {
    PathMark: "path",
    ArtifactReferenceMark: "step, folder or hub id",
    UnlabelledDataMark: "a source, as under data",
    StageChoicesMark: "stages, as under stages",
}
_LIMITS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))


@dataclass(frozen=True)
class OptionDescription:
    """An option; ``type`` includes the limits of a number. ``default`` is JSON-ready, and None
    where the option is required."""

    name: str
    type: str
    required: bool
    default: Any
    description: str


@dataclass(frozen=True)
class StageDescription:
    """A stage with its options. ``plugin`` is the plugin that has it, with its version."""

    name: str
    summary: str
    paper: str | None
    plugin: str
    accepts: Accepts
    needs_data: tuple[str, ...]
    options: list[OptionDescription]


def list_stages(registry: Registry) -> list[dict[str, object]]:
    """Name, summary and origin of each stage."""
    return [
        {"name": e.name, "summary": e.cls.summary, "plugin": e.origin}
        for _, e in sorted(registry.stages.items())
    ]


def list_tasks(registry: Registry) -> list[dict[str, object]]:
    """Name, synonyms, columns and headline metric of each task; a column that may be left out ends
    in ``?``."""
    return [
        {
            "name": e.name,
            "summary": e.cls.summary,
            "synonyms": list(e.cls.synonyms),
            "columns": list(map(_column_name, e.cls.columns)),
            "headline": e.cls.headline,
        }
        for _, e in sorted(registry.tasks.items())
    ]


def _column_name(column: Column) -> str:
    return column.name if column.required else f"{column.name}?"


def describe_stage(registry: Registry, name: str) -> StageDescription:
    """A stage with its options. Raises UsageError for an unknown one."""
    entry = registry.stages.get(name)
    if entry is None:
        family = ", ".join(n for n in registry.stages if n.startswith(name + "."))
        hint = f"{name!r} is a family: {family}" if family else suggestion(name, registry.stages)
        raise UsageError([Mistake("", f"there is no stage {name!r}", hint)])
    stage = entry.cls
    return StageDescription(
        name=name,
        summary=stage.summary,
        paper=stage.paper,
        plugin=entry.origin,
        accepts=stage.accepts,
        needs_data=tuple(stage.needs_data),
        options=describe_options(stage.Options),
    )


def describe_options(model: type[BaseModel], prefix: str = "") -> list[OptionDescription]:
    """The options of a stage, task or source. Those of a nested model follow it, with dotted
    names."""
    described = []
    for name, field in model.model_fields.items():
        inner = nested(field.annotation)
        described.append(_describe_option(prefix + name, field, is_nested=inner is not None))
        if inner:
            described += describe_options(inner, f"{prefix}{name}.")
    return described


def _describe_option(name: str, field: FieldInfo, *, is_nested: bool) -> OptionDescription:
    default = field.get_default(call_default_factory=True)
    default = default if default is PydanticUndefined else to_jsonable_python(default)
    nested_name = "list of options" if get_origin(field.annotation) is list else "options"
    if bool in get_args(field.annotation):
        nested_name = f"{_TYPES['bool']} | {nested_name}"
    return OptionDescription(
        name=name,
        type=nested_name if is_nested else _type_name(field.annotation) + _limits(field),
        required=field.is_required(),
        default=None if default is PydanticUndefined else default,
        description=field.description or "",
    )


def accepted_text(accepts: Accepts) -> str:
    """The models that a stage accepts, in words."""
    words = f"{' or '.join(accepts.precisions)} {' or '.join(accepts.formats)} models"
    if list(accepts.shapes) == ["stock"]:
        words += " of stock shape"
    if accepts.task:
        words += " that serve the task"
    return words + (", or a fresh one" if accepts.nothing else "")


def default_text(option: OptionDescription) -> str:
    """An option's default as a recipe would write it; ``required`` where it has none."""
    return "required" if option.required else recipe_text(option.default)


def recipe_text(value: Any) -> str:
    """A JSON-ready value as a recipe would write it on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {recipe_text(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(recipe_text, value)) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def _type_name(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return next(
            (word for mark, word in _MARKS.items() if isinstance(inner[1], mark)),
            _type_name(inner[0]),
        )
    if origin is Literal:
        return " | ".join(map(recipe_text, inner))
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(_type_name(a) for a in inner if a is not NoneType))
    python = getattr(origin or annotation, "__name__", str(annotation))
    name = _TYPES.get(python, python)
    return f"{name} of {' to '.join(map(_type_name, inner))}" if inner else name


def _limits(field: FieldInfo) -> str:
    """The bounds of a number, such as `` > 0, <= 1``; empty where there are none."""
    bounds = []
    for constraint in field.metadata:
        for name, sign in _LIMITS:
            if hasattr(constraint, name):
                bounds.append(f"{sign} {getattr(constraint, name):g}")
    return " " + ", ".join(bounds) if bounds else ""


def print_stage(stage: StageDescription, console: Console) -> None:
    """Print a stage with its options."""
    lines = [f"{stage.name}: {stage.summary}", f"takes: {accepted_text(stage.accepts)}"]
    if stage.needs_data:
        lines.append(f"needs: {' and '.join(stage.needs_data)} data")
    if stage.paper:
        lines.append(f"after: {stage.paper}")
    for line in lines:
        console.print(plain(line), highlight=False)
    print_rows([_option_row(option) for option in stage.options], console)


def _option_row(option: OptionDescription) -> dict[str, str]:
    return {
        "option": option.name,
        "type": option.type,
        "default": default_text(option),
        "meaning": option.description,
    }
