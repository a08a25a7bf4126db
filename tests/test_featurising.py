"""Features that are made when they are read equal those that are made at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from compress import featurising
from compress.errors import CompressError
from compress.featurising import FeatureRows, groups_of, lengths_of, take
from compress.rows import CHUNK

COUNT = CHUNK + 50
ROWS = [{"n": i} for i in range(COUNT)]


def task(parts: Sequence[int] = ()) -> Any:
    """A task whose row n has ``parts[n % len(parts)]`` parts, or one without ``row``."""

    def features(rows: Sequence[Mapping[str, Any]], processor: Any) -> list[dict[str, Any]]:
        made = []
        for index, row in enumerate(rows):
            for part in range(parts[row["n"] % len(parts)] if parts else 1):
                one = {"input_ids": [300 + row["n"]] * (1 + row["n"] % 5 + part)}
                made.append({**one, "row": index} if parts else one)
        return made

    return SimpleNamespace(
        name="t",
        features=features,
        length=lambda one: len(one["input_ids"]),
        group=lambda one: one["input_ids"][0] % 3,
    )


@pytest.mark.parametrize("parts", [(), (1, 3, 2)])
@pytest.mark.parametrize("kept", [0, 60_000, 1 << 30])
def test_features_are_the_same_whether_kept_or_made_again(
    parts: Sequence[int], kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(featurising, "_KEPT_BYTES", kept)
    one, told = task(parts), list[tuple[int, int]]()
    whole = one.features(ROWS, None)
    found = FeatureRows(one, ROWS, None, lambda *numbers: told.append(numbers))
    assert told == [(CHUNK, COUNT), (COUNT, COUNT)]
    assert len(found) == len(whole) and list(found) == whole
    assert lengths_of(one, found) == lengths_of(one, whole)
    places = [5, 0, len(whole) - 1, 6, len(whole) // 2]
    assert groups_of(one, found, places) == groups_of(one, whole, places)
    assert take(found, places) == take(whole, places) == [found[i] for i in places]
    if parts:
        assert all(whole[place]["row"] == i for i, own in enumerate(found.parts) for place in own)
        assert [len(own) for own in found.parts[:3]] == [1, 3, 2]


def test_no_rows_have_no_features() -> None:
    found = FeatureRows(task(), [], None)
    assert len(found) == 0 and list(found) == [] and found.parts == []


@pytest.mark.parametrize("made", [[], [{"row": 1}, {"row": 0}], [{"row": 0}, {"row": 2}], [{}]])
def test_features_that_do_not_follow_the_rows_are_told_with_the_task(
    made: list[dict[str, Any]],
) -> None:
    wrong = SimpleNamespace(name="wrong", features=lambda rows, processor: [*made])
    with pytest.raises(CompressError, match=r"task wrong: features of 2 rows are \d dicts"):
        FeatureRows(wrong, ROWS[:2], None)  # type: ignore[arg-type]
