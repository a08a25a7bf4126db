"""How an artifact is used outside a run, as its model card tells: what engines and tasks say of it,
else the toolkit's own way to load a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compress.artifact import Traits
from compress.engine import Engine
from compress.planning import TaskChoice
from compress.registry.plugins import Registry

_OWN = """\
import compress

model = compress.load({folder})
print(model([{text}]))
"""


def usage(
    traits: Traits, needs: Sequence[str], folder: str, task: TaskChoice, registry: Registry
) -> dict[str, Any]:
    """``library`` and ``pipeline_tag`` as the hub names them, the ``packages`` to install and the
    ``code`` that loads the artifact in ``folder`` and reads its answer to a text.

    The code needs stock libraries alone where engine and task say how, and nothing else is needed
    (``needs``)."""
    engine: type[Engine] | None = next(
        (e.cls for e in registry.engines.values() if traits.format in e.cls.formats), None
    )
    cls = task.entry.cls
    serves = traits.task == task.name
    stock = serves and cls.reading and not needs and traits.shape == "stock"
    found = engine.loading(traits, cls) if engine and stock else None
    code = _OWN.format(folder=repr(folder), text=repr(cls.example))
    if found:
        given = (
            f"folder = {folder!r}\ntext = {cls.example!r}\nmax_length = {task.options.max_length}\n"
        )
        code = f"{found.imports}\n{given}{found.code}{cls.reading}"
    return {
        "library": engine.library or traits.format if engine else traits.format,
        "pipeline_tag": cls.pipeline_tag if serves else None,
        "packages": list(found.packages if found else needs or ["compress-toolkit"]),
        "code": code,
    }
