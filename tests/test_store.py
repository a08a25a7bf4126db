"""The store: a product is whole or absent, never changed unnoticed, and made once though two
processes want it."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compress.errors import IntegrityError
from compress.store.files import file_name, write_text
from compress.store.locks import held
from compress.store.store import Ingredients, Product, Store, key_of
from compress.store.trouble import file_trouble

THING, OTHER = Ingredients("thing", {"a": 1}), Ingredients("thing", {"a": 2})

# Makes THING slowly; says "making" when it holds the claim, and at the end whether it was there
# already.
MAKER = """
import sys, time
from pathlib import Path
from compress.store.store import Ingredients, Store
def fill(content, work):
    (work / "begun").write_text("yes")
    print("making", flush=True)
    while not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    (content / "weights").write_text("made")
    return 1.0
thing = Ingredients("thing", {"a": 1})
wait = lambda who: print("waiting for", who, flush=True)
product, cached = Store(Path(sys.argv[1])).make(thing, fill, wait)
print("reused" if cached else "made", flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def fill(content: Path, work: Path) -> float:
    (content / "sub").mkdir()
    (content / "weights").write_bytes(b"12345")
    (content / "sub" / "config.json").write_text("{}", encoding="utf-8")
    return 2.5


def must_not_run(content: Path, work: Path) -> float:
    raise AssertionError("the product is there")


def left(store: Store) -> list[str]:
    """The content of the staging and work folders."""
    return sorted(p.name for part in ("staging", "work") for p in (store.root / part).iterdir())


def test_product_is_made_once_and_reused(store: Store) -> None:
    made, cached = store.make(THING, fill)
    assert (cached, made.seconds, sorted(made.files)) == (
        False,
        2.5,
        ["sub/config.json", "weights"],
    )
    again, cached = store.make(THING, must_not_run)
    assert cached and again == made
    assert left(store) == []


def test_key_is_made_of_the_ingredients_and_the_digest_of_the_content(store: Store) -> None:
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1, "b": 3})
    one, two = (store.make(Ingredients("thing", {"a": i}), fill)[0] for i in (1, 2))
    assert one.ingredients.key != two.ingredients.key and one.digest == two.digest


def test_nothing_is_seen_of_a_product_before_it_is_whole(store: Store) -> None:
    seen = []

    def look(content: Path, work: Path) -> float:
        (content / "weights").write_bytes(b"12345")
        assert not store.has(THING) and store.find(THING) is None
        seen.append(content.stat().st_ino)
        return 0.0

    product, _ = store.make(THING, look)
    assert (
        product.folder.stat().st_ino == seen[0]
    )  # the very folder was renamed: nothing was copied
    assert product.folder == store.place(THING) / "content"
    assert store.find(THING) == product


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_is_not_stored_and_its_staging_folder_is_gone(
    error: type[BaseException], store: Store
) -> None:
    def fails(content: Path, work: Path) -> float:
        (content / "weights").write_bytes(b"123")
        (work / "checkpoint").write_text("12 steps", encoding="utf-8")
        raise error

    with pytest.raises(error):
        store.make(THING, fails)
    assert store.find(THING) is None
    assert list((store.root / "staging").iterdir()) == []


def test_work_of_a_failure_is_kept_for_the_next_attempt_and_deleted_by_the_commit(
    store: Store,
) -> None:
    def fails(content: Path, work: Path) -> float:
        (work / "checkpoint").write_text("12 steps", encoding="utf-8")
        raise ValueError

    def continues(content: Path, work: Path) -> float:
        (content / "weights").write_text(
            (work / "checkpoint").read_text(encoding="utf-8"), encoding="utf-8"
        )
        return 0.0

    with pytest.raises(ValueError):
        store.make(THING, fails)
    product, _ = store.make(THING, continues)
    assert (product.folder / "weights").read_text(encoding="utf-8") == "12 steps"
    assert left(store) == []


@pytest.mark.parametrize("change", ["changed", "missing"])
def test_product_that_was_tampered_with_is_an_error_with_a_remedy_that_works(
    change: str, store: Store
) -> None:
    product, _ = store.make(THING, fill)
    file = product.folder / "weights"
    if change == "changed":
        file.write_bytes(b"12346")
    else:
        file.unlink()
    with pytest.raises(IntegrityError) as caught:
        store.make(THING, must_not_run)
    folder = product.folder.parent
    assert str(file) in str(caught.value) and f"delete the folder {folder}" in str(caught.value)
    assert caught.value.exit_code == 5
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    assert store.make(THING, fill)[1] is False


@pytest.mark.parametrize("record", ["", "{", "[]", '{"files": {}}', '{"files": 3, "seconds": 1.0}'])
def test_product_whose_record_is_broken_is_an_error_with_a_remedy(
    record: str, store: Store
) -> None:
    product, _ = store.make(THING, fill)
    file = product.folder.parent / "record.json"
    file.write_text(record, encoding="utf-8")
    with pytest.raises(IntegrityError, match=re.escape(str(file))) as caught:
        store.make(THING, must_not_run)
    assert f"delete the folder {product.folder.parent}" in str(caught.value)


