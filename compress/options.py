"""The options of a plugin: a pydantic model whose field descriptions become help, docs and
error texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Options(BaseModel):
    """Frozen options. They refuse unknown keys, infinite numbers, and values of another
    type (``"3"`` is not 3)."""

    # A class builds its validator at its first use: most commands use few of the classes.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True
    )

    def left_to_machine(self) -> Mapping[str, Any]:
        """The properties of this machine that decide options left to it (``auto``), as JSON values
        by option. They are part of a product's key.

        By default those of nested options. It must not import torch."""
        by_option: dict[str, Any] = {}
        for name, value in self:
            left = value.left_to_machine() if isinstance(value, Options) else {}
            if left:
                by_option[name] = dict(left)
        return by_option


class FreshModel(Options):
    """An option that configures a model that does not exist yet: its ``type``, and keys of that
    type's config. A plan checks them as it checks those of a recipe's fresh model."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="Model type, of transformers or of a plugin. Beside it: keys of its config."
    )

    embeddings_of: Literal["teacher"] | None = Field(
        default=None,
        description=(
            "teacher: the embeddings start from the teacher's, for types whose plugin can do that; "
            "none: from random numbers."
        ),
    )

    @property
    def config(self) -> dict[str, Any]:
        """``type`` and the keys, JSON-ready."""
        return self.model_dump(mode="json", exclude={"embeddings_of"})


def fresh_models(
    options: BaseModel, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FreshModel]]:
    """(path, model) of each option that configures a fresh model; nested options too."""
    for name, value in options:
        if isinstance(value, FreshModel):
            yield (*path, name), value
        elif isinstance(value, BaseModel):
            yield from fresh_models(value, (*path, name))


class ArtifactReferenceMark:
    """Marks an option whose value names an artifact: an earlier step, a folder or a hub id; or
    several, in a list or as the keys of a mapping."""


class UnlabelledDataMark:
    """Marks an option whose value describes rows without targets, as a recipe's ``data`` does."""


class StageChoicesMark:
    """Marks an option that lists stages which the step's own stage may have made of its input."""


class PathMark:
    """Marks an option whose value is a path, relative to the recipe's file."""


class SplitMark:
    """Marks an option that needs a split of the data, such as ``validation``, if it is given."""

    def __init__(self, split: str) -> None:
        self.split = split


class FreshMark:
    """Marks an option for fresh models only. A step with an input refuses it."""


class NeededByFreshMark(FreshMark):
    """Marks an option for fresh models only. A step with a fresh model must have one of those that
    are marked so."""


def splits_asked(
    options: BaseModel, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path, split) of each option that is given and needs a split; nested options too."""
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        if isinstance(value, BaseModel):
            yield from splits_asked(value, (*path, name))
        elif value is not None:
            for mark in field.metadata:
                if isinstance(mark, SplitMark):
                    yield (*path, name), mark.split


def _layers_that_can_stay(layers: int | list[int]) -> int | list[int]:
    if isinstance(layers, int):
        valid = layers >= 1
    else:
        valid = layers == sorted(set(layers)) and min(layers, default=-1) >= 0
    if not valid:
        raise ValueError(
            "expected how many layers stay, from 1, or their indices in order, from 0, such as "
            "[0, 2, 4]"
        )
    return layers


KeptLayers = Annotated[int | list[int], AfterValidator(_layers_that_can_stay)]
"""The layers of a stack that stay: how many, from 1, or their indices, distinct and
ascending from 0."""

KeptByStack = KeptLayers | Annotated[dict[str, KeptLayers], Field(min_length=1)]
"""The layers of a model that stay. Of a model with an encoder and a decoder, those of each stack,
by its name; a stack that is not named keeps all."""

ArtifactReference = Annotated[str, ArtifactReferenceMark()]
ArtifactReferences = ArtifactReference | list[ArtifactReference] | dict[ArtifactReference, float]
"""One artifact, several, or several with a number each, such as a weight."""
UnlabelledData = Annotated[dict[str, Any], UnlabelledDataMark()]
"""A source of rows without targets, described as under a recipe's ``data``."""
StageChoices = Annotated[list[str | dict[str, dict[str, Any]]], StageChoicesMark()]
"""Stages with their options, as under a recipe's ``stages``."""
RecipePath = Annotated[str, PathMark()]


