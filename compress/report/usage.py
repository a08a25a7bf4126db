"""How an artifact is used outside a run: with stock libraries, as its engine and task define, or
else with the toolkit itself. Model cards show it."""

from __future__ import annotations

from collections.abc import Sequence

from compress.artifact import Traits
from compress.engine import Engine, Loading
from compress.planning import TaskChoice
from compress.registry.plugins import Registry
from compress.results.step import Usage
from compress.task import TextTaskOptions

_OWN = """\
import compress

model = compress.load({folder})
print(model([{text}]))
"""
_WRITES = """\
import compress

model = compress.load({folder})
model({text}, max_new_tokens={tokens}, on_text=lambda piece: print(piece, end="", flush=True))
"""
_STOCK = """\
{imports}
folder = {folder}
text = {text}
{length}
"""


def usage(
    traits: Traits, needs: Sequence[str], folder: str, task: TaskChoice, registry: Registry
) -> Usage:
    """How the artifact in ``folder`` is loaded and asked about a text.

    The code uses only stock libraries where engine and task have such code and the artifact
    ``needs`` no other distribution."""
    engine = _engine_of(traits, registry)
    loading = _stock_loading(engine, traits, needs, task)
    library = engine.library if engine else None
    serves = traits.task == task.name
    own_packages = tuple(needs) or ("compress-toolkit",)
    return Usage(
        library=library or traits.format,
        pipeline_tag=(task.entry.cls.kind or None) if serves else None,
        packages=tuple(loading.packages) if loading else own_packages,
        code=_stock_code(loading, folder, task) if loading else _own_code(folder, task),
    )


def _engine_of(traits: Traits, registry: Registry) -> type[Engine] | None:
    """The first engine that runs the format."""
    for entry in registry.engines.values():
        if traits.format in entry.cls.formats:
            return entry.cls
    return None


def _stock_loading(
    engine: type[Engine] | None, traits: Traits, needs: Sequence[str], task: TaskChoice
) -> Loading | None:
    """The engine's code to load the artifact with stock libraries; None where it does not apply."""
    is_read = bool(task.entry.cls.card.reading) and isinstance(task.options, TextTaskOptions)
    serves = traits.task == task.name and is_read
    if engine is None or not serves or needs or traits.shape != "stock":
        return None
    return engine.loading(traits, task.entry.cls)


def _stock_code(loading: Loading, folder: str, task: TaskChoice) -> str:
    assert isinstance(task.options, TextTaskOptions)  # others have no such code
    card = task.entry.cls.card
    given = _STOCK.format(
        imports=loading.imports,
        folder=repr(folder),
        text=repr(card.example),
        length=_length_text(task),
    )
    return f"{given}{loading.code}{card.reading}"


def _length_text(task: TaskChoice) -> str:
    """Python that binds how long a text, or an answer that is generated, may be."""
    assert isinstance(task.options, TextTaskOptions)
    if task.entry.cls.generates():
        return f"max_new_tokens = {task.make().limits().max_new_tokens}"
    return f"max_length = {task.options.max_length}"


def _own_code(folder: str, task: TaskChoice) -> str:
    cls = task.entry.cls
    names = {"folder": repr(folder), "text": repr(cls.card.example)}
    if cls.generates() and cls.streams:
        return _WRITES.format(**names, tokens=task.make().limits().max_new_tokens)
    return _OWN.format(**names)
