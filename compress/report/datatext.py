"""The summary of data in words: a line for each split."""

from __future__ import annotations

from compress.errors import shortened
from compress.store.summary import DataSummary, SplitSummary

_LISTED = 6
"""Labels that a line lists."""


def split_lines(summary: DataSummary) -> list[str]:
    """``train: 40 rows; bad: 20, good: 20; 5 words (median), at most 9``, one for each split."""
    return [f"{split}: {_line(one)}" for split, one in summary.splits.items()]


def _line(one: SplitSummary) -> str:
    parts = [_rows(one), *_labels(one), _lengths(one)]
    return "; ".join(parts)


def _rows(one: SplitSummary) -> str:
    """``40 rows``, or ``40 of 200 rows`` where the recipe limits them."""
    text = "1 row" if one.rows == 1 else f"{one.rows:,} rows"
    if one.rows != one.rows_in_source:
        text = f"{one.rows:,} of {one.rows_in_source:,} rows, drawn by the seed"
    return text if one.examples == one.rows else f"{text}, joined to {one.examples:,} examples"


def _labels(one: SplitSummary) -> list[str]:
    """The labels with their counts, the most frequent first; the rarest stand for many."""
    ordered = sorted(one.labels.items(), key=lambda item: -item[1])
    if not ordered:
        return []
    if len(ordered) <= _LISTED:
        return [", ".join(f"{shortened(name)}: {count:,}" for name, count in ordered)]
    (most, high), (least, low) = ordered[0], ordered[-1]
    return [
        f"{len(ordered)} labels, from {low:,} ({shortened(least)}) to {high:,} ({shortened(most)})"
    ]


def _lengths(one: SplitSummary) -> str:
    """The lengths in tokens with the share that is cut, else in words; of which rows, where it is
    not all."""
    lengths, unit, of = one.counted
    text = f"{lengths.median} {unit} (median), at most {lengths.longest}"
    if one.tokens is not None:
        text += f", {100 * one.tokens.cut:.1f} % cut at {one.tokens.max_length}"
    return f"{text}, in {of}" if of else text
