"""Fills docs/results.md, and the table and the recipe of README.md, from benchmarks/results/*.json:
``python benchmarks/pages.py`` writes them, ``--check`` names the pages that are stale.

``quickstart.json``, ``ner.json`` and the files that are named as a recipe are copies of a run's
``report.json``. Each other file is written by the script of the same name (``ner-seeds.json``:
seeds.py). Where a file is missing, the
section says how to make it and shows no number.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compress.measurement import value_text
from compress.report.tables.changes import changes_table
from compress.report.tables.results import results_table
from compress.report.tables.table import Table
from compress.results.report import Report

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
View = Callable[[Mapping[str, Any]], str]
"""Makes Markdown of a result's values."""
_LIBRARIES = ("torch", "transformers", "onnxruntime", "bitsandbytes")
_COPY = (
    "Not measured yet: `{command}`, then copy the run's `report.json` to "
    "`benchmarks/results/{name}.json` and call "
    "`make docs`."
)
_READ = "Not measured yet: `python benchmarks/{script}.py RUN RUN`, then `make docs`."
_MISSING = {
    "quickstart": _COPY.format(command="make quickstart", name="quickstart"),
    "ner": _COPY.format(command="compress run ner-conll2003", name="ner"),
    "ner-students": _COPY.format(command="compress run ner-students", name="ner-students"),
    "translate-multi30k": _COPY.format(
        command="compress run translate-multi30k", name="translate-multi30k"
    ),
    "language-model": _COPY.format(command="compress run language-model", name="language-model"),
    "answer-squad": _COPY.format(command="compress run answer-squad", name="answer-squad"),
    "ner-seeds": _READ.format(script="seeds"),
    "qat": "Not measured yet: `python benchmarks/qat.py RUN`, then `make docs`.",
    "cost": _READ.format(script="cost"),
    "fixedcost": "Not measured yet: `python benchmarks/fixedcost.py`, then `make docs`.",
    "dataatscale": "Not measured yet: `python benchmarks/dataatscale.py`, then `make docs`.",
    "selfcheck": "Not measured yet: `python benchmarks/selfcheck.py`, then `make docs`.",
    "agreement": "Not measured yet: `python benchmarks/agreement.py --help` says how to make "
    "`benchmarks/results/agreement.json`; then call `make docs`.",
    "training": "Not measured yet: `python benchmarks/training.py --help` says how to make "
    "`benchmarks/results/training.json`; then call `make docs`.",
    "twoprocesses": "Not measured yet: `python benchmarks/twoprocesses.py`, then `make docs`.",
    "decoding": "Not measured yet: `python benchmarks/decoding.py`, then `make docs`.",
    "distilling": "Not measured yet: `python benchmarks/distilling.py`, then `make docs`.",
    "distilling-methods": "Not measured yet: `python benchmarks/distilling_methods.py --help` says "
    "how to make `benchmarks/results/distilling-methods.json`; then call `make docs`.",
    "latency_targets": _READ.replace(" RUN RUN", " RUN").format(script="latency_targets"),
    "peers": "Not measured yet: `python benchmarks/peers.py --help` says how to make "
    "`benchmarks/results/peers.json`; then call `make docs`.",
    "end_to_end": "Not measured yet: `python benchmarks/end_to_end.py --help` says how to make "
    "`benchmarks/results/end_to_end.json`; then call `make docs`.",
    "gpu": "Not measured yet: `python benchmarks/gpu.py` on a machine with an NVIDIA GPU, then "
    "`make docs`.",
}
_NO_MATRIX = "Not asked yet: `python benchmarks/families.py`, then `make docs`."


def main(check: bool) -> None:
    """Write or check the pages."""
    from markers import settle

    results = {f"results:{name}": part(name) for name in _MISSING}
    first = {"recipe:quickstart": recipe("quickstart"), "summary:ner": part("ner", view=summary)}
    docs = ROOT / "docs"
    pages = {
        docs / "results.md": results,
        docs / "families.md": {"results:families": matrix()},
        ROOT / "README.md": first,
    }
    settle({page: _filled(page, parts) for page, parts in pages.items()}, check=check)


def _filled(page: Path, parts: Mapping[str, str]) -> str:
    from markers import filled

    return filled(page.read_text(encoding="utf-8"), parts, str(page.relative_to(ROOT)))


