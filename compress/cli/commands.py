"""The commands: each parses its words and hands over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for a machine to read.")
_overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a value of the recipe: --set data.train=x.csv, --set stages.distill.epochs=3.",
)
_store = click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Where products are kept and shared by runs [default: COMPRESS_STORE, else the user's cache].",
)
_runs = click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder below which the run's own folder is made.",
)
_Folder = click.Path(exists=True, file_okay=False, path_type=Path)


def _emit(value: Any) -> None:
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


@click.command("run")
@click.argument("recipe")
@_overrides
@_store
@_runs
@click.option(
    "--track",
    "trackers",
    multiple=True,
    metavar="TRACKER",
    help="Log the run to a tracker too: tensorboard, mlflow, or a plugin's. May be repeated.",
)
@_as_json
def run_command(
    recipe: str,
    overrides: tuple[str, ...],
    store: Path | None,
    runs: Path,
    trackers: tuple[str, ...],
    as_json: bool,
) -> int:
    """Run a recipe: make every step, measure it, report.

    RECIPE is a file or the name of a shipped recipe. The same command continues what was
    interrupted."""
    from compress.api import load_plan, open_store, run_plan
    from compress.cli.show import Show, output_console
    from compress.errors import EXIT_BUDGET, EXIT_OK
    from compress.registry.plugins import load_plugins
    from compress.results.verdicts import budget_missed
    from compress.running.families import known_families

    registry = load_plugins()
    with Show(registry.problems) as show:
        families = known_families(open_store(store))
        report = run_plan(
            load_plan(recipe, overrides, registry, families),
            registry,
            store=store,
            runs=runs,
            listener=show.event,
            trackers=trackers,
        )
    if as_json:
        _emit(report.model_dump(mode="json"))
    else:
        from compress.report.text import visible
        from compress.report.views.terminal import print_report

        print_report(report, output_console())
        click.echo(visible(f"report: {report.folder}/report.html"), err=True)
    return EXIT_BUDGET if budget_missed(report) else EXIT_OK


@click.command("plan")
@click.argument("recipe")
@_overrides
@_store
@_as_json
def plan_command(
    recipe: str, overrides: tuple[str, ...], store: Path | None, as_json: bool
) -> None:
    """Check a recipe and show its steps. No model is touched and nothing is downloaded.

    Shown are what each step makes, the options that the recipe gives, and whether the store has the
    result already (behind a model of the hub, that is known when a run has fetched it)."""
    from compress.api import load_plan, open_store
    from compress.cli.planview import describe_plan, print_plan
    from compress.cli.show import complain_of, output_console
    from compress.registry.plugins import load_plugins
    from compress.running.families import known_families

    registry, products = load_plugins(), open_store(store)
    complain_of(registry.problems)
    plan = load_plan(recipe, overrides, registry, known_families(products))
    described = describe_plan(plan, registry, products)
    if as_json:
        _emit(described)
    else:
        print_plan(described, output_console())


@click.command("bench")
@click.argument("models", nargs=-1)
@click.option(
    "--data", "recipe", metavar="RECIPE", help="Recipe whose task and test split are measured on."
)
@click.option(
    "--self-check",
    is_flag=True,
    help="Check the instrument: a model against itself, and slowed by 3 %.",
)
@_overrides
@_store
@_runs
@_as_json
def bench_command(
    models: tuple[str, ...],
    recipe: str | None,
    self_check: bool,
    overrides: tuple[str, ...],
    store: Path | None,
    runs: Path,
    as_json: bool,
) -> int:
    """Measure models side by side; the first is the reference. MODELS are folders or hub ids.

    With --self-check, one model folder is measured against itself (a small model is made where none
    is given): the ratio must read 1.00 within 2 %, and a copy that is slowed on purpose must be
    found. The folder is one that compress has made, and is given with --data. Exit code 3 where
    this machine cannot do that."""
    from compress.api import load_plan, open_store
    from compress.cli.show import Show, output_console
    from compress.errors import EXIT_OK, UsageError
    from compress.registry.plugins import load_plugins
    from compress.report.views.terminal import print_report
    from compress.running.bench import bench
    from compress.running.families import known_families

    if self_check:
        return _self_check(models, recipe, overrides, store, runs, as_json)
    if not models or recipe is None:
        raise UsageError(
            "bench needs models and the recipe of the data to measure on: compress bench A B "
            "--data RECIPE"
        )
    registry, products = load_plugins(), open_store(store)
    with Show(registry.problems) as show:
        plan = load_plan(recipe, overrides, registry, known_families(products))
        report = bench(models, plan, registry, products, runs, show.event)
    if as_json:
        _emit(report.model_dump(mode="json"))
    else:
        print_report(report, output_console())
    return EXIT_OK


def _self_check(
    models: tuple[str, ...],
    recipe: str | None,
    overrides: tuple[str, ...],
    store: Path | None,
    runs: Path,
    as_json: bool,
) -> int:
    from compress.api import load_plan, open_store
    from compress.cli.selfcheckview import print_self_check
    from compress.cli.show import Show, output_console
    from compress.errors import EXIT_ENVIRONMENT, EXIT_OK, UsageError
    from compress.registry.plugins import load_plugins
    from compress.running.families import known_families
    from compress.selfcheck import model_to_check, self_check

    if len(models) > 1 or bool(models) != (recipe is not None):
        raise UsageError("--self-check takes one model folder with --data RECIPE, or neither")
    if overrides and recipe is None:
        raise UsageError(
            "--set changes the recipe of --data, and --self-check without one takes its own as it "
            "is"
        )
    registry, products = load_plugins(), open_store(store)
    with Show(registry.problems) as show:
        if recipe is not None:
            plan = load_plan(recipe, overrides, registry, known_families(products))
            folder = Path(models[0])
        else:
            plan, folder = model_to_check(registry, products, runs, show.event)
        found = self_check(folder, plan, registry, products, runs, show.event)
    _emit(found) if as_json else print_self_check(found, output_console())
    return EXIT_OK if found["ok"] else EXIT_ENVIRONMENT


@click.command("report")
@click.argument("run", type=_Folder, required=False)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of report.json instead.")
@_as_json
def report_command(run: Path | None, schema: bool, as_json: bool) -> None:
    """Show a run's report and rebuild its views from report.json.

    The report of a run whose folder cannot be written to is shown all the same."""
    from compress.cli.show import output_console
    from compress.cli.trouble import file_trouble
    from compress.errors import UsageError
    from compress.report.reading import read_report
    from compress.report.schema import schema_text
    from compress.report.text import visible
    from compress.report.views.terminal import print_report
    from compress.report.views.writing import write_views
    from compress.store.runfolder import RunFolder

    if schema:
        click.echo(schema_text(), nl=False)
        return
    if run is None:
        raise UsageError("compress report needs a run's folder: compress report runs/NAME")
    report = read_report(run)
    try:
        write_views(report, RunFolder(run))
    except OSError as error:
        click.echo(
            visible(f"warning: the views could not be rebuilt: {file_trouble(error)}"), err=True
        )
    if as_json:
        _emit(report.model_dump(mode="json"))
    else:
        print_report(report, output_console())


@click.command("diff")
@click.argument("first", type=_Folder)
@click.argument("second", type=_Folder)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Write a page to this file too.",
)
@_as_json
def diff_command(first: Path, second: Path, html: Path | None, as_json: bool) -> None:
    """Compare two runs step by step, with significance.

    FIRST and SECOND are runs' folders; steps are matched by name. Quality is compared example by
    example where both runs measured on the same data. Timings of two runs were not taken in turns:
    a change of theirs counts only where the 95 % intervals do not overlap. compress bench takes
    turns."""
    from compress.cli.show import output_console
    from compress.registry.plugins import load_plugins
    from compress.report.diff.compare import compare_folders
    from compress.report.diff.views import diff_page, print_diff
    from compress.store.files import write_text

    meters = {name: entry.cls() for name, entry in load_plugins().meters.items()}
    difference = compare_folders(first, second, meters)
    if html:
        write_text(html, diff_page(difference))
    if as_json:
        _emit(difference.model_dump(mode="json"))
    else:
        print_diff(difference, output_console())


_ASKED = ("text", "text_pair")
"""What of an answer is the question again."""


@click.command("predict")
@click.argument("folder", type=_Folder)
@click.argument("texts", nargs=-1, required=True)
@click.option("--pair", is_flag=True, help="The texts are pairs, two by two: one answer for each.")
@_as_json
def predict_command(folder: Path, texts: tuple[str, ...], pair: bool, as_json: bool) -> None:
    """Answer texts with a model folder, whatever its format.

    A folder from outside is answered with as it is; it needs a tokenizer.json. A model for pairs of
    texts does not say so: give it pairs, by --pair or with a tab between the two."""
    import os

    from compress.errors import UsageError
    from compress.workers.supervisor import worker_environment

    if pair and len(texts) % 2:
        raise UsageError(f"--pair takes texts two by two, got {len(texts)}")

    os.environ.update(worker_environment())
    from compress.api import load
    from compress.report.text import visible

    asked: Sequence[str | tuple[str, str]] = (
        list(zip(texts[::2], texts[1::2], strict=True)) if pair else texts
    )
    answers = load(folder)(asked)
    if as_json:
        _emit(answers)
        return
    for one, answer in zip(asked, answers, strict=True):
        given = one.split("\t") if isinstance(one, str) else one
        click.echo(
            visible(
                "\t".join([*given, *(f"{k}={v}" for k, v in answer.items() if k not in _ASKED)])
            )
        )


@click.command("verify")
@click.argument("folder", type=_Folder)
@_as_json
def verify_command(folder: Path, as_json: bool) -> None:
    """Check every file of a model folder against its manifest."""
    from dataclasses import asdict

    from compress.artifact import Artifact
    from compress.report.text import visible

    artifact = Artifact.open(folder)
    if as_json:
        _emit({"folder": str(folder), "digest": artifact.digest, "traits": asdict(artifact.traits)})
    else:
        files = len(artifact.manifest.files)
        click.echo(
            visible(f"{folder}: {files} files are as they were saved ({artifact.digest[:12]})")
        )


@click.command("stages")
@click.argument("name", required=False)
@_as_json
def stages_command(name: str | None, as_json: bool) -> None:
    """List the stages, or show one with its options."""
    from compress.cli.catalogue import describe_stage, list_stages, print_stage
    from compress.cli.show import complain_of, output_console
    from compress.registry.plugins import load_plugins

    registry = load_plugins()
    complain_of(registry.problems)
    if name is None:
        rows = list_stages(registry)
        _emit(rows) if as_json else _print(rows)
        return
    described = describe_stage(registry, name)
    _emit(described) if as_json else print_stage(described, output_console())


@click.command("tasks")
@_as_json
def tasks_command(as_json: bool) -> None:
    """List the tasks with their synonyms, columns and headline metric."""
    from compress.cli.catalogue import list_tasks
    from compress.registry.plugins import load_plugins

    rows = list_tasks(load_plugins())
    _emit(rows) if as_json else _print(rows)


@click.command("recipes")
@_as_json
def recipes_command(as_json: bool) -> None:
    """List the shipped recipes. Each may be run by its name or copied."""
    from compress.recipes.shipped import shipped_recipes

    rows = [
        {"name": path.stem, "summary": summary, "file": str(path)}
        for path, summary in shipped_recipes()
    ]
    _emit(rows) if as_json else _print(rows)


@click.command("plugins")
@_as_json
def plugins_command(as_json: bool) -> None:
    """List the installed plugins. What could not be loaded is told too."""
    from compress.cli.show import complain_of
    from compress.registry.plugins import load_plugins

    registry = load_plugins()
    rows = [{"name": n, "distribution": d, "version": v} for n, d, v in registry.plugins]
    if as_json:
        _emit({"plugins": rows, "problems": registry.problems})
        return
    _print(rows)
    complain_of(registry.problems)


@click.command("doctor")
@_as_json
def doctor_command(as_json: bool) -> None:
    """Show what this machine has.

    Versions, processor features, GPU, engines, and what is below the safe floors."""
    from dataclasses import asdict

    from compress.cli.doctor import examine, print_examination

    found = examine()
    if as_json:
        _emit(asdict(found))
    else:
        print_examination(found)


def _print(rows: list[dict[str, Any]]) -> None:
    from compress.cli.catalogue import print_rows
    from compress.cli.show import output_console

    print_rows(rows, output_console())
