"""The store: immutable products under keys made of content.

A product is a folder ``products/<kind>/<key>`` holding ``record.json`` (what it was made of, and
digests of its files) and ``content/``. It is filled in a staging folder on the same disk and
appears by one rename, so it is whole or absent.
"""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from compress.artifact import JsonObject, canonical, digest_files, verify_files
from compress.errors import IntegrityError
from compress.store.files import flush, flush_folder, read_sealed, write_sealed
from compress.store.locks import held, held_if_free

RECORD = "record.json"
KEY_LENGTH = 32
STAGING, WORK = "staging", "work"
"""The folders of a store in which products are filled, and in which unfinished work is kept."""


def key_of(values: JsonObject) -> str:
    """The key of JSON values: equal for equal values, whatever the order of their names."""
    return hashlib.sha256(canonical(values).encode()).hexdigest()[:KEY_LENGTH]


@dataclass(frozen=True)
class Ingredients:
    """All that the content of a product of some ``kind`` depends on, as JSON values."""

    kind: str
    values: JsonObject

    @property
    def key(self) -> str:
        """The product's key: equal ingredients give an equal key."""
        return key_of(self.values)


@dataclass(frozen=True)
class Product:
    """A committed product. ``folder`` has its content, ``files`` the sha256 of each file by its
    relative name. Making it took ``seconds``."""

    ingredients: Ingredients
    folder: Path
    files: Mapping[str, str]
    seconds: float

    @property
    def digest(self) -> str:
        """sha256 over the content: equal for equal content, whatever it was made of."""
        return hashlib.sha256(canonical(dict(self.files)).encode()).hexdigest()

    def write_record(self, folder: Path) -> None:
        """Write ``record.json``, what is known of the product besides its content."""
        record = {
            "kind": self.ingredients.kind,
            "ingredients": self.ingredients.values,
            "files": self.files,
            "seconds": self.seconds,
        }
        write_sealed(folder / RECORD, record)

    @classmethod
    def read(cls, folder: Path, ingredients: Ingredients) -> Product:
        """The product in ``folder``, its content not checked. Raises IntegrityError for a
        ``record.json`` that is not one."""
        file = folder / RECORD
        record = read_sealed(file)
        try:
            files, seconds = dict(record["files"]), float(record["seconds"])
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"{file} is not what was written: it is no record of a product"
            ) from error
        return cls(ingredients, folder / "content", files, seconds)


@dataclass(frozen=True)
class Claim:
    """The sole right to make a product, with the folders to make it in.

    ``staging`` starts empty. ``work`` is kept when the making fails or is killed, so that it can be
    continued."""

    target: Path
    ingredients: Ingredients
    staging: Path
    work: Path

    @property
    def content(self) -> Path:
        """The folder to fill."""
        return self.staging / "content"

    def commit(self, seconds: float) -> Product:
        """Make the staging folder's content the product: digests, flush to disk, one rename.
        ``work`` is deleted."""
        files = digest_files(self.content, without=())
        product = Product(self.ingredients, self.target / "content", files, seconds)
        product.write_record(self.staging)
        flush(self.staging)
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.staging.rename(self.target)
        flush_folder(self.target.parent)
        shutil.rmtree(self.work, ignore_errors=True)
        return product


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

    def place(self, ingredients: Ingredients) -> Path:
        """The folder of the product, whether it exists yet or not."""
        return self.root / "products" / ingredients.kind / ingredients.key

    def has(self, ingredients: Ingredients) -> bool:
        """Whether the product exists, without a check of its content."""
        return (self.place(ingredients) / RECORD).is_file()

    def holds(self, kind: str) -> bool:
        """Whether any product of that kind exists."""
        return (self.root / "products" / kind).is_dir()

    def find(self, ingredients: Ingredients) -> Product | None:
        """The product, every file checked; None if it does not exist. Raises IntegrityError if a
        file has changed."""
        if not self.has(ingredients):
            return None
        folder = self.place(ingredients)
        try:
            product = Product.read(folder, ingredients)
            verify_files(product.folder, product.files)
        except IntegrityError as error:
            raise IntegrityError(
                f"{error}\ndelete the folder {folder} to have it made again"
            ) from None
        return product

    def make(
        self,
        ingredients: Ingredients,
        fill: Callable[[Path, Path], float],
        on_wait: Callable[[str], None] | None = None,
    ) -> tuple[Product, bool]:
        """The product of ``ingredients``, and whether it was in the store already.

        Otherwise ``fill(content, work)`` makes it and returns the seconds that it took; if it
        raises, nothing is stored. While another process makes the product, the call waits, after
        ``on_wait`` was given its name."""
        product = self.find(ingredients)
        if product:
            return product, True
        with held(self.root / "locks", _name(ingredients), on_wait):
            product = self.find(ingredients)
            if product:  # another process made it while this one waited
                return product, True
            # A deletion that was interrupted may have left some files.
            shutil.rmtree(self.place(ingredients), ignore_errors=True)
            with self._claim(ingredients) as claim:
                seconds = fill(claim.content, claim.work)
                return claim.commit(seconds), False

    @contextmanager
    def _claim(self, ingredients: Ingredients) -> Iterator[Claim]:
        """The folders in which the product is made. At the end of the block the staging folder is
        gone, and so is a work folder that holds nothing to continue from."""
        name = _name(ingredients)
        staging = self.root / STAGING / f"{name}-{uuid.uuid4().hex[:8]}"
        claim = Claim(self.place(ingredients), ingredients, staging, self.root / WORK / name)
        try:
            self._remove_staging(name)
            claim.content.mkdir(parents=True)
            claim.work.mkdir(parents=True, exist_ok=True)
            yield claim
        finally:
            shutil.rmtree(claim.staging, ignore_errors=True)
            _remove_if_empty(claim.work)

    def sweep(self) -> None:
        """Remove what processes have left that ended without a chance to clean up: their staging
        folders, and the work folders of products that exist.

        A folder whose lock is held belongs to a living process, and stays. The work folder of a
        product that is not made yet stays too: a training continues from it."""
        staging = {folder.name.rpartition("-")[0] for folder in _folders(self.root / STAGING)}
        for name in sorted(staging):
            with held_if_free(self.root / "locks", name) as mine:
                if mine:
                    self._remove_staging(name)
        for work in _folders(self.root / WORK):
            with held_if_free(self.root / "locks", work.name) as mine:
                if mine and self._is_made(work.name):
                    shutil.rmtree(work, ignore_errors=True)
                elif mine:
                    _remove_if_empty(work)

    def _remove_staging(self, name: str) -> None:
        """Remove the staging folders of a product whose lock this process holds."""
        for left_over in (self.root / STAGING).glob(f"{glob.escape(name)}-*"):
            shutil.rmtree(left_over, ignore_errors=True)

    def _is_made(self, name: str) -> bool:
        """Whether the product ``<kind>-<key>`` exists."""
        kind, _, key = name.rpartition("-")
        return (self.root / "products" / kind / key / RECORD).is_file()


def _name(ingredients: Ingredients) -> str:
    """``<kind>-<key>``, which names the lock and the folders of a product that is being made."""
    return f"{ingredients.kind}-{ingredients.key}"


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # it is not empty, or not there
        folder.rmdir()


def _folders(place: Path) -> list[Path]:
    """The folders in ``place``; none where it does not exist."""
    if not place.is_dir():
        return []
    return sorted(path for path in place.iterdir() if path.is_dir())


def open_store(folder: Path | None) -> Store:
    """The store in ``folder``, by default the user's own."""
    return Store(folder.resolve()) if folder else Store.default()
