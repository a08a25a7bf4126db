"""The errors that a user is meant to read. Anything else that is raised is a bug and keeps its
traceback."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches

EXIT_OK = 0
EXIT_STAGE = 1
EXIT_USAGE = 2
EXIT_ENVIRONMENT = 3
EXIT_BUDGET = 4
EXIT_INTEGRITY = 5
EXIT_SIGNAL = 128
"""The exit code of a command that a signal has ended is this plus the signal's number."""
_LONGEST_LINE = 500
"""Characters of the first line of an error. A library may repeat all that it was given."""

_MOST_COMPARED, _LONGEST_COMPARED = 5000, 200
"""Words that are compared with a misspelt one, and the letters of the longest that is compared."""


@dataclass(frozen=True)
class Mistake:
    """One mistake of a user: where it is (``file:line:column`` or a row), what is wrong, and what
    to do about it."""

    where: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = with_hint(self.message, self.hint)
        return f"{self.where}: {text}" if self.where else text

    def placed(self, where: str) -> Mistake:
        """The same mistake, at ``where`` if it names no place itself."""
        return self if self.where else replace(self, where=where)


class CompressError(Exception):
    """A failure whose text alone explains it. The command line ends with ``exit_code``."""

    exit_code = EXIT_STAGE


class UsageError(CompressError):
    """All mistakes of a recipe, its data or a command that one pass can find."""

    exit_code = EXIT_USAGE

    def __init__(self, mistakes: Iterable[Mistake] | str) -> None:
        self.mistakes = [Mistake("", mistakes)] if isinstance(mistakes, str) else list(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))

    def placed(self, where: str) -> UsageError:
        """The same mistakes; those without a place are now at ``where``.

        Code that reads a folder or data does not know the recipe. Its caller adds the place."""
        return UsageError([mistake.placed(where) for mistake in self.mistakes])


class EnvironmentFailure(CompressError):
    """Something that is needed is missing on this machine: a package, an extra, a device."""

    exit_code = EXIT_ENVIRONMENT


class FileTrouble(EnvironmentFailure):
    """A file cannot be read or written: a full disk, a limit, a folder that is gone."""


class PackageMissing(EnvironmentFailure):
    """A package that a plugin needs is not installed."""


class ModelRefused(CompressError):
    """A stage or an engine cannot take this model, on any machine: another try would end the
    same. A lack of memory or of disk space is no such refusal.

    A conversion of the reference that ends so is given up. After any other error the run ends,
    because nothing is known of the engine."""


REFUSALS = (ModelRefused, PackageMissing)
"""Errors that say that a stage or an engine is not for this model or not for this machine. A worker
that was killed, or that had no memory or disk space left, says nothing of the kind: were its
product given up, another one would become the fastest, and the result would be an accident."""


class NothingChanged(CompressError):
    """A stage wrote the same weights as its input has."""


class IntegrityError(CompressError):
    """A stored file differs from what its manifest or record states."""

    exit_code = EXIT_INTEGRITY


class BudgetMissed(CompressError):
    """A step missed a budget with ``on_miss: fail``. Its model is kept."""

    exit_code = EXIT_BUDGET


class Ended(KeyboardInterrupt):
    """A signal asks this process to end. ``number`` is the signal's.

    It is an interrupt like Ctrl-C: no code that heeds failures takes it for one."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def shortened(text: str, most: int = 60) -> str:
    """The text, or its beginning with dots where it is longer than ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def listed(words: Iterable[str]) -> str:
    """The words with commas between them, in one line whatever they hold."""
    texts = map(shortened, words)
    return ", ".join(text if text.isprintable() else repr(text) for text in texts)


def with_hint(message: str, hint: str | None) -> str:
    """``message (hint)``, or the message alone without a hint."""
    return f"{message} ({hint})" if hint else message


def first_line(error: BaseException) -> str:
    """The first line of an error's text, cut to 500 characters; empty if it has no text."""
    return next(iter(str(error).splitlines()), "")[:_LONGEST_LINE]


def name_and_first_line(error: BaseException) -> str:
    """``ValueError: the first line``, for an error of a library whose text alone may say little."""
    return f"{type(error).__name__}: {first_line(error)}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint that names the known word nearest to ``word``; empty if none is near, and where
    there are so many words that looking would take seconds."""
    choices = sorted(known)
    if len(choices) > _MOST_COMPARED or len(word) > _LONGEST_COMPARED:
        return ""
    near = get_close_matches(word, choices, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def suggestion(word: str, known: Iterable[str]) -> str:
    """The hint for an unknown ``word``: the nearest known word, else all known words if there are
    at most 20, else nothing."""
    choices = sorted(known)
    known_ones = f"known: {listed(choices)}" if 0 < len(choices) <= 20 else ""
    return did_you_mean(word, choices) or known_ones
