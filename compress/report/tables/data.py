"""The summary of a run's data as tables: splits, and labels."""

from __future__ import annotations

from compress.report.tables.table import Table
from compress.report.text import NOTHING
from compress.results.report import Report
from compress.store.summary import DataSummary, SplitSummary

_MOST = 20
"""Labels that a table lists; of more, the most frequent half of these and the rarest half."""


def data_tables(report: Report) -> list[tuple[str, Table]]:
    """(heading, table) of the splits and of the labels of each of the run's data."""
    tables = []
    for name, summary in report.data_summaries.items():
        tables.append((name, _splits(summary)))
        if any(one.labels for one in summary.splits.values()):
            tables.append((f"labels of the {name}", _labels(summary)))
    return tables


def _splits(summary: DataSummary) -> Table:
    headers = ["split", "rows", "length (median)", "95 %", "longest", "cut", "repeated", "in train"]
    return Table(headers, [_split(name, one) for name, one in summary.splits.items()])


def _split(name: str, one: SplitSummary) -> list[str]:
    (lengths, unit, of), cut = one.counted, NOTHING
    if one.tokens is not None:
        cut = f"{100 * one.tokens.cut:.1f} % at {one.tokens.max_length}"
    rows = f"{one.rows:,}"
    if one.rows != one.rows_in_source:
        rows += f" of {one.rows_in_source:,}"
    in_train = NOTHING if name == "train" else f"{one.in_train:,}"
    counted = f", in {of}" if of else ""
    if one.examples != one.rows:
        rows += f", joined to {one.examples:,} examples"
    shown = [f"{lengths.median} {unit}{counted}", str(lengths.high), str(lengths.longest), cut]
    return [name, rows, *shown, f"{one.repeated:,}", in_train]


def _labels(summary: DataSummary) -> Table:
    """The labels with their counts by split, the most frequent first."""
    splits = summary.splits
    totals = {
        name: sum(one.labels.get(name, 0) for one in splits.values()) for name in summary.labels
    }
    ordered = sorted(totals, key=lambda name: -totals[name])
    rows = []
    for name in ordered:
        rows.append([name, *(f"{one.labels.get(name, 0):,}" for one in splits.values())])
    if len(rows) > _MOST:
        left_out = f"({len(rows) - _MOST} labels between)"
        rows[_MOST // 2 : -_MOST // 2] = [[left_out, *("" for _ in splits)]]
    return Table(["label", *splits], rows)
