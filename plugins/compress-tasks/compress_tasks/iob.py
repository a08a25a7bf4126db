"""Entity tags: ``O``, ``B-TYPE`` and ``I-TYPE``, in the schemes IOB1 and IOB2.

IOB2 opens each entity with ``B-``. IOB1 does so only where an entity follows another of its
type without a word between (Tjong Kim Sang and Veenstra 1999, "Representing Text Chunks",
section 2). ``to_iob2`` leaves IOB2 as it is and is exact for IOB1. ``check_scheme`` finds
data that are neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from compress.task import RowError
from compress_tasks.bundled.words import OUTSIDE


def is_tag(name: str) -> bool:
    """Whether a name is ``O``, ``B-TYPE`` or ``I-TYPE``."""
    return name == OUTSIDE or (name[:2] in ("B-", "I-") and len(name) > 2)


def entity_type(tag: str) -> str | None:
    """The type of a tag (``PER`` of ``B-PER``); None for ``O``. Raises RowError for any
    other text."""
    if tag == OUTSIDE:
        return None
    if not is_tag(tag):
        raise RowError(f"tag {tag!r} is not O, B-TYPE or I-TYPE")
    return tag[2:]


def openings(tags: Sequence[str]) -> list[str]:
    """The tags that open an entity at the start, after ``O`` or after another type. Left
    out is a ``B-`` after its own type, which both schemes write."""
    return [tag for before, tag in _pairs(tags) if _opens(before, tag)]


def check_scheme(sentences: Mapping[str, Iterable[Sequence[str]]]) -> None:
    """Raise RowError where the sentences of all splits together are neither IOB1 nor IOB2:
    an ``I-`` opens one entity, and a ``B-`` another."""
    first: dict[str, str] = {}
    for split, rows in sentences.items():
        for i, tags in enumerate(rows):
            for tag in openings(tags):
                first.setdefault(tag[0], f"{tag!r} opens an entity in row {i} of {split}")
    if len(first) == 2:
        raise RowError(
            f"the tags are neither IOB1 nor IOB2: {first['I']}, {first['B']}; "
            "write the first tag of every entity as B-TYPE"
        )


def to_iob2(tags: Sequence[str]) -> list[str]:
    """The tags with ``B-`` at the start of each entity; IOB2 comes back unchanged."""
    return ["B-" + tag[2:] if _opens(before, tag) else tag for before, tag in _pairs(tags)]


def _pairs(tags: Sequence[str]) -> Iterable[tuple[str, str]]:
    """(the tag before, the tag) of each word; ``O`` before the first."""
    return zip([OUTSIDE, *tags], tags, strict=False)


def _opens(before: str, tag: str) -> bool:
    return tag != OUTSIDE and entity_type(before) != entity_type(tag)


def tag_names(types: Iterable[str]) -> list[str]:
    """``O``, then ``B-`` and ``I-`` of each type, the types in alphabetical order."""
    names = [OUTSIDE]
    for kind in sorted(set(types)):
        names += [f"B-{kind}", f"I-{kind}"]
    return names
