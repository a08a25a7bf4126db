"""Flags of ``compress predict`` for what may be asked of an answer. They are those of the task that
the model folder serves, so they are known when the folder is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import click

from compress.errors import UsageError, suggestion, with_hint

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from compress.task import Task

_FLAGS = "compress.request_flags"
"""The key of a context's ``meta`` with the flags of the model's task."""


class PredictCommand(click.Command):
    """A command on a model folder that also has a flag for each request option of its task.

    A folder is only looked into if there is a word that is none of the command's own flags, or if
    its help is asked for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The words that are left. Raises UsageError, in one line, for an unknown flag."""
        task = _task(args) if self._asks_for_more(ctx, args) else None
        ctx.meta[_FLAGS] = list(_flags(task)) if task else []
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            of = f" for the task {task.name}" if task else ""
            known = [word for parameter in self.get_params(ctx) for word in parameter.opts]
            flags = [word for word in known if word.startswith("--")]
            raise UsageError(
                with_hint(
                    f"predict has no option {error.option_name}{of}",
                    suggestion(error.option_name, flags),
                )
            ) from None

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters and the flags of the task."""
        return [*super().get_params(ctx), *ctx.meta.get(_FLAGS, ())]

    def _asks_for_more(self, ctx: click.Context, args: Sequence[str]) -> bool:
        own = {word for parameter in self.params for word in parameter.opts}
        words = [word.partition("=")[0] for word in _before_texts(args)]
        return any(word.startswith("--") and word not in own for word in words) or "-h" in words


def asked_of(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a user gave, by name."""
    return {name: value for name, value in flags.items() if value is not None}


def _before_texts(args: Sequence[str]) -> list[str]:
    """The words before ``--``: what follows are texts."""
    words = list(args)
    return words[: words.index("--")] if "--" in words else words


def _task(args: Sequence[str]) -> type[Task[Any]] | None:
    """The task of the first word that is a folder; None if there is none, or none is installed."""
    words = _before_texts(args)
    folder = next((word for word in words if Path(word).is_dir()), None)
    if folder is None:
        return None
    from compress.registry.plugins import load_plugins
    from compress.serving import task_class

    return task_class(Path(folder), load_plugins(), _value_of("--task", words))


def _value_of(flag: str, words: Sequence[str]) -> str | None:
    for word, following in zip(words, [*words[1:], None], strict=True):
        name, _, value = word.partition("=")
        if name == flag:
            return value or following
    return None


def _flags(task: type[Task[Any]]) -> Iterator[click.Option]:
    """An option of the command line for each request option of a task. Its default is None, so
    that only what a user gives is passed on."""
    for name, field in task.RequestOptions.model_fields.items():
        word = f"--{name.replace('_', '-')}"
        is_switch = field.annotation is bool
        yield click.Option(
            [f"{word}/--no-{word[2:]}" if is_switch else word],
            type=None if is_switch else _type(field),
            default=None,
            help=f"{field.description}{_default(field)}",
        )


def _type(field: FieldInfo) -> click.ParamType[Any] | type:
    kinds = [kind for kind in get_args(field.annotation) or [field.annotation] if kind]
    if get_origin(field.annotation) is not None and all(isinstance(k, str) for k in kinds):
        return click.Choice(kinds)
    return next((kind for kind in (int, float) if kind in kinds), str)


def _default(field: FieldInfo) -> str:
    return f" [default: {field.default}]" if field.default is not None else ""
