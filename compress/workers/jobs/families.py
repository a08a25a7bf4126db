"""The job that asks transformers which families of models it has, and which keys their configs
have."""

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
from compress.workers.protocol import AskFamilies, Finished

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_CONFIG_METHODS = ("__init__", "__post_init__", "convert_rope_params_to_dict")
"""Methods whose parameters are keys of a config. Those of other methods are options of loading and
saving."""
_WRITTEN_BY_TRANSFORMERS = frozenset({"architectures", "transformers_version"})
"""Fields that no recipe sets."""
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_KWARGS_KEY = re.compile(r"""\bkwargs\.\w+\(\s*["'](\w+)["']""")
"""``kwargs.pop("rope_theta")``: no signature shows such a key, so the source is searched."""
_CONFIG_KEY = re.compile(r"""\bconfig(?:\.|, ["'])(\w+)""")
"""``config.head_dim`` and ``getattr(config, "head_dim")``."""


def run(job: AskFamilies, line: WorkerLine, registry: Registry) -> Finished:
    """Write all families that transformers knows into ``job.output``."""
    from transformers import CONFIG_MAPPING

    families = {model_type: _family_of(model_type) for model_type in CONFIG_MAPPING}
    write_families(job.output, families)
    return Finished()


def _family_of(model_type: str) -> Family | None:
    from transformers import CONFIG_MAPPING

    try:
        config_class = CONFIG_MAPPING[model_type]
    except ImportError:  # a package that this family alone needs is missing
        return None
    return described(config_class)


def described(config_class: type[PreTrainedConfig]) -> Family:
    """The family of a config class."""
    config_fields, renamed = fields(config_class), dict(config_class.attribute_map)
    names = {field.name for field in config_fields}
    names.update(renamed, _keys_without_field(config_class))
    keys = frozenset(name for name in names if not name.startswith("_"))
    keys -= _WRITTEN_BY_TRANSFORMERS
    read = _keys_read_by_models(Path(inspect.getfile(config_class)).parent)
    # A bool is an int for isinstance, and no default that a plan counts with.
    defaults = {field.name: field.default for field in config_fields if type(field.default) is int}
    return Family(keys, read - keys, renamed, defaults)


def _keys_without_field(config_class: type) -> Iterator[str]:
    """Keys that the class and its bases accept without a field: properties that can be set, and
    parameters of the methods that make a config."""
    for base in config_class.__mro__:
        for name, member in vars(base).items():
            if isinstance(member, property) and member.fset:
                yield name
            elif name in _CONFIG_METHODS and inspect.isfunction(member):
                yield from _parameter_names(member)


def _parameter_names(method: Callable[..., Any]) -> Iterator[str]:
    """The names of a method's parameters, and the keys that its code reads from ``kwargs``."""
    for parameter in inspect.signature(method).parameters.values():
        if parameter.name != "self" and parameter.kind not in _VARIADIC:
            yield parameter.name
    try:
        source = inspect.getsource(method)
    except OSError:  # the method of a dataclass is made without a file
        return
    yield from _KWARGS_KEY.findall(source)


@cache
def _keys_read_by_models(folder: Path) -> frozenset[str]:
    """The config keys that the code of the models in a family's folder reads."""
    code = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("modeling_*.py"))]
    return frozenset(_CONFIG_KEY.findall("\n".join(code)))