def part(name: str, folder: Path = RESULTS, view: View | None = None) -> str:
    """The Markdown that ``view`` makes of one result, or how to make the result."""
    file = folder / f"{name}.json"
    if not file.is_file():
        return _MISSING[name]
    values = json.loads(file.read_text(encoding="utf-8"))
    views: dict[str, View] = {
        "training": training,
        "selfcheck": self_check,
        "agreement": agreement,
        "ner-seeds": over_seeds,
        "qat": trained_to_be_int8,
        "cost": cost,
        "twoprocesses": twoprocesses,
        "decoding": decoding,
        "distilling": distilling,
        "distilling-methods": distilling_methods,
        "latency_targets": latency_targets,
        "peers": peers,
        "end_to_end": end_to_end,
        "gpu": gpu,
        "fixedcost": fixed_cost,
        "dataatscale": data_at_scale,
    }
    return (view or views.get(name, run))(values)


def recipe(name: str) -> str:
    """A shipped recipe without its comments."""
    lines = (ROOT / "recipes" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return "\n".join(
        ["```yaml", *(line for line in lines if not line.lstrip().startswith("#")), "```"]
    )


def summary(values: Mapping[str, Any]) -> str:
    """A run's short table: score, size, latency and speed of the reference, of its fastest float
    engine, and of each step. Raises SystemExit for a run that is not finished."""
    report = _finished(values)
    reference, fastest = report.reference or "", report.fastest_float_engine
    engines = {step.name for step in report.steps if step.role == "reference-engine"}
    results, changes = _by_step(results_table(report)), _by_step(changes_table(report))
    score = list(results[reference])[1]  # the step's name stands before it
    speeds = [f"speed vs {name}" for name in dict.fromkeys((reference, fastest)) if name]
    rows = []
    for name, cells in results.items():
        if name not in engines - {fastest}:
            values_of_step = [cells[header] for header in ("step", score, "size", "latency")]
            compared = changes.get(name, {})
            rows.append(values_of_step + [compared.get(header, "–") for header in speeds])
    table = _table(["step", score, "size", "latency", *speeds], rows)
    return f"{table}\n\n{_measured_on(values['environment'])}"


def _by_step(table: Table) -> dict[str, dict[str, str]]:
    """Each row's cells by header, by the name of its step."""
    return {row[0]: dict(zip(table.headers, row, strict=True)) for row in table.rows}


def run(values: Mapping[str, Any]) -> str:
    """A run's tables, with what it was measured on. Raises SystemExit for a run that is not
    finished."""
    report = _finished(values)
    tables = [results_table(report), changes_table(report)]
    making, measuring = report.seconds.making / 60, report.seconds.measuring / 60
    facts = [
        _measured_on(values["environment"]),
        f"Making all steps took {making:.1f} minutes, measuring them {measuring:.1f} "
        f"({report.effort} effort).",
        f"The reference is `{report.reference}` in eager PyTorch float32.",
    ]
    if report.overrides:
        keys = [override.partition("=")[0] for override in report.overrides]
        facts.append(f"Overridden: {', '.join(keys)}.")
    parts = [_table(table.headers, table.rows) for table in tables if table.rows]
    return "\n\n".join([*parts, " ".join(facts)])


def _finished(values: Mapping[str, Any]) -> Report:
    """The report of a finished run, with the steps of the recipe's own task alone."""
    report = Report.model_validate_json(json.dumps(values))
    if report.state != "finished":
        raise SystemExit(
            f"the run of {report.name} is {report.state}; results are of finished runs"
        )
    return report.model_copy(update={"steps": tuple(report.steps_of_task())})


def over_seeds(values: Mapping[str, Any]) -> str:
    """The reference's test F1 of each seed, and their mean."""
    seeds = [str(row["seed"]) for row in values["rows"]]
    scores = [row["f1"] for row in values["rows"]]
    return (
        f"The {values['step']}'s test F1 over seeds {_listed(seeds)} is "
        f"{_listed([f'{s:.4f}' for s in scores])} "
        f"(mean {sum(scores) / len(scores):.4f}). {_measured_on(values['environment'])}"
    )


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def trained_to_be_int8(values: Mapping[str, Any]) -> str:
    """The quality of a model and of its int8 forms, and what training regains."""
    rows = [
        [
            row["step"],
            f"{row['quality']:.4f}",
            "–" if row["regained"] is None else f"{100 * row['regained']:.0f} %",
        ]
        for row in values["rows"]
    ]
    headers = ["step", values["title"], f"of its loss, {values['trained']} regains"]
    return f"{_table(headers, rows)}\n\n{_measured_on(values['environment'])}"


def cost(values: Mapping[str, Any]) -> str:
    """What runs spent on making and on measuring."""
    rows = [
        [
            row["name"],
            row["effort"],
            f"{row['making'] / 60:.1f} min",
            f"{row['measuring'] / 60:.1f} min",
            f"{100 * row['share']:.0f} %",
        ]
        for row in values["rows"]
    ]
    table = _table(["recipe", "effort", "making", "measuring", "share of measuring"], rows)
    return f"{table}\n\n{_measured_on(values['environment'])}"


def fixed_cost(values: Mapping[str, Any]) -> str:
    """Seconds of short commands, with the settings and the machine."""
    rows = [
        [row["name"], *(f"{row[what]:.2f} s" for what in ("import", "plan", "stages", "chain"))]
        + [f"{row['imports']:.1f}"]
        for row in values["rows"]
    ]
    headers = ["version", "one import", "plan", "stages", "chain of three steps"]
    table = _table([*headers, "chain, in imports"], rows)
    return f"{table}\n\n{_measured_on(values['environment'])}"


def data_at_scale(values: Mapping[str, Any]) -> str:
    """Seconds and memory by the number of rows, with the settings and the machine."""
    import dataatscale_page as page

    table = _table(page.HEADERS, page.rows(values))
    return "\n\n".join([table, page.settings(values), _measured_on(values["environment"])])


def training(values: Mapping[str, Any]) -> str:
    """Rows and ratios of the training benchmark, with settings and machine."""
    rows = [
        [row["name"], _spread(row["sentences_per_second"], row), _scores(row["f1"])]
        for row in values["rows"]
    ]
    ratios = [
        f"- {r['name']}: {r['value']:.2f}x [{r['low']:.2f}, {r['high']:.2f}]"
        for r in values["ratios"]
    ]
    settings = ", ".join(
        f"{key.replace('_', ' ')} {value}" for key, value in values["settings"].items()
    )
    scored = set()
    for row in values["rows"]:
        scored |= {f"{row['name']} on {score['processor']}" for score in row["f1"]}
    parts = [
        _table(["training", "sentences/s", "validation F1"], rows),
        "\n".join(ratios),
        f"{_measured_on(values['environment'])} Settings: {settings}."
        + (f" F1 of whole trainings: {', '.join(sorted(scored))}." if scored else ""),
    ]
    return "\n\n".join(text for text in parts if text)


def _scores(scores: Sequence[Mapping[str, Any]]) -> str:
    """For each number of epochs: the mean score of the whole trainings, and each score."""
    by_epochs = []
    for epochs in sorted({s["epochs"] for s in scores}):
        same = [s["f1"] for s in scores if s["epochs"] == epochs]
        each = ", ".join(f"{value:.4f}" for value in same)
        mean = f"{sum(same) / len(same):.4f} after {epochs} epochs"
        by_epochs.append(f"{mean} ({each})" if len(same) > 1 else mean)
    return "; ".join(by_epochs) or "–"


def self_check(values: Mapping[str, Any]) -> str:
    """The readings of the instrument's own check, over all repeats, by engine."""
    headers = [
        "engine",
        "repeats",
        "largest error of the same model",
        "largest half-width",
        "intervals that cover 1.00",
        "slowed by 3 %: found",
        "slowed reads (median)",
    ]
    rows = [
        [
            engine,
            str(v["repeats"]),
            f"{100 * v['largest_error']:.2f} %",
            f"{100 * v['largest_half_width']:.2f} %",
            f"{v['covering_one']} of {v['repeats']}",
            f"{v['slowed_found']} of {v['repeats']}",
            f"{v['slowed_median']:.3f}",
        ]
        for engine, v in values["verdicts"].items()
    ]
    return "\n\n".join(
        [
            _table(headers, rows),
            f"{_measured_on(values['environment'])} "
            f"{values['settings']['rounds']} rounds in each repeat, fixed before.",
        ]
    )


def agreement(values: Mapping[str, Any]) -> str:
    """A table of each number and that of an independent tool."""
    rows = [
        [
            row["artifact"],
            row["quantity"],
            _number(row["compress"], row["unit"]),
            _number(row["other"], row["unit"]),
            row["tool"],
            _difference(row),
        ]
        for row in values["rows"]
    ]
    headers = ["artifact", "quantity", "compress", "independent", "tool", "difference"]
    return "\n\n".join([_table(headers, rows), _measured_on(values["environment"])])


def gpu(values: Mapping[str, Any]) -> str:
    """What the parts of the GPU benchmark showed."""
    import gpu_page

    parts = {part["name"]: part for part in values["parts"]}
    failed = gpu_page.failures(values["parts"])
    return "\n\n".join(
        [
            _table(gpu_page.STEP_HEADERS, gpu_page.step_rows(parts["run"])),
            _table(gpu_page.FORWARD_HEADERS, gpu_page.forward_rows(parts["forward"])),
            gpu_page.tests_text(parts["tests"]),
            *(["\n".join(["These parts failed:", "", *failed])] if failed else []),
            f"{_measured_on(values['environment'])} GPU: {_listed(values['environment']['gpus'])}.",
        ]
    )


def twoprocesses(values: Mapping[str, Any]) -> str:
    """What two processes of one training were found to do."""
    import twoprocesses_page as page

    return "\n\n".join(
        [
            _table(page.HEADERS, page.rows(values)),
            _table(page.LOSS_HEADERS, page.loss_rows(values)),
            page.load_text(values),
            _measured_on(values["environment"]),
        ]
    )


def decoding(values: Mapping[str, Any]) -> str:
    """How fast a model writes in each engine."""
    import decoding_page as page

    table = _table(page.HEADERS, page.rows(values))
    return "\n\n".join([table, page.settings(values), _measured_on(values["environment"])])


def distilling(values: Mapping[str, Any]) -> str:
    """What a step of distillation costs."""
    import distilling_page as page

    table = _table(page.HEADERS, page.rows(values))
    return "\n\n".join([table, page.settings(values), _measured_on(values["environment"])])


def distilling_methods(values: Mapping[str, Any]) -> str:
    """Whole trainings of students, beside the loop of a user."""
    import distilling_methods_page as page

    table = _table(page.HEADERS, page.rows(values))
    return "\n\n".join([table, page.settings(values), _measured_on(values["environment"])])


def latency_targets(values: Mapping[str, Any]) -> str:
    """How near predicted latencies of cut models are to the measured ones."""
    import latency_targets_page as page

    return f"{_table(page.HEADERS, page.rows(values))}\n\n{_measured_on(values['environment'])}"


def peers(values: Mapping[str, Any]) -> str:
    """int8 models of compress beside those of other tools."""
    import peers_page as page

    return "\n\n".join(
        [
            _table(page.headers(values), page.rows(values)),
            page.beside(values),
            f"{page.settings(values)} {_measured_on(values['environment'])}",
        ]
    )


def end_to_end(values: Mapping[str, Any]) -> str:
    """Texts in, entities out."""
    import end_to_end_page as page

    table = _table(page.HEADERS, page.rows(values))
    return "\n\n".join([table, f"{page.settings(values)} {_measured_on(values['environment'])}"])


def matrix(folder: Path = RESULTS) -> str:
    """The table of docs/families.md with its notes, or how to make it."""
    import families_page

    file = folder / "families.json"
    if not file.is_file():
        return _NO_MATRIX
    values = json.loads(file.read_text(encoding="utf-8"))
    return "\n\n".join(
        [
            families_page.summary(values),
            _table(families_page.HEADERS, families_page.rows(values)),
            "\n".join(families_page.notes(values)),
            _measured_on(values["environment"]),
        ]
    )


def _difference(row: Mapping[str, Any]) -> str:
    """How far compress is from the other tool, in percent, with the interval if there is one."""
    if "ratio" not in row:
        return f"{100 * row['difference']:+.2f} %"
    value, low, high = (100 * (row["ratio"][key] - 1) for key in ("value", "low", "high"))
    return f"{value:+.2f} % [{low:+.2f}, {high:+.2f}]"


def _number(value: float, unit: str) -> str:
    return f"{value:.4f}" if unit in ("", "ms") else f"{value:.0f}"


def _spread(value: float, row: Mapping[str, Any]) -> str:
    return f"{value:.1f} [{row['low']:.1f}, {row['high']:.1f}]"


def _measured_on(environment: Mapping[str, Any]) -> str:
    versions = ", ".join(
        f"{n} {environment['versions'][n]}" for n in _LIBRARIES if n in environment["versions"]
    )
    memory = value_text(environment["memory_bytes"], "bytes")
    machine = f"{environment['processor']}, {environment['threads']} threads, {memory} of memory"
    return f"Measured on {machine}; {versions}."


def _table(headers: list[str], rows: list[list[str]]) -> str:
    from markers import table

    return table(headers, rows)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "docs"))  # the helpers that both generators use
    main("--check" in sys.argv[1:])
