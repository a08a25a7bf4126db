"""Recipes that are broken at random, by a seed, and what planning may answer to them."""

from __future__ import annotations

import json
import random
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deadline import within
from ruamel.yaml import YAML

from compress.cli.planview import plan_json, view_plan
from compress.errors import UsageError
from compress.planning import load_plan
from compress.pretrained.families import Families
from compress.registry.plugins import Registry
from compress.store.store import Store

SECONDS = 10
"""The most that planning one mutation may take."""

RECIPES = (
    """\
task: {text-classification: {max_length: 16, kind: single}}
model: owner/encoder
data: {train: train.csv, validation: 0.2, test: test.csv, encoding: utf-8, header: true,
       columns: {text: text, test: {label: label}}, labels: [bad, good], rows: {train: 100}}
reference: teacher
budget: {quality: ">= 99% of teacher", latency: ">= 4x of B0", size: "<= 20 MB", on_miss: keep_best}
benchmark: {effort: quick}
seed: 7
stages:
  - finetune: {epochs: 2, batch_size: 8, learning_rate: 1e-3, patience: 2, precision: fp32}
    name: teacher
  - distill: {student: {layers: [0, 2]}, losses: [logits: {temperature: 2.0}], teacher: teacher}
    budget: {quality: ">= 0.8", on_miss: back_off, tries: 2, decide: worst}
  - prune.structured: {feed_forward: 0.5, recover: {epochs: 1}}
    from: distill
    seed: 3
  - quantize.onnx: {}
""",
    """\
task: text-classification
model: {type: bert, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2,
        intermediate_size: 32}
data: {source: json, train: all.json, test: all.json, splits: {test: dev}}
stages:
  - pretrain: {epochs: 2, vocabulary: 300}
    task: {fill-mask: {max_length: 16}}
    data: {source: text, train: train.csv, test: test.csv, unit: line}
  - finetune
  - export.onnx
""",
    """\
task: ner
model: ./model
data: {source: conll, train: train.csv, test: test.csv, token_column: 0, tag_column: -1}
stages:
  - finetune: {epochs: 1}
  - quantize.bitsandbytes: {}
""",
)

HOSTILE: tuple[Any, ...] = (
    *(None, "", " ", 0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 10**4000, 0.5, 1e308, -0.0),
    *(True, False, [], {}, [[]], {"": ""}, [None], {"a": {"b": {"c": []}}}),
    *("x" * 300, "x/" * 300, "y" * 5000, "../..", "/", ".", "~", "~nobody-of-that-name/x"),
    *("loop", "loop/x", "/dev/null", "train.csv/x", "folder", "a\nb", "a\tb", "\u200b", "\u202e"),
    *("punycode", "idna", "undefined", "utf-16", "rot13", "base64", "unicode_escape", "a\0b"),
    *("model", "teacher", "finetune", "B0", "ner", "2020-01-01", "1e999", "nan", "inf", "0x10"),
    *(">= 99%", "<= -1 MB", ">= 9" + "9" * 400 + "x", "<= 1e9 GB", ">=", "99% of", "é" * 50),
)
_RAW = (
    *("9" * 6000, "0x" + "f" * 6000, "-" + "1" * 5000, ".inf", "-.inf", ".nan", "1_000", "0o17"),
    *("!!int ''", "!!bool maybe", "!!float x", "!!null x", "!!binary x", "!!set {a}", "!x y"),
    *("&a [*a]", "*b", "<<: {a: 1}", "? x", "- ", ": ", "{", "}", "[", "]", '"', "'", "|", ">"),
    *("%YAML 1.1", "---", "...", "\t", "# x", "\ufeff", "\x07", "\ud800", "[" * 300, "{a: " * 200),
)


@dataclass(frozen=True)
class Mutation:
    """A recipe's text with overrides."""

    text: str
    overrides: tuple[str, ...] = ()


