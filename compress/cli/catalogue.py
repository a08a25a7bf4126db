"""Stages and tasks for a reader, from what the plugins declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compress.errors import UsageError, suggestion
from compress.plugins import Registry


def list_stages(registry: Registry) -> list[dict[str, Any]]:
    """Name, summary and origin of each stage."""
    return [{"name": e.name, "summary": e.cls.summary, "plugin": e.origin} for _, e in sorted(registry.stages.items())]


def list_tasks(registry: Registry) -> list[dict[str, Any]]:
    """Name, synonyms, columns and headline metric of each task."""
    return [{"name": e.name, "summary": e.cls.summary, "synonyms": list(e.cls.synonyms),
             "columns": [c.name if c.required else f"{c.name}?" for c in e.cls.columns]}
            for _, e in sorted(registry.tasks.items())]


def describe_stage(registry: Registry, name: str) -> dict[str, Any]:
    """A stage with its options. Raises UsageError for an unknown one."""
    entry = registry.stages.get(name)
    if entry is None:
        family = ", ".join(n for n in registry.stages if n.startswith(name + "."))
        hint = f"{name!r} is a family: {family}" if family else suggestion(name, registry.stages)
        raise UsageError(f"there is no stage {name!r}" + (f" ({hint})" if hint else ""))
    accepts = entry.cls.accepts
    return {"name": name, "summary": entry.cls.summary, "paper": entry.cls.paper, "plugin": entry.origin,
            "accepts": {"formats": list(accepts.formats), "precisions": list(accepts.precisions),
                        "shapes": list(accepts.shapes), "trainable": accepts.trainable, "task": accepts.task,
                        "nothing": accepts.nothing},
            "needs_data": list(entry.cls.needs_data), "options": describe_options(entry.cls.Options)}


def describe_options(model: type[BaseModel], prefix: str = "") -> list[dict[str, Any]]:
    """Name, type, default and description of each option, nested ones with dotted names."""
    found: list[dict[str, Any]] = []
    for name, field in model.model_fields.items():
        inner = _nested(field.annotation)
        default = field.default if field.default is not PydanticUndefined else None
        found.append({"name": prefix + name, "type": "options" if inner else _type_name(field.annotation),
                      "required": field.is_required(),
                      "default": default.model_dump(mode="json") if isinstance(default, BaseModel) else default,
                      "description": field.description or ""})
        if inner:
            found += describe_options(inner, f"{prefix}{name}.")
    return found


def _nested(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_nested, getattr(annotation, "__args__", ())) if m), None)


def _type_name(annotation: Any) -> str:
    if getattr(annotation, "__metadata__", None):
        return _type_name(annotation.__origin__)
    text = str(annotation) if getattr(annotation, "__args__", None) else getattr(annotation, "__name__", str(annotation))
    return text.replace("typing.", "").replace("NoneType", "none")


def print_stage(described: Mapping[str, Any], console: Console) -> None:
    """Print a stage with its options."""
    console.print(Text(f"{described['name']}: {described['summary']}"))
    if described["paper"]:
        console.print(Text(f"after {described['paper']}"))
    accepts = described["accepts"]
    takes = f"takes {'/'.join(accepts['formats'])}, {'/'.join(accepts['precisions'])}"
    console.print(Text(takes + (", or a fresh model" if accepts["nothing"] else "")))
    table = Table("option", "type", "default", "meaning")
    for option in described["options"]:
        default = "required" if option["required"] else str(option["default"])
        table.add_row(*map(Text, (option["name"], option["type"], default, option["description"])))
    console.print(table)
