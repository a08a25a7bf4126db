"""The job that asks transformers for its families of models: which there are, and which keys their
configs have."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.pretrained.families import Family, write_families
from compress.registry.plugins import Registry
from compress.workers.channel import WorkerLine

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_MAKING = ("__init__", "__post_init__", "convert_rope_params_to_dict")
"""Methods that are given a config's keys; others take options of loading and saving."""
_OWN = frozenset({"architectures", "transformers_version"})
"""Fields that transformers writes itself."""
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_OF_KWARGS = re.compile(r"""\bkwargs\.\w+\(\s*["'](\w+)["']""")
"""``kwargs.pop("rope_theta")``: no signature shows such a key, so that the source must."""
_OF_CONFIG = re.compile(r"""\bconfig(?:\.|, ["'])(\w+)""")
"""``config.head_dim`` and ``getattr(config, "head_dim")``."""


def run(job: dict[str, Any], line: WorkerLine, registry: Registry) -> dict[str, Any]:
    """All families that transformers knows, written into ``job["output"]``."""
    from transformers import CONFIG_MAPPING

    families = {model_type: _family_of(model_type) for model_type in CONFIG_MAPPING}
    write_families(Path(job["output"]), families)
    return {}


def _family_of(model_type: str) -> Family | None:
    from transformers import CONFIG_MAPPING

    try:
        config_class = CONFIG_MAPPING[model_type]
    except ImportError:  # a package that this family alone needs is missing
        return None
    return described(config_class)


def described(config_class: type[PreTrainedConfig]) -> Family:
    """The family whose config is of this class."""
    own, renamed = fields(config_class), dict(config_class.attribute_map)
    named = {field.name for field in own} | {*renamed, *_known_to_code(config_class)}
    keys = frozenset(key for key in named if not key.startswith("_")) - _OWN
    read = _read_by_models(Path(inspect.getfile(config_class)).parent)
    # A bool is an int for isinstance, and no default that a plan counts with.
    defaults = {field.name: field.default for field in own if type(field.default) is int}
    return Family(keys, read - keys, renamed, defaults)


def _known_to_code(config_class: type) -> Iterator[str]:
    """Keys that need not be fields: properties that can be set, and what the methods that make a
    config take, those of its bases too."""
    for base in config_class.__mro__:
        for name, member in vars(base).items():
            if isinstance(member, property) and member.fset:
                yield name
            elif name in _MAKING and inspect.isfunction(member):
                yield from _taken_by(member)


def _taken_by(method: Callable[..., Any]) -> Iterator[str]:
    """Keys that a method takes: its parameters, and what its code takes out of ``kwargs``."""
    for parameter in inspect.signature(method).parameters.values():
        if parameter.name != "self" and parameter.kind not in _VARIADIC:
            yield parameter.name
    try:
        source = inspect.getsource(method)
    except OSError:  # the method of a dataclass is made without a file
        return
    yield from _OF_KWARGS.findall(source)


@cache
def _read_by_models(folder: Path) -> frozenset[str]:
    """Keys of a config that the code of the models in a family's folder reads."""
    code = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("modeling_*.py"))]
    return frozenset(_OF_CONFIG.findall("\n".join(code)))
