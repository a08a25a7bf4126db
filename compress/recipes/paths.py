"""Words of a recipe as paths."""

from __future__ import annotations

import errno
from pathlib import Path

_SHOWN = 40


def path_from(value: str, base: Path) -> Path:
    """The path that ``value`` names, below ``base`` where it is relative. Raises ValueError for a
    word that cannot be a path."""
    try:
        path = base / Path(value).expanduser()
        path.stat()
    except RuntimeError as error:  # raised by expanduser
        raise ValueError(f"{value!r}: there is no such user") from error
    except ValueError as error:  # NUL, or half of a surrogate pair
        raise ValueError(f"{value!r} holds a character that no file's name can hold") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError(
                f"'{value[:_SHOWN]}...' ({len(value)} characters) is longer than a path can be"
            ) from error
        if error.errno == errno.ELOOP:
            raise ValueError(f"{value!r} leads through links that lead to each other") from error
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):  # which the caller reports
            raise ValueError(f"{value!r} cannot be reached: {error.strerror}") from error
    return path
