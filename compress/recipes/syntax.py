"""What is wrong with a text that cannot be read as YAML, in words that help."""

from __future__ import annotations

from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.reader import ReaderError

from compress.errors import Mistake, UsageError, first_line
from compress.recipes.places import Place

_CHECK = "check indentation, quotes and colons"
_OPENING = "[{\"'"
"""Signs that must be closed again."""


def place_after(text: str, file: str) -> Place:
    """The place of the character that follows ``text``."""
    return Place(file, text.count("\n") + 1, len(text) - text.rfind("\n"))


def unreadable(error: YAMLError, text: str, file: str) -> UsageError:
    """The error to raise for ``text`` where the YAML parser raised ``error``."""
    if isinstance(error, MarkedYAMLError):
        return UsageError([_syntax_mistake(error, file)])
    if isinstance(error, ReaderError):
        code = f"U+{ord(text[error.position]):04X}"
        where = place_after(text[: error.position], file)
        message = f"is not YAML: it holds the invisible character {code}"
        return UsageError([Mistake(str(where), message, "remove it")])
    return UsageError([Mistake(f"{file}:1:1", f"is not YAML: {first_line(error)}")])


def _syntax_mistake(error: MarkedYAMLError, file: str) -> Mistake:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Mistake(file, f"is not YAML: {_problem(error)}", _CHECK)
    place = str(Place(file, mark.line + 1, mark.column + 1))
    not_closed = _not_closed(error, mark, file)
    if not_closed is not None:
        return not_closed
    if _is_about_a_tab(error, mark):
        return Mistake(place, "the indentation holds a tab", "YAML indents with spaces")
    return Mistake(place, f"is not YAML: {_problem(error)}", _CHECK)


def _not_closed(error: MarkedYAMLError, mark: StringMark, file: str) -> Mistake | None:
    """The mistake of a bracket or quote that is not closed; None where it is another one."""
    opened = error.context_mark
    if opened is None or opened.buffer[opened.index] not in _OPENING:
        return None
    sign = opened.buffer[opened.index]
    start = Place(file, opened.line + 1, opened.column + 1)
    is_at_end = not mark.buffer[mark.index :].rstrip("\0").strip()
    if is_at_end:
        return Mistake(str(start), f"is not YAML: {sign} is opened and never closed", _CHECK)
    if opened.line == mark.line:
        return None
    place = str(Place(file, mark.line + 1, mark.column + 1))
    hint = f"{sign} is open since {start.line}:{start.column}"
    return Mistake(place, f"is not YAML: {error.problem}", hint)


def _is_about_a_tab(error: MarkedYAMLError, mark: StringMark) -> bool:
    lines = mark.buffer.splitlines() if mark.buffer else []
    line = lines[mark.line] if mark.line < len(lines) else ""
    indentation = line[: len(line) - len(line.lstrip())]
    return "\t" in indentation or "'\\t'" in _problem(error)


def _problem(error: MarkedYAMLError) -> str:
    return (error.problem or error.context or "it cannot be parsed").strip()
