"""Conversations as text, by the chat template of a tokenizer. No torch, no transformers.

A template is jinja, and may be a stranger's: it runs in jinja's sandbox, as in transformers. The
text is that of transformers' ``apply_chat_template``, with one exception: a template cannot ask
for the time (``strftime_now`` is not defined), so that a conversation is the same text each day.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from compress.errors import UsageError, name_and_first_line
from compress.processor import TextProcessor

Message = Mapping[str, Any]
"""``role`` and ``content``, and what else a template reads. Entries that are None are left out."""


_KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def chat_text(processor: TextProcessor, messages: Sequence[Message], *, answers: bool) -> str:
    """The text of a conversation, by the tokenizer's chat template; special tokens are written in
    it. With ``answers`` it ends where the model's next answer begins.

    Raises UsageError, one line, if there is no template, or it refuses the messages."""
    template = _template_of(processor.config.get("chat_template"))
    if template is None:
        raise UsageError(
            "the model's tokenizer has no chat template, by which messages become a text: set "
            "chat_template in its tokenizer_config.json"
        )
    special = {f"{kind}_token": processor.token(kind) for kind in _KINDS}
    known = {name: token for name, token in special.items() if token is not None}
    return rendered(template, messages, known, answers=answers)


def _template_of(stated: object) -> str | None:
    """The template that ``tokenizer_config.json`` states; of several the one called ``default``."""
    if isinstance(stated, list):
        named = {one.get("name"): one.get("template") for one in stated if isinstance(one, dict)}
        stated = named.get("default")
    return stated if isinstance(stated, str) else None


def rendered(
    template: str, messages: Sequence[Message], special: Mapping[str, str], *, answers: bool
) -> str:
    """The text of a conversation. With ``answers`` it ends where the model's next answer begins.

    ``special`` maps ``bos_token`` and the like to the tokens. Raises UsageError, one line, for a
    template that cannot be read, or that raises."""
    told = [{name: value for name, value in one.items() if value is not None} for one in messages]
    try:
        text: str = _compiled(template).render(
            messages=told, tools=[], documents=None, add_generation_prompt=answers, **special
        )
    except TemplateError as error:
        reason = error.message or type(error).__name__
        raise UsageError(f"the chat template refuses the messages: {reason}") from error
    except Exception as error:  # a template computes with values that may be of any type
        raise UsageError(f"the chat template fails: {name_and_first_line(error)}") from error
    return text


@lru_cache(maxsize=8)
def _compiled(template: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _as_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["namespace"] = _Names
    return environment.from_string(template)


def _refuse(message: object) -> None:
    raise TemplateError(str(message))


def _as_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as transformers writes it: jinja's own filter would escape characters of HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


class _Generation(Extension):
    """The block ``{% generation %}``, by which templates mark what a model writes: its content."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[Node]:
        """The content of the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Names(Namespace):
    """A namespace of a template, without names that begin with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        for name in dict(*args[1:], **kwargs):
            _refuse_hidden(name)
        Namespace.__init__(*args, **kwargs)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_hidden(name)
        super().__setitem__(name, value)


def _refuse_hidden(name: object) -> None:
    if str(name).startswith("_"):
        raise SecurityError(f"a chat template sets {name!r}, which is not allowed")