@dataclass(frozen=True)
class NamedArtifact:
    """An artifact that an option names. ``option`` is the dotted name of the option, with the
    number of the artifact where there are several (``teacher.1``); ``path`` are the keys below the
    stage's, where it stands in a recipe."""

    option: str
    name: str
    path: tuple[str | int, ...]


def artifacts_named(
    options: BaseModel, path: tuple[str | int, ...] = ()
) -> Iterator[NamedArtifact]:
    """The artifacts that options name; those of nested options too."""
    marked = fields_marked(type(options), ArtifactReferenceMark)
    for name, value in options:
        here = (*path, name)
        if isinstance(value, BaseModel):
            yield from artifacts_named(value, here)
        elif name in marked and isinstance(value, str):
            yield NamedArtifact(_dotted(here), value, here)
        elif name in marked and value is not None:
            is_list = isinstance(value, list)
            for number, one in enumerate(value):
                key = number if is_list else one
                yield NamedArtifact(_dotted((*here, number)), one, (*here, key))


def unlabelled_data(
    options: BaseModel, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """(path, description) of each option that describes rows without targets; nested options
    too."""
    marked = fields_marked(type(options), UnlabelledDataMark)
    for name, value in options:
        if isinstance(value, BaseModel):
            yield from unlabelled_data(value, (*path, name))
        elif name in marked and value is not None:
            yield (*path, name), value


def without_names(options: BaseModel) -> dict[str, Any]:
    """Options, JSON-ready, without the names of artifacts and the descriptions of data, which may
    differ where the content is equal. The numbers beside several artifacts are left, in order."""
    values = options.model_dump(mode="json")
    artifacts = fields_marked(type(options), ArtifactReferenceMark)
    data = fields_marked(type(options), UnlabelledDataMark)
    for name, value in options:
        if isinstance(value, BaseModel):
            values[name] = without_names(value)
        elif name in artifacts and isinstance(value, Mapping):
            values[name] = list(value.values())
        elif name in (*artifacts, *data) and value is not None:
            del values[name]
    return values


def _dotted(path: Iterable[str | int]) -> str:
    return ".".join(map(str, path))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Options by their dotted names, as in ``--set``: ``student.layers`` for ``layers`` in
    ``student``, ``losses.0.logits`` for ``logits`` in the first of ``losses``."""
    by_dotted_name: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
            value = {str(place): one for place, one in enumerate(value)}
        if isinstance(value, Mapping):
            by_dotted_name |= flat(value, f"{prefix}{name}.")
        else:
            by_dotted_name[f"{prefix}{name}"] = value
    return by_dotted_name


def nested(annotation: Any) -> type[BaseModel] | None:
    """The options model that an annotation is, or that it holds in a union; None if
    there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        model = nested(inner)
        if model is not None:
            return model
    return None


def fields_marked(options: type[BaseModel], mark: type) -> list[str]:
    """Names of the fields of ``options`` whose annotation carries ``mark``, at the top
    level or inside a union."""
    names = []
    for name, field in options.model_fields.items():
        if _holds(field.metadata, mark) or _carries(field.annotation, mark):
            names.append(name)
    return names


def _carries(annotation: Any, mark: type) -> bool:
    if _holds(getattr(annotation, "__metadata__", ()), mark):
        return True
    return any(_carries(inner, mark) for inner in getattr(annotation, "__args__", ()))


def _holds(metadata: Iterable[Any], mark: type) -> bool:
    return any(isinstance(each, mark) for each in metadata)
