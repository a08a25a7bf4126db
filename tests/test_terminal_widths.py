"""Tables in terminals of many widths: no line is too long, and no digit and no name is lost."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from reports import as_report, held_report
from rich.cells import cell_len
from rich.console import Console

from compress.cli.catalogue import describe_stage, list_stages, list_tasks, print_stage
from compress.cli.planview import print_plan, view_plan
from compress.cli.rows import print_rows
from compress.cli.selfcheckview import print_self_check
from compress.planning import make_plan
from compress.pretrained.families import Families
from compress.recipes.recipe import read_recipe
from compress.recipes.shipped import shipped_recipes
from compress.registry.plugins import Registry
from compress.report.diff.compare import compare_runs
from compress.report.diff.side import Side
from compress.report.diff.views import print_diff
from compress.report.tables.table import Table
from compress.report.views.plain import print_table
from compress.report.views.terminal import print_report
from compress.selfcheck import Reading, SelfCheck
from compress.store.store import open_store

WIDTHS = (40, 60, 80, 120, 200)
Printer = Callable[[Console], None]


@pytest.fixture
def printers(
    registry: Registry,
    write_recipe: Callable[..., Path],
    csv_data: Path,
    fake_model: Callable[..., Path],
    tmp_path: Path,
) -> dict[str, Printer]:
    """What each command prints that has a table. ``bench`` prints a report."""
    fake_model()
    recipe = write_recipe(
        "task: text-classification\nmodel: ./model\n"
        "data: {train: train.csv, test: test.csv}\n"
        "stages:\n  - distill: {student: {layers: 1}, epochs: 3, learning_rate: 0.0002}\n"
        "    name: the-student-of-the-given-model\n  - quantize.onnx: {}\n"
    )
    plan = view_plan(
        make_plan(read_recipe(recipe), registry, Families(dict)),
        registry,
        open_store(tmp_path / "store"),
    )
    report = as_report(held_report())
    other = as_report({**held_report(), "seed": 7})
    difference = compare_runs(Side("runs/one", report), Side("runs/two", other), {})
    reading = Reading(1.0012, 0.9987, 1.0034, 40, True)
    check = SelfCheck(0.03, 0.02, {"speedup": reading}, {"speedup_p50": reading}, True)
    recipes = [{"name": path.stem, "file": str(path)} for path, _ in shipped_recipes()]
    plugins = [{"name": n, "distribution": d, "version": v} for n, d, v in registry.plugins]
    return {
        "report": lambda console: print_report(report, console),
        "diff": lambda console: print_diff(difference, console),
        "plan": lambda console: print_plan(plan, console),
        "stages": lambda console: print_rows(list_stages(registry), console),
        "stages NAME": lambda console: print_stage(describe_stage(registry, "distill"), console),
        "tasks": lambda console: print_rows(list_tasks(registry), console),
        "recipes": lambda console: print_rows(recipes, console),
        "plugins": lambda console: print_rows(plugins, console),
        "bench --self-check": lambda console: print_self_check(check, console),
    }


def printed(print_it: Printer, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_it(console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def words(text: str) -> Counter[str]:
    """The words of a text, without lines below headers and colons after them."""
    return Counter(word.rstrip(":") for word in text.split() if set(word) != {"─"})


def test_every_command_shows_every_word_at_every_width(printers: dict[str, Printer]) -> None:
    assert len(printers) == 9
    for name, print_it in printers.items():
        whole = words(printed(print_it, 1000))
        assert len(whole) >= 10, name
        for width in WIDTHS:
            text = printed(print_it, width)
            found, unbroken = words(text), "".join(text.split())
            assert "…" not in text, f"{name} at {width}"
            for word in whole:
                is_there = found[word] >= whole[word] or (
                    len(word) > width - 4 and word in unbroken
                )
                assert is_there, f"{name} at {width} lost {word!r}"


@pytest.mark.parametrize("sentences", [False, True])
def test_no_line_of_a_table_is_wider_than_the_console_and_no_character_is_lost(
    sentences: bool,
) -> None:
    rng = random.Random(5)
    kinds = ("0.847 [0.831, 0.862]", "名前の長い列", "x" * 70, "a sentence of some words", "–", "")
    for _ in range(60):
        columns = rng.randint(2, 9)
        rows = [[rng.choice(kinds) for _ in range(columns)] for _ in range(3)]
        headers = [
            rng.choice(("speed vs teacher@onnxruntime-fused", "size", "步")) for _ in rows[0]
        ]
        table = Table(headers, rows)
        for width in (20, *WIDTHS):
            text = printed(lambda c, t=table: print_table("", t, c, sentences=sentences), width)
            assert max(map(cell_len, text.splitlines())) <= width
            lost = Counter("".join("".join(row) for row in rows).replace(" ", "")) - Counter(text)
            assert not lost, f"{lost} at {width}"


def test_a_table_without_rows_prints_nothing_and_keeps_no_title() -> None:
    assert printed(lambda console: print_table("results", Table(["step"], []), console), 80) == ""


def test_a_narrow_console_gets_a_block_for_each_row() -> None:
    table = Table(["step", "quality vs teacher"], [["small", "-0.020 [-0.030, -0.010] (97.8 %)"]])
    assert printed(lambda console: print_table("changes", table, console), 36).splitlines() == [
        "",
        "changes",
        "step: small",
        "  quality vs teacher: -0.020",
        "    [-0.030, -0.010] (97.8 %)",
    ]