def write_place(folder: Path) -> None:
    """Write into ``folder`` the files that the recipes name, and some that are no files."""
    for name in ("train.csv", "test.csv"):
        (folder / name).write_text("text,label\ngood day,good\nbad day,bad\n", encoding="utf-8")
    rows = [{"text": "good day", "label": "good"}, {"text": "bad day", "label": "bad"}]
    (folder / "all.json").write_text(json.dumps({"train": rows, "dev": rows}), encoding="utf-8")
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to(folder / "loop")


def mutations(count: int, seed: int) -> Iterator[Mutation]:
    """``count`` mutations, the same for equal seeds."""
    draw = random.Random(seed)
    kinds: tuple[Callable[[random.Random], Mutation], ...] = (_of_text, _of_value, _of_override)
    for _ in range(count):
        yield draw.choice(kinds)(draw)


def _of_text(draw: random.Random) -> Mutation:
    """Some characters left out, put in, doubled, or moved."""
    text = draw.choice(RECIPES)
    for _ in range(draw.randint(1, 3)):
        start = draw.randrange(len(text))
        end = min(len(text), start + draw.choice((0, 1, 3, 20)))
        put = draw.choice(("", draw.choice(_RAW), text[start:end] * 2, text[end - 9 : start]))
        text = text[:start] + put + text[end:]
    return Mutation(text)


def _of_value(draw: random.Random) -> Mutation:
    """Values and keys replaced, left out or nested."""
    tree = YAML(typ="safe", pure=True).load(draw.choice(RECIPES))
    for _ in range(draw.randint(1, 3)):
        _mutate(tree, draw)
    return Mutation(json.dumps(tree))  # JSON is YAML


def _mutate(tree: Any, draw: random.Random) -> None:
    holders = list(_holders(tree))
    if not holders:
        return
    holder, key = draw.choice(holders)
    what = draw.randrange(5)
    if what == 0:
        del holder[key]
    elif what == 1 and isinstance(holder, dict):
        holder[str(draw.choice(HOSTILE))[:400]] = holder.pop(key)
    elif what == 2:
        holder[key] = draw.choice(([holder[key]], {"x": holder[key]}, str(holder[key])))
    else:
        holder[key] = draw.choice(HOSTILE)


def _holders(tree: Any) -> Iterator[tuple[Any, Any]]:
    """(mapping or list, key or index) of each value."""
    items = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree))
    for key, value in items:
        yield tree, key
        if isinstance(value, dict | list):
            yield from _holders(value)


def _of_override(draw: random.Random) -> Mutation:
    """``--set`` of keys that are there or nearly, to values that may be anything."""
    text = draw.choice(RECIPES)
    words = ("task", "data", "stages", "model", "seed", "budget", "teacher", "finetune", "0", "9")
    inner = ("train", "test", "epochs", "columns", "rows", "student", "layers", "name", "from", "x")
    overrides = []
    for _ in range(draw.randint(1, 3)):
        keys = [draw.choice(words), *draw.sample((*words, *inner), draw.randint(0, 3))]
        value = draw.choice((draw.choice(_RAW), json.dumps(draw.choice(HOSTILE))))
        overrides.append(".".join(keys) + draw.choice(("=", "=", "=", "", "==")) + value)
    return Mutation(text, tuple(overrides))


def failure_of(
    mutation: Mutation, folder: Path, registry: Registry, families: Families
) -> str | None:
    """Why planning a mutation in ``folder`` ended as it must not; None where it gave a plan, or
    mistakes of one line each with their place."""
    recipe = folder / "recipe.yaml"
    recipe.write_bytes(mutation.text.encode("utf-8", "surrogatepass"))
    try:
        with within(SECONDS):
            plan = load_plan(str(recipe), mutation.overrides, registry, families)
            json.dumps(plan_json(view_plan(plan, registry, Store(folder / "store"))))
    except UsageError as error:
        for mistake in error.mistakes:
            if not mistake.where or len(str(mistake).splitlines()) != 1:
                return f"no place, or several lines: {mistake}"
    except BaseException:
        return traceback.format_exc()
    return None
