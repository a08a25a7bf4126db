"""A YAML 1.2 document as plain values, with the place of every key and value for error messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, Event
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from compress.errors import Mistake, UsageError, first_line
from compress.unicode import has_lone_surrogate

Path_ = tuple[str | int, ...]
_DEEPEST = 100
"""Levels of nesting; reading far more ends in Python's own limit."""
_CHECK = "check indentation, quotes and colons"
_PLAIN_TAGS = {"str", "int", "float", "bool", "null", "map", "seq", "timestamp"}


@dataclass
class Document:
    """``value`` is made of dicts, lists and scalars; ``places`` maps a path of keys and indices to
    ``file:line:column`` of the key (or item), ``value_places`` to that of the value."""

    file: str
    value: Any
    places: dict[Path_, str] = field(default_factory=dict)
    value_places: dict[Path_, str] = field(default_factory=dict)

    def place(self, path: Sequence[str | int], *, of_value: bool = False) -> str:
        """``file:line:column`` of ``path``, or of its nearest ancestor that stands in the file."""
        table = self.value_places if of_value else self.places
        at = tuple(path)
        while at not in table and at:
            at = at[:-1]
        return table.get(at, self.file)


def read_document(path: Path) -> Document:
    """The document in a file. Raises UsageError with every mistake that keeps it from being read as
    plain data."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UsageError([Mistake(str(path), "there is no such file")]) from None
    except IsADirectoryError:
        raise UsageError([Mistake(str(path), "this is a folder, not a recipe file")]) from None
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8")
        raise UsageError(
            [
                Mistake(
                    _place_after(before, str(path)),
                    f"is not UTF-8 text (byte {error.start})",
                    "save it as UTF-8",
                )
            ]
        ) from None
    return parse_document(text, str(path))


def parse_document(text: str, file: str) -> Document:
    """The document in ``text``; ``file`` is the name used in places. Raises UsageError."""
    reader = _Reader(file)
    try:
        repeats = _repeats(text, reader)
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        raise UsageError([_syntax_mistake(error, file)]) from None
    except ReaderError as error:
        message = f"is not YAML: it holds the character U+{ord(text[error.position]):04X}, which is not seen"
        raise UsageError(
            [Mistake(_place_after(text[: error.position], file), message, "take it out")]
        ) from None
    except YAMLError as error:
        raise UsageError([Mistake(f"{file}:1:1", f"is not YAML: {first_line(error)}")]) from None
    if node is None:
        raise UsageError(
            [Mistake(f"{file}:1:1", "the recipe is empty", "it needs at least task and stages")]
        )
    if (
        repeats
    ):  # before anything is expanded: a few nested anchors can stand for billions of values
        raise UsageError(
            [
                Mistake(
                    reader.at(event),
                    f"*{event.anchor} repeats a value by its anchor",
                    "write the value out; a recipe is plain data",
                )
                for event in repeats
            ]
        )
    value = reader.value(node, ())
    if reader.mistakes:
        raise UsageError(reader.mistakes)
    return Document(file, value, reader.places, reader.value_places)


def _repeats(text: str, reader: _Reader) -> list[AliasEvent]:
    """The places that repeat a value by its anchor. Raises UsageError where values are nested too
    deep to be composed."""
    found, depth = [], 0
    for event in YAML(typ="safe", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _DEEPEST:
            raise UsageError(
                [
                    Mistake(
                        reader.at(event),
                        f"values are nested more than {_DEEPEST} levels deep",
                        "a recipe needs about five",
                    )
                ]
            )
        if isinstance(event, AliasEvent):
            found.append(event)
    return found


def _place_after(text: str, file: str) -> str:
    """The place of the character that follows ``text``."""
    return f"{file}:{text.count(chr(10)) + 1}:{len(text) - text.rfind(chr(10))}"


def _syntax_mistake(error: MarkedYAMLError, file: str) -> Mistake:
    mark, opened = error.problem_mark or error.context_mark, error.context_mark
    place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
    if mark and opened and opened.buffer[opened.index] in "[{\"'":
        sign, where = opened.buffer[opened.index], f"{opened.line + 1}:{opened.column + 1}"
        if not mark.buffer[mark.index :].rstrip("\0").strip():
            return Mistake(
                f"{file}:{where}", f"is not YAML: {sign} is opened and never closed", _CHECK
            )
        if opened.line != mark.line:
            return Mistake(place, f"is not YAML: {error.problem}", f"{sign} is open since {where}")
    line = (
        mark.buffer.splitlines()[mark.line]
        if mark and mark.buffer and mark.line < mark.buffer.count("\n") + 1
        else ""
    )
    problem = (error.problem or error.context or "it cannot be parsed").strip()
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in problem:
        return Mistake(place, "a tab stands in the indentation", "YAML indents with spaces")
    return Mistake(place, f"is not YAML: {problem}", _CHECK)


class _Reader:
    """Turns nodes into values and collects what is not plain data, in one pass."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.mistakes: list[Mistake] = []
        self.places: dict[Path_, str] = {}
        self.value_places: dict[Path_, str] = {}
        self._scalars = YAML(typ="safe", pure=True).constructor

    def at(self, node: Node | Event) -> str:
        return f"{self.file}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def value(self, node: Node, path: Path_) -> Any:
        self.places.setdefault(path, self.at(node))
        # A value that is left out has no place of its own: YAML puts it where the next token
        # starts.
        left_out = node.start_mark.index == node.end_mark.index
        self.value_places[path] = self.places[path] if left_out else self.at(node)
        if str(node.tag).rsplit(":", 1)[-1] not in _PLAIN_TAGS:
            self.mistakes.append(
                Mistake(
                    self.at(node), f"the tag {node.tag} is not allowed", "a recipe is plain data"
                )
            )
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)  # there are no other nodes
        return self._scalar(node)

    def _mapping(self, node: MappingNode, path: Path_) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, ScalarNode) else None
            if key is None:
                self.mistakes.append(Mistake(self.at(key_node), "a key must be one word"))
                continue
            if key == "<<" and key_node.style is None:
                self.mistakes.append(
                    Mistake(
                        self.at(key_node),
                        "<< merges another mapping, and a recipe is plain data",
                        "write the keys out",
                    )
                )
                continue
            self._check_text(key_node)
            if key in out:
                first = self.places[(*path, key)].removeprefix(self.file + ":")
                self.mistakes.append(
                    Mistake(
                        self.at(key_node), f"the key {key!r} is given twice", f"first at {first}"
                    )
                )
                continue
            self.places[(*path, key)] = self.at(key_node)
            out[key] = self.value(value_node, (*path, key))
        return out

    def _check_text(self, node: ScalarNode) -> None:
        if has_lone_surrogate(str(node.value)):
            self.mistakes.append(
                Mistake(
                    self.at(node), "holds half of a character (a lone surrogate)", "write it whole"
                )
            )

    def _scalar(self, node: ScalarNode) -> Any:
        if str(node.tag).endswith(":timestamp"):  # a type of YAML 1.1 only
            return node.value
        self._check_text(node)
        try:
            return self._scalars.construct_object(node, deep=True)
        except (YAMLError, ValueError) as error:
            self.mistakes.append(Mistake(self.at(node), f"cannot be read: {error}"))
            return None
