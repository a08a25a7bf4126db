"""What a plugin's options are: a pydantic model whose field descriptions are the help, the docs and
the error texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict


class Options(BaseModel):
    """Frozen options that refuse unknown keys, infinite numbers, and turning one type into another
    (``"3"`` is not 3)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def left_to_machine(self) -> Mapping[str, Any]:
        """What these options leave to the machine (``auto``) and how it stands there, JSON-ready:
        part of a product's key.

        By default what nested options leave. Asked where torch may not be imported."""
        found = {
            name: dict(value.left_to_machine())
            for name, value in self
            if isinstance(value, Options)
        }
        return {name: left for name, left in found.items() if left}


class ArtifactReferenceMark:
    """Marks an option whose value names an artifact: an earlier step, a folder or a hub id."""


class PathMark:
    """Marks an option whose value is a path, relative to the recipe's file."""


class SplitMark:
    """Marks an option that, where it is given, needs a split of the data, such as
    ``validation``."""

    def __init__(self, split: str) -> None:
        self.split = split


class FreshMark:
    """Marks an option that is for a fresh model alone: a step that starts from another refuses
    it."""


def splits_asked(
    options: BaseModel, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path, split) of each option that is given, nested ones too, and needs a split."""
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        if isinstance(value, BaseModel):
            yield from splits_asked(value, (*path, name))
        elif value is not None:
            yield from (
                ((*path, name), mark.split)
                for mark in field.metadata
                if isinstance(mark, SplitMark)
            )


def _layers_that_can_stay(layers: int | list[int]) -> int | list[int]:
    some = (
        layers >= 1
        if isinstance(layers, int)
        else layers == sorted(set(layers)) and min(layers, default=-1) >= 0
    )
    if not some:
        raise ValueError(
            "expected how many layers stay, from 1, or their indices in order, from 0, such as [0, "
            "2, 4]"
        )
    return layers


def layers_misfit(kept: int | list[int], layers: int) -> str:
    """What keeps ``kept`` of a model's ``layers`` from being done, in words; empty where it can
    be."""
    most = kept if isinstance(kept, int) else kept[-1] + 1
    return (
        f"{kept} does not fit a model of {layers} layers (numbered from 0)" if most > layers else ""
    )


def layers_left(kept: int | list[int]) -> int:
    """How many layers stay."""
    return kept if isinstance(kept, int) else len(kept)


KeptLayers = Annotated[int | list[int], AfterValidator(_layers_that_can_stay)]
"""The layers of a model that stay: how many, from 1, or their indices, ascending from 0 and each
once."""

ArtifactReference = Annotated[str, ArtifactReferenceMark()]
RecipePath = Annotated[str, PathMark()]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Options by their dotted names, as ``--set`` takes them: ``student.layers`` for ``layers`` in
    ``student``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= (
            flat(value, f"{prefix}{name}.")
            if isinstance(value, Mapping)
            else {f"{prefix}{name}": value}
        )
    return found


def nested(annotation: Any) -> type[BaseModel] | None:
    """The options model that an annotation is, or holds in a union; None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(nested, getattr(annotation, "__args__", ())) if m), None)


def fields_marked(options: type[BaseModel], mark: type) -> list[str]:
    """Names of the fields of ``options`` whose annotation carries ``mark``, at the top level or
    inside a union."""
    return [
        name
        for name, field in options.model_fields.items()
        if _carries(field.annotation, mark) or any(isinstance(m, mark) for m in field.metadata)
    ]


def _carries(annotation: Any, mark: type) -> bool:
    if any(isinstance(m, mark) for m in getattr(annotation, "__metadata__", ())):
        return True
    return any(_carries(inner, mark) for inner in getattr(annotation, "__args__", ()))