def test_a_record_of_which_a_digit_has_changed_is_an_error(store: Store) -> None:
    """The seconds of making are shown, and the digests of files are trusted."""
    product, _ = store.make(THING, fill)
    file = product.folder.parent / "record.json"
    file.write_text(file.read_text().replace('"seconds": 2.5', '"seconds": 3.5'), encoding="utf-8")
    with pytest.raises(IntegrityError, match="its content and its digest differ"):
        store.find(THING)


def test_what_a_deletion_that_was_broken_off_has_left_is_made_again(store: Store) -> None:
    product, _ = store.make(THING, fill)
    (product.folder.parent / "record.json").unlink()
    again, cached = store.make(THING, fill)
    assert (again.digest, cached) == (product.digest, False)


@pytest.mark.parametrize(
    "name",
    ["/data/models/teacher", "../teacher", "owner/name", "a b", ".hidden", "x" * 300, "é", ""],
)
def test_the_name_of_any_artifact_is_that_of_one_file_in_a_folder(
    name: str, tmp_path: Path
) -> None:
    file = tmp_path / f"{file_name(name)}.json"
    file.write_text("{}", encoding="utf-8")
    assert file.resolve().parent == tmp_path.resolve() and not file.name.startswith(".")
    assert file_name("prune.structured@try-1") == "prune.structured@try-1"
    assert len({file_name(n) for n in ("a/b", "a_b", "a:b", name)}) == 4


def test_files_of_another_kind_do_not_answer_for_this_one(store: Store) -> None:
    store.make(THING, fill)
    assert store.find(Ingredients("other", THING.values)) is None


def test_default_store_is_the_folder_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COMPRESS_STORE", str(tmp_path / "named"))
    assert Store.default().root == tmp_path / "named"
    monkeypatch.delenv("COMPRESS_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert Store.default().root == tmp_path / "cache" / "compress"


def start(store: Store, until: Path) -> subprocess.Popen[str]:
    """A process that makes THING, for which it needs until a file stands there."""
    return subprocess.Popen(
        [sys.executable, "-c", MAKER, str(store.root), str(until)],
        stdout=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_second_process_waits_for_the_first_and_reuses_what_it_made(
    store: Store, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    with start(store, ready) as first:
        assert line(first) == "making"
        with start(store, ready) as second:
            assert line(second) == f"waiting for process {first.pid}"
            ready.touch()
            assert line(second) == "reused"
        assert line(first) == "made"
    assert left(store) == [], "neither who made it nor who waited leaves a folder"


def test_claim_dies_with_its_owner_and_its_half_made_product_is_never_seen(store: Store) -> None:
    with start(store, store.root / "never") as killed:
        assert line(killed) == "making"
        os.kill(killed.pid, signal.SIGKILL)
    assert store.find(THING) is None
    assert len(list((store.root / "staging").iterdir())) == 1  # nobody was left to clear it away

    def continues(content: Path, work: Path) -> float:
        assert (work / "begun").read_text(encoding="utf-8") == "yes"
        assert (
            len(list((store.root / "staging").iterdir())) == 1
        )  # only this one: the dead one's is gone
        return fill(content, work)

    begin = time.monotonic()
    product, cached = store.make(THING, continues)
    assert isinstance(product, Product) and not cached
    assert time.monotonic() - begin < 5
    assert left(store) == []


def test_a_sweep_removes_what_a_killed_owner_left_and_spares_who_still_works(store: Store) -> None:
    with start(store, store.root / "never") as killed:
        assert line(killed) == "making"
        kept = store.root / "staging" / f"thing-{OTHER.key}-01234567"
        with held(store.root / "locks", f"thing-{OTHER.key}"):
            kept.mkdir()
            store.sweep()
            assert len(left(store)) == 3, "both owners live"
            killed.kill()
            killed.wait()
            store.sweep()
            assert left(store) == [f"thing-{THING.key}", kept.name]
        store.sweep()
    assert left(store) == [f"thing-{THING.key}"], "unfinished work is continued later"


def test_a_sweep_removes_the_work_of_what_is_made_and_empty_work(store: Store) -> None:
    product, _ = store.make(THING, fill)
    for name, files in ((f"thing-{THING.key}", ["a"]), ("thing-b", []), ("thing-c", ["a"])):
        (store.root / "work" / name).mkdir()
        for file in files:
            (store.root / "work" / name / file).touch()
    store.sweep()
    assert left(store) == ["thing-c"]
    assert store.find(THING) == product


def test_a_store_that_does_not_exist_yet_is_swept_without_a_trace(tmp_path: Path) -> None:
    Store(tmp_path / "none").sweep()
    assert not (tmp_path / "none").exists()


def test_a_file_that_cannot_be_written_is_named_and_its_draft_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.json"
    file.write_text("before", encoding="utf-8")

    def full(draft: Path, text: str, encoding: str) -> None:
        draft.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_text(file, "after")
    assert file_trouble(caught.value) == f"{file}: No space left on device"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert file.read_text(encoding="utf-8") == "before"
