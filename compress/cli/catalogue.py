"""Stages, tasks, sources and plugins for a reader, from what the plugins declare."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compress.errors import Mistake, UsageError, suggestion
from compress.options import ArtifactReferenceMark, PathMark, nested
from compress.registry.plugins import Registry
from compress.report.views.plain import plain
from compress.task import Column

_TYPES = {
    "str": "text",
    "float": "number",
    "int": "integer",
    "bool": "true | false",
    "dict": "mapping",
}
_MARKS = {PathMark: "path", ArtifactReferenceMark: "step, folder or hub id"}
_LIMITS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))


def list_stages(registry: Registry) -> list[dict[str, Any]]:
    """Name, summary and origin of each stage."""
    return [
        {"name": e.name, "summary": e.cls.summary, "plugin": e.origin}
        for _, e in sorted(registry.stages.items())
    ]


def list_tasks(registry: Registry) -> list[dict[str, Any]]:
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


def describe_stage(registry: Registry, name: str) -> dict[str, Any]:
    """A stage with its options. Raises UsageError for an unknown one."""
    entry = registry.stages.get(name)
    if entry is None:
        family = ", ".join(n for n in registry.stages if n.startswith(name + "."))
        hint = f"{name!r} is a family: {family}" if family else suggestion(name, registry.stages)
        raise UsageError([Mistake("", f"there is no stage {name!r}", hint)])
    accepts = entry.cls.accepts
    return {
        "name": name,
        "summary": entry.cls.summary,
        "paper": entry.cls.paper,
        "plugin": entry.origin,
        "accepts": {
            "formats": list(accepts.formats),
            "precisions": list(accepts.precisions),
            "shapes": list(accepts.shapes),
            "trainable": accepts.trainable,
            "task": accepts.task,
            "nothing": accepts.nothing,
        },
        "needs_data": list(entry.cls.needs_data),
        "serves": list(entry.cls.serves),
        "options": describe_options(entry.cls.Options),
    }


def describe_options(model: type[BaseModel], prefix: str = "") -> list[dict[str, Any]]:
    """Name, type with limits, default and description of each option, nested ones with dotted
    names."""
    found: list[dict[str, Any]] = []
    for name, field in model.model_fields.items():
        inner = nested(field.annotation)
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            default = default.model_dump(mode="json")
        found.append(
            {
                "name": prefix + name,
                "type": "options" if inner else _type_name(field.annotation) + _limits(field),
                "required": field.is_required(),
                "default": None if default is PydanticUndefined else default,
                "description": field.description or "",
            }
        )
        if inner:
            found += describe_options(inner, f"{prefix}{name}.")
    return found


def takes(described: Mapping[str, Any]) -> str:
    """What a described stage takes as input, in words."""
    accepts = described["accepts"]
    words = f"{' or '.join(accepts['precisions'])} {' or '.join(accepts['formats'])} models"
    if accepts["shapes"] == ["stock"]:
        words += " of stock shape"
    if accepts["task"]:
        words += " that serve the task"
    return words + (", or a fresh one" if accepts["nothing"] else "")


def default_text(option: Mapping[str, Any]) -> str:
    """An option's default as a recipe would write it; ``required`` where it has none."""
    return "required" if option["required"] else recipe_text(option["default"])


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


def print_stage(described: Mapping[str, Any], console: Console) -> None:
    """Print a stage with its options."""
    lines = [f"{described['name']}: {described['summary']}", f"takes: {takes(described)}"]
    if described["needs_data"]:
        lines.append(f"needs: {' and '.join(described['needs_data'])} data")
    if described["serves"]:
        lines.append(f"for: {', '.join(described['serves'])}")
    if described["paper"]:
        lines.append(f"after: {described['paper']}")
    for line in lines:
        console.print(plain(line), highlight=False)
    rows = [
        {
            "option": o["name"],
            "type": o["type"],
            "default": default_text(o),
            "meaning": o["description"],
        }
        for o in described["options"]
    ]
    print_rows(rows, console)


def print_rows(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print rows as a table; their keys are its headings."""
    if not rows:
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for i, key in enumerate(rows[0]):
        table.add_column(plain(key), no_wrap=i == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    console.print(table)


def _cell(value: Any) -> Text:
    return plain(", ".join(value) if isinstance(value, list) else str(value))
