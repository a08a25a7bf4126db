"""The families of models that transformers knows, asked once in a session for all tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sessionfolder import session_folder

from compress.pretrained.families import Families
from compress.running.families import known_families
from compress.store.store import Store


@cache
def kept_store() -> Store:
    """The session's store of the one answer."""
    return Store(session_folder().path / "store")


@cache
def kept_families() -> Families:
    """The families; transformers is asked when a test first needs one."""
    return known_families(kept_store())


def give_families(store: Path) -> None:
    """Link the session's answer into ``store``, so that what runs there need not ask again."""
    assert kept_families().model_types()
    linked = store / "products" / "families"
    if not linked.exists():
        linked.parent.mkdir(parents=True, exist_ok=True)
        linked.symlink_to(kept_store().root / "products" / "families", target_is_directory=True)
