"""What a summary of data should make its reader look at, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compress.errors import shortened
from compress.store.summary import DataSummary, SplitSummary

_LISTED = 5
"""Labels that a sentence lists."""
_CUT = 0.05
"""A share of cut examples above which it is said."""
_COLUMN_WORDS = frozenset(
    {"label", "labels", "category", "class", "intent", "sentiment", "tag", "target", "text"}
)
"""Names that the columns of labels have in many data sets."""


def data_warnings(summary: DataSummary) -> list[str]:
    """A sentence for each thing that is likely a mistake in the data or in how they are read."""
    header = _header_label(summary)
    warnings = [
        *_header(header),
        *_rare_labels(summary, header),
        *_labels_not_in_train(summary),
        *_labels_without_rows(summary),
    ]
    for split, one in summary.splits.items():
        warnings += _repetitions(split, one)
        warnings += _cut(split, one)
    return warnings


def _header_label(summary: DataSummary) -> str | None:
    """The label that seems to be the header of a file; None where there is none."""
    label = _lone_label(summary)
    if label is None:
        return None
    others = [name for name in summary.labels if name != label]
    is_alone_in_kind = all(map(_is_number, others)) and not _is_number(label)
    return label if label.lower() in _COLUMN_WORDS or is_alone_in_kind else None


def _header(label: str | None) -> Iterator[str]:
    if label is not None:
        yield (
            f"the label {shortened(label)!r} is only in the first row: its file's header seems "
            "to be read as a row; leave `header: false` out, or remove the line"
        )


def _lone_label(summary: DataSummary) -> str | None:
    """The label of the first training row where no other row of any split has it, but for first
    rows."""
    train = summary.splits.get("train")
    label = train.lone_first if train else None
    if label is None:
        return None
    for one in summary.splits.values():
        if one.labels.get(label) and one.lone_first != label:
            return None
    return label


def _is_number(name: str) -> bool:
    return name.removeprefix("-").isdecimal()


def _rare_labels(summary: DataSummary, header: str | None) -> Iterator[str]:
    train = summary.splits.get("train")
    counts = train.labels if train else {}
    once = [name for name, count in counts.items() if count == 1 and name != header]
    if once:
        yield (
            f"{_named(once)} {_is(once)} seen once in the training rows: a model hardly learns "
            "from one example"
        )


def _labels_not_in_train(summary: DataSummary) -> Iterator[str]:
    train = summary.splits.get("train")
    if train is None:
        return
    for split, one in summary.splits.items():
        new = [name for name in one.labels if name not in train.labels]
        if new:
            yield (
                f"{_named(new)} {_is(new)} in the {split} rows and in no training row: a model "
                "cannot learn what it never sees"
            )


def _labels_without_rows(summary: DataSummary) -> Iterator[str]:
    """Labels that the recipe or the source states, and no row has. Tags that complete a scheme are
    no mistake."""
    used = {name for one in summary.splits.values() for name in one.labels}
    if not used:  # the task counts none
        return
    absent = [name for name in summary.labels if name not in used]
    is_scheme = any(name.startswith(("B-", "I-")) for name in summary.labels)
    if absent and not is_scheme:
        yield f"no row has {_named(absent)}: is the name as in the data?"


def _repetitions(split: str, one: SplitSummary) -> Iterator[str]:
    if one.repeated:
        yield (
            f"{_rows(one.repeated)} of {one.rows} in the {split} split "
            f"{'repeats' if one.repeated == 1 else 'repeat'} the text of an earlier one"
        )
    if one.in_train and split != "train":
        share = 100 * one.in_train / one.rows
        yield (
            f"{_rows(one.in_train)} of {one.rows} in the {split} split ({share:.1f} %) "
            f"{'has' if one.in_train == 1 else 'have'} the text of a training row: a score on "
            "known texts says little about new ones"
        )


def _cut(split: str, one: SplitSummary) -> Iterator[str]:
    tokens = one.tokens
    if tokens is not None and tokens.cut > _CUT:
        yield (
            f"{100 * tokens.cut:.0f} % of the {split} examples are longer than {tokens.max_length} "
            f"tokens and are cut; the longest has {tokens.lengths.longest} (max_length of the task)"
        )


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _named(names: Sequence[str]) -> str:
    """``the label 'a'``, or ``the labels 'a', 'b' and 3 more``."""
    listed = ", ".join(repr(shortened(name)) for name in names[:_LISTED])
    more = len(names) - _LISTED
    rest = f" and {more} more" if more > 0 else ""
    return f"the label {listed}" if len(names) == 1 else f"the labels {listed}{rest}"


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
