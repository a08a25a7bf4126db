"""A YAML 1.2 document as plain values, with the place of every key and value for error messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, Event
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from compress.errors import Mistake, UsageError, shortened
from compress.recipes.places import KeyPath, Mistakes, Place
from compress.recipes.syntax import place_after, unreadable
from compress.unicode import has_lone_surrogate

_DEEPEST = 100
"""Levels of nesting that are allowed; with far more the parser reaches Python's own limit."""
_LARGEST = 1 << 20
"""Bytes of the largest recipe that is read."""
_INTEGER_BITS = 64
"""No number of a recipe needs more. Python refuses to write much larger ones in decimal."""
_PLAIN_TAGS = {"str", "int", "float", "bool", "null", "map", "seq", "timestamp"}


@dataclass
class Document:
    """``value`` is made of dicts, lists and scalars. ``places`` maps a path of keys to the place of
    its last key (or list item), ``value_places`` to the place of the value."""

    file: str
    text: str
    value: Any
    places: dict[KeyPath, Place] = field(default_factory=dict)
    value_places: dict[KeyPath, Place] = field(default_factory=dict)

    def place(self, path: KeyPath, *, of_value: bool = False) -> Place:
        """The place of ``path``, or of its nearest ancestor that stands in the file."""
        table = self.value_places if of_value else self.places
        at = path
        while at not in table and at:
            at = at[:-1]
        return table.get(at, Place(self.file))

    def set_place(self, path: KeyPath, place: Place) -> None:
        """Let ``path`` and all below it stand at ``place``."""
        for table in (self.places, self.value_places):
            for below in [known for known in table if known[: len(path)] == path]:
                del table[below]
            table[path] = place


def read_document(path: Path) -> Document:
    """The document in a file.

    Raises UsageError with every mistake because of which it cannot be read as plain data."""
    try:
        text = _bytes_of(path).decode("utf-8")
    except UnicodeDecodeError as error:
        where = place_after(error.object[: error.start].decode("utf-8"), str(path))
        message = f"is not UTF-8 text (byte {error.start})"
        raise UsageError([Mistake(str(where), message, "save it as UTF-8")]) from None
    return parse_document(text.replace("\r\n", "\n").replace("\r", "\n"), str(path))


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except FileNotFoundError:
        raise UsageError([Mistake(str(path), "there is no such file")]) from None
    except IsADirectoryError:
        raise UsageError([Mistake(str(path), "this is a folder, not a recipe file")]) from None
    except OSError as error:  # a loop of links, a name that is too long, no permission, ...
        message = f"cannot be read: {error.strerror or error}"
        raise UsageError([Mistake(shortened(str(path)), message)]) from None
    if len(content) > _LARGEST:
        message = f"holds more than {_LARGEST:,} bytes"
        raise UsageError([Mistake(str(path), message, "a recipe is a short text")])
    return content


def parse_document(text: str, file: str) -> Document:
    """The document in ``text``; ``file`` is the name used in places. Raises UsageError."""
    try:
        repeated = _repeated_values(text, file)
        node = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        raise unreadable(error, text, file) from None
    if node is None:
        hint = "it needs at least task and stages"
        raise UsageError([Mistake(f"{file}:1:1", "the recipe is empty", hint)])
    repeated.raise_all()
    reader = _Reader(file)
    value = reader.value(node, ())
    reader.mistakes.raise_all()
    return Document(file, text, value, reader.places, reader.value_places)


def _repeated_values(text: str, file: str) -> Mistakes:
    """A mistake for each alias. Nothing is expanded to find them: a few nested anchors can stand
    for billions of values.

    Raises UsageError for values that are nested too deep to be composed."""
    mistakes = Mistakes()
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _DEEPEST:
            message = f"values are nested more than {_DEEPEST} levels deep"
            where = str(_start_of(event, file))
            raise UsageError([Mistake(where, message, "a recipe needs about five")])
        if isinstance(event, AliasEvent):
            message = f"*{event.anchor} repeats a value by its anchor"
            hint = "write the value out; a recipe is plain data"
            mistakes.add(_start_of(event, file), message, hint)
    return mistakes


def _start_of(node: Node | Event, file: str) -> Place:
    return Place(file, node.start_mark.line + 1, node.start_mark.column + 1)


class _Reader:
    """Turns nodes into values and collects what is not plain data, in one pass."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.mistakes = Mistakes()
        self.places: dict[KeyPath, Place] = {}
        self.value_places: dict[KeyPath, Place] = {}
        self._scalars = YAML(typ="safe", pure=True).constructor

    def value(self, node: Node, path: KeyPath) -> Any:
        start = _start_of(node, self.file)
        self.places.setdefault(path, start)
        # A value that is left out has no place of its own: YAML puts it where the next token
        # starts.
        is_left_out = node.start_mark.index == node.end_mark.index
        self.value_places[path] = self.places[path] if is_left_out else start
        if str(node.tag).rsplit(":", 1)[-1] not in _PLAIN_TAGS:
            self.mistakes.add(start, f"the tag {node.tag} is not allowed", "a recipe is plain data")
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)  # there are no other nodes
        return self._scalar(node)

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path, values)
            if key is not None:
                self.places[(*path, key)] = _start_of(key_node, self.file)
                values[key] = self.value(value_node, (*path, key))
        return values

    def _key(self, node: Node, path: KeyPath, values: dict[str, Any]) -> str | None:
        """The key of a mapping; None with a mistake added where it cannot be one."""
        place = _start_of(node, self.file)
        if not isinstance(node, ScalarNode):
            self.mistakes.add(place, "a key must be one word")
            return None
        key = str(node.value)
        if key == "<<" and node.style is None:
            message = "<< merges another mapping, and a recipe is plain data"
            self.mistakes.add(place, message, "write the keys out")
            return None
        self._check_text(node)
        if key in values:
            first = self.places[(*path, key)]
            hint = f"first at {first.line}:{first.column}"
            self.mistakes.add(place, f"the key {key!r} is given twice", hint)
            return None
        return key

    def _check_text(self, node: ScalarNode) -> None:
        if has_lone_surrogate(str(node.value)):
            message = "holds half of a character (a lone surrogate)"
            self.mistakes.add(_start_of(node, self.file), message, "write it whole")

    def _scalar(self, node: ScalarNode) -> Any:
        if str(node.tag).endswith(":timestamp"):  # a type of YAML 1.1 only
            return node.value
        self._check_text(node)
        try:
            value = self._scalars.construct_object(node, deep=True)
        except (YAMLError, ValueError, LookupError):
            # LookupError: what ruamel raises for an explicit tag, such as ``!!bool maybe``.
            self._refuse_scalar(node, f"is no {str(node.tag).rsplit(':', 1)[-1]}")
            return None
        if isinstance(value, int) and value.bit_length() > _INTEGER_BITS:
            self._refuse_scalar(node, f"is a number of more than {_INTEGER_BITS} bits")
            return None
        return value

    def _refuse_scalar(self, node: ScalarNode, why: str) -> None:
        message = f"{shortened(str(node.value))!r} {why}"
        self.mistakes.add(_start_of(node, self.file), message)
