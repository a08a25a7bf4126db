"""What every session of tests needs, of the core and of the plugins."""

from __future__ import annotations

import gc

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """A search for garbage leaves out all that was imported and collected, as in a worker. Each
    stage that a test applies ends with such a search, and each training begins with one."""
    gc.collect()
    gc.freeze()
