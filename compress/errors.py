"""The one family of errors that a user is meant to read; anything else that is raised is a bug and
keeps its traceback."""

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
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Mistake:
    """One thing a user got wrong: where (``file:line:column`` or a row), what was got, and what to
    do."""

    where: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message}" + (f" ({self.hint})" if self.hint else "")

    def placed(self, where: str) -> Mistake:
        """The same mistake, at ``where`` if it names no place itself."""
        return self if self.where else replace(self, where=where)


class CompressError(Exception):
    """A failure that is explained in one line; ``exit_code`` is what the command line ends with."""

    exit_code = EXIT_STAGE


class UsageError(CompressError):
    """One or more mistakes in a recipe, its data or a command; all that were found in one pass."""

    exit_code = EXIT_USAGE

    def __init__(self, mistakes: Iterable[Mistake] | str) -> None:
        found = [Mistake("", mistakes)] if isinstance(mistakes, str) else list(mistakes)
        super().__init__("\n".join(map(str, found)))
        self.mistakes = found

    def placed(self, where: str) -> UsageError:
        """The same mistakes, those that tell no place at ``where``: who read a folder or data knew
        nothing of the recipe."""
        return UsageError([mistake.placed(where) for mistake in self.mistakes])


class EnvironmentFailure(CompressError):
    """Something that must be installed or present is not: a package, an extra, a device."""

    exit_code = EXIT_ENVIRONMENT


class NothingChanged(CompressError):
    """A stage gave back the weights that it was given."""


class IntegrityError(CompressError):
    """A stored file is not what its manifest says it is."""

    exit_code = EXIT_INTEGRITY


class BudgetMissed(CompressError):
    """A step missed a budget whose policy is to stop; its model is kept."""

    exit_code = EXIT_BUDGET


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint that names the known word nearest to ``word``; empty where none is near."""
    near = get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def suggestion(word: str, known: Iterable[str]) -> str:
    """The hint for an unknown ``word``: the nearest known one, else all of them when they are few,
    else nothing."""
    choices = sorted(known)
    known_ones = f"known: {', '.join(choices)}" if 0 < len(choices) <= 20 else ""
    return did_you_mean(word, choices) or known_ones
