"""The families of models that the installed transformers knows, as the store keeps them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from compress.errors import CompressError
from compress.machine import versions
from compress.pretrained.families import FORM, ByType, Families, read_families
from compress.report.text import visible
from compress.store.store import Ingredients, Store

if TYPE_CHECKING:
    from compress.workers.protocol import Answer, ForUser, Question

Note = Callable[[str], None]


def on_stderr(text: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()


def known_families(store: Store, note: Note = on_stderr) -> Families:
    """The families of the installed transformers; nothing happens until one is needed.

    Then they are read from ``store``. Where it does not have them, a worker asks transformers,
    which takes some seconds once for each version, and ``note`` is called with a line about it."""
    return Families(lambda: _kept_or_asked(store, note))


def _kept_or_asked(store: Store, note: Note) -> ByType:
    """The families; empty where transformers is not installed or cannot be asked, for a plan works
    without them."""
    libraries = versions(("compress-toolkit", "transformers"))
    if "transformers" not in libraries:
        return {}

    def ask(content: Path, work: Path) -> float:
        from compress.workers.protocol import AskFamilies
        from compress.workers.supervisor import run_job

        note(
            f"asking transformers {libraries['transformers']} which models it can build; "
            "this takes some seconds, once"
        )
        start = time.monotonic()
        run_job(AskFamilies(content), work / "job.json", work / "log.txt", _ignore, _refuse)
        return time.monotonic() - start

    ingredients = Ingredients("families", {"libraries": libraries, "form": FORM})
    try:
        product, _ = store.make(ingredients, ask, lambda who: note(_waiting(who)))
        return read_families(product.folder)
    except (CompressError, OSError) as error:
        note(f"warning: the type and the keys of a fresh model are not checked: {error}")
        return {}


def _waiting(who: str) -> str:
    return f"waiting for {who}, which asks transformers which models it can build"


def _ignore(message: ForUser) -> None:
    """The job reports no progress."""


def _refuse(question: Question) -> Answer:
    raise CompressError(f"the job that asks transformers has a question: {question}")
