"""The store: immutable products under keys made of content.

A product is a folder ``products/<kind>/<key>`` holding ``record.json`` (what it was made of,
digests of its files) and ``content/``. It is filled in a staging folder on the same disk and
appears by one rename, so it is whole or absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.artifact import canonical, digest_files, verify_files
from compress.errors import IntegrityError
from compress.store.locks import held

RECORD = "record.json"
KEY_LENGTH = 32


def product_key(ingredients: Mapping[str, Any]) -> str:
    """The key of what ``ingredients`` (JSON-ready) make: equal ingredients, equal key."""
    return hashlib.sha256(canonical(ingredients).encode()).hexdigest()[:KEY_LENGTH]


@dataclass(frozen=True)
class Product:
    """A committed product; ``files`` are the sha256 of its content by relative name."""

    kind: str
    key: str
    folder: Path
    files: Mapping[str, str]
    seconds: float

    @property
    def digest(self) -> str:
        """sha256 over the content: equal for equal content, whatever it was made of."""
        return hashlib.sha256(canonical(dict(self.files)).encode()).hexdigest()


@dataclass(frozen=True)
class Claim:
    """The sole right to make a product, with the folders to make it in: ``staging`` starts empty;
    ``work`` is kept when the making fails or is killed, so that it can be continued."""

    store: Store
    kind: str
    key: str
    staging: Path
    work: Path

    def commit(self, ingredients: Mapping[str, Any], seconds: float) -> Product:
        """Make the staging folder's content the product: digests, flush to disk, one rename;
        ``work`` is deleted."""
        files = digest_files(self.staging / "content", without=())
        record = {
            "kind": self.kind,
            "ingredients": dict(ingredients),
            "files": files,
            "seconds": seconds,
        }
        (self.staging / RECORD).write_text(
            json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )
        _flush(self.staging)
        target = self.store.place(self.kind, self.key)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.staging.rename(target)
        _flush_folder(target.parent)
        shutil.rmtree(self.work, ignore_errors=True)
        return Product(self.kind, self.key, target / "content", files, seconds)


@dataclass(frozen=True)
class Store:
    """A folder of products, shared by runs."""

    root: Path

    @classmethod
    def default(cls) -> Store:
        """The store named by ``COMPRESS_STORE``, else ``compress`` in the user's cache folder."""
        named = os.environ.get("COMPRESS_STORE")
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return cls(Path(named) if named else Path(cache) / "compress")

    def place(self, kind: str, key: str) -> Path:
        """Where the product of that key stands once it is committed."""
        return self.root / "products" / kind / key

    def has(self, kind: str, key: str) -> bool:
        """Whether it is there, without checking its content."""
        return (self.place(kind, key) / RECORD).is_file()

    def holds(self, kind: str) -> bool:
        """Whether there is any product of that kind."""
        return (self.root / "products" / kind).is_dir()

    def find(self, kind: str, key: str) -> Product | None:
        """The product, every file checked; None where there is none. Raises IntegrityError where a
        file has changed."""
        folder = self.place(kind, key)
        if not self.has(kind, key):
            return None
        try:
            files, seconds = _read_record(folder / RECORD)
            verify_files(folder / "content", files)
        except IntegrityError as error:
            raise IntegrityError(
                f"{error}\ndelete the folder {folder} to have it made again"
            ) from None
        return Product(kind, key, folder / "content", files, seconds)

    @contextmanager
    def claim(
        self, kind: str, key: str, on_wait: Callable[[str], None] | None = None
    ) -> Iterator[Claim]:
        """The claim on a product. Where another process holds it, ``on_wait`` is told who, and the
        call waits."""
        with held(self.root / "locks", f"{kind}-{key}", on_wait):
            yield self._claim(kind, key)

    def _claim(self, kind: str, key: str) -> Claim:
        staging_root, work = self.root / "staging", self.root / "work" / f"{kind}-{key}"
        for left_over in staging_root.glob(f"{kind}-{key}-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        staging = staging_root / f"{kind}-{key}-{uuid.uuid4().hex[:8]}"
        (staging / "content").mkdir(parents=True)
        work.mkdir(parents=True, exist_ok=True)
        return Claim(self, kind, key, staging, work)

    def make(
        self,
        kind: str,
        ingredients: Mapping[str, Any],
        fill: Callable[[Path, Path], float],
        on_wait: Callable[[str], None] | None = None,
    ) -> tuple[Product, bool]:
        """The product of ``ingredients`` and whether it was there already.

        ``fill(content, work)`` makes it where it is not, and gives back the seconds that it took;
        when it raises, nothing is stored."""
        key = product_key(ingredients)
        found = self.find(kind, key)
        if found:
            return found, True
        with self.claim(kind, key, on_wait) as claim:
            found = self.find(kind, key)
            if found:
                return found, True
            shutil.rmtree(
                self.place(kind, key), ignore_errors=True
            )  # what a deletion that was broken off has left
            try:
                seconds = fill(claim.staging / "content", claim.work)
                return claim.commit(ingredients, seconds), False
            finally:
                shutil.rmtree(claim.staging, ignore_errors=True)


def open_store(folder: Path | None) -> Store:
    """The store in ``folder``, by default the user's own."""
    return Store(folder.resolve()) if folder else Store.default()


def _read_record(file: Path) -> tuple[Mapping[str, str], float]:
    """A product's digests and the seconds that it took. Raises IntegrityError for a file that says
    neither."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        return dict(record["files"]), float(record["seconds"])
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{file} is not what was written: it is no record of a product"
        ) from error


def _flush(folder: Path) -> None:
    """Ask the disk to keep what was written: a rename must not become durable before the files it
    names."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
        else:
            _flush_folder(path)
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
