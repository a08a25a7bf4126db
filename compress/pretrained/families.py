"""Families of models that transformers or a plugin builds: their model types, and the keys of their
configs.

Importing one config class imports torch, which takes longer than a whole plan may. So a worker
asks the classes once per version, and a plan reads its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from pydantic import TypeAdapter

from compress.architecture import Architecture, brings_models

FILE = "families.json"


@dataclass(frozen=True)
class Family:
    """The config of one model type.

    - ``keys``: the keys that its class knows.
    - ``read``: further keys that the code of its models reads, such as ``head_dim`` of Qwen2.
    - ``renamed``: a field's own name by each second name.
    - ``defaults``: the fields whose default is a whole number, such as the number of layers.
    """

    keys: frozenset[str]
    read: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, int] = field(default_factory=dict)

    def knows(self, key: str) -> bool:
        """Whether ``key`` has an effect in a config of this family."""
        return key in self.keys or key in self.read

    def value(self, config: Mapping[str, object], key: str) -> object:
        """The value of a field in a model's ``config``, under any of its names, else its default;
        None if neither is known."""
        own = self.renamed.get(key, key)
        others = (other for other, name in self.renamed.items() if name == own)
        for name in (key, own, *others):
            if name in config:
                return config[name]
        return self.defaults.get(own)


ByType = Mapping[str, Family | None]
"""Families by model type; None for a type with a config class that cannot be imported."""


class Families:
    """The families that the installed transformers knows, and those ``brought`` by plugins.
    ``load`` is called when the first are needed. ``Families(dict)`` knows none."""

    def __init__(self, load: Callable[[], ByType], brought: ByType = MappingProxyType({})) -> None:
        self._load = load
        self._brought = brought

    def with_brought(self, architectures: Iterable[type[Architecture]]) -> Families:
        """The same, and the families that these architectures describe by keys of their configs. A
        type without keys is known, and its keys are not."""
        brought: dict[str, Family | None] = {}
        for architecture in architectures:
            keys = frozenset(architecture.config_keys)
            family = Family(keys) if keys else None
            if family or brings_models(architecture):
                brought.update(dict.fromkeys(architecture.model_types, family))
        return Families(self._load, brought)

    @cached_property
    def _by_type(self) -> ByType:
        return self._load()

    def model_types(self) -> frozenset[str]:
        """All model types of transformers; empty if it could not be asked."""
        return frozenset(self._by_type)

    def family_of(self, model_type: str) -> Family | None:
        """The family of a model type; None if it is unknown. transformers is not asked for one that
        a plugin brings."""
        if model_type in self._brought:
            return self._brought[model_type]
        return self._by_type.get(model_type)


_BY_TYPE: TypeAdapter[dict[str, Family | None]] = TypeAdapter(dict[str, Family | None])


FORM = 1
"""Raised with every change of ``Family``: stored answers of another form are asked again."""


def write_families(folder: Path, families: ByType) -> None:
    """Write ``families`` into a file of ``folder``."""
    (folder / FILE).write_bytes(_BY_TYPE.dump_json(dict(families)))


def read_families(folder: Path) -> ByType:
    """The families that ``write_families`` wrote into ``folder``."""
    return _BY_TYPE.validate_json((folder / FILE).read_bytes())
