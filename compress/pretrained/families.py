"""Families of fresh models: the types that transformers knows, and the keys of their configs,
without importing it.

Importing one config class imports torch, which takes longer than a whole plan may. So the classes
are read where they stand, as text: a config's keys are its annotated fields and those of its bases,
the other names that ``attribute_map`` gives them, properties that can be set, and words that a
method takes out of ``kwargs``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_TYPES, _MODULES = "CONFIG_MAPPING_NAMES", "SPECIAL_MODEL_TYPE_TO_MODULE_NAME"
_MAKING = ("__init__", "__post_init__", "convert_rope_params_to_dict")
"""Methods that are given a config's keys; others take options of loading and saving."""
_OWN = frozenset({"architectures", "transformers_version"})
"""Fields that transformers writes itself."""


@dataclass(frozen=True)
class Family:
    """The keys of a model type's config. ``renamed`` leads from a second name to the field's own;
    ``defaults`` are those that are written out as plain values."""

    keys: frozenset[str]
    renamed: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def value(self, config: Mapping[str, Any], key: str) -> Any:
        """The value of a field in a model's ``config``, under whichever of its names, else its
        default; None where neither is known."""
        own = self.renamed.get(key, key)
        names = [key, own, *(other for other, name in self.renamed.items() if name == own)]
        return next((config[name] for name in names if name in config), self.defaults.get(own))


def model_types() -> frozenset[str]:
    """The model types that the installed transformers knows; empty where they cannot be read."""
    return frozenset(_tables().get(_TYPES, {}))


@cache
def family_of(model_type: str) -> Family | None:
    """The family of a model type; None where its config class cannot be read."""
    name = _tables().get(_TYPES, {}).get(model_type, "")
    files = _files(
        model_type, "configuration_*.py"
    )  # several where a folder is of several families
    try:
        return next((_read(file, name) for file in files if name in _classes(file)), None)
    except _Unread:
        return None


def models_read(model_type: str, key: str) -> bool:
    """Whether a family's modules read a key that its config does not declare, as Qwen2's do
    ``head_dim``."""
    reads = re.compile(rf"""\bconfig(\.|, ["']){re.escape(key)}\b""")
    return any(
        reads.search(file.read_text(encoding="utf-8"))
        for file in _files(model_type, "modeling_*.py")
    )


def _files(model_type: str, pattern: str) -> list[Path]:
    """The files of that pattern in the folder of a model type's family."""
    root, module = (
        _root(),
        _tables().get(_MODULES, {}).get(model_type, model_type.replace("-", "_")),
    )
    return sorted((root / "models" / module).glob(pattern)) if root else []


class _Unread(Exception):
    """Something does not stand where it is looked for."""


def _read(file: Path, name: str) -> Family:
    """The family that a class of a file describes, or of one that it hands on, with what its bases
    add. Raises _Unread."""
    found = _classes(file).get(name)
    if found is None:
        if name not in _imports(file):
            raise _Unread
        return _read(*_imports(file)[name])
    bases = [_base(file, base) for base in found.bases]
    own = _described(found)
    for base in bases:
        own = Family(
            own.keys | base.keys, {**base.renamed, **own.renamed}, {**base.defaults, **own.defaults}
        )
    return own


def _base(file: Path, base: ast.expr) -> Family:
    if not isinstance(base, ast.Name):
        raise _Unread
    return _read(file, base.id)


def _described(found: ast.ClassDef) -> Family:
    keys: set[str] = set()
    renamed: dict[str, str] = {}
    defaults: dict[str, Any] = {}
    for node in found.body:
        match node:
            case ast.AnnAssign(ast.Name("attribute_map"), value=value) | ast.Assign(
                [ast.Name("attribute_map")], value
            ):
                renamed = _plain("map", value).get("map", {})
            case ast.AnnAssign(ast.Name(name), annotation, value) if "ClassVar" not in ast.dump(
                annotation
            ):
                keys.add(name)
                defaults |= _plain(name, value)
            case ast.FunctionDef():
                keys |= _taken(node)
    return Family(
        frozenset(k for k in keys | set(renamed) if not k.startswith("_")) - _OWN, renamed, defaults
    )


def _taken(method: ast.FunctionDef) -> set[str]:
    """Keys that a method makes known: a property that can be set, what ``__init__`` takes, words
    taken out of ``kwargs``."""
    if any(isinstance(d, ast.Attribute) and d.attr == "setter" for d in method.decorator_list):
        return {method.name}
    if method.name not in _MAKING:
        return set()
    named = {argument.arg for argument in (*method.args.args[1:], *method.args.kwonlyargs)}
    first = [
        call.args[0]
        for call in ast.walk(method)
        if isinstance(call, ast.Call) and _of_kwargs(call.func) and call.args
    ]
    return named | {
        word.value
        for word in first
        if isinstance(word, ast.Constant) and isinstance(word.value, str)
    }


def _of_kwargs(function: ast.expr) -> bool:
    """Whether it is ``kwargs.get``, ``kwargs.pop`` or the like."""
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "kwargs"
    )


def _plain(name: str, value: ast.expr | None) -> dict[str, Any]:
    """``value`` under ``name``, where it is written out; nothing where it is computed."""
    try:
        return {} if value is None else {name: ast.literal_eval(value)}
    except ValueError:
        return {}


@cache
def _tables() -> dict[str, dict[str, str]]:
    """The tables by which transformers finds config classes, with their later additions."""
    root = _root()
    found: dict[str, dict[str, str]] = {}
    for file in ("auto_mappings.py", "configuration_auto.py"):
        for name, pairs in _additions(root / "models" / "auto" / file) if root else ():
            found.setdefault(name, {}).update(pairs)
    return found


def _additions(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """(table, pairs) of each statement of a module that makes or extends one of the tables by
    name."""
    for node in _parsed(file).body:
        match node:
            case ast.Assign([ast.Name(name)], ast.Call(args=parts, keywords=words)):
                pass
            case ast.Expr(
                ast.Call(ast.Attribute(ast.Name(name), "update"), args=parts, keywords=words)
            ):
                pass
            case _:
                continue
        for part in (*parts, *(word.value for word in words if word.arg is None)):
            pairs = _plain("it", part).get("it") if name in (_TYPES, _MODULES) else None
            if isinstance(pairs, (dict, list)):
                yield name, dict(pairs)


@cache
def _root() -> Path | None:
    spec = find_spec("transformers")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


@cache
def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def _classes(file: Path) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in _parsed(file).body if isinstance(node, ast.ClassDef)}


@cache
def _imports(file: Path) -> dict[str, tuple[Path, str]]:
    """Where names come from that a file takes from its own package: (file, name there)."""
    found: dict[str, tuple[Path, str]] = {}
    for node in _parsed(file).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            # What the package itself hands out lazily is the class of all configs.
            source = file.parents[node.level - 1].joinpath(
                *(node.module or "configuration_utils").split(".")
            )
            source = (
                source / "__init__.py" if source.is_dir() else source.with_name(source.name + ".py")
            )
            found |= {alias.asname or alias.name: (source, alias.name) for alias in node.names}
    return found
