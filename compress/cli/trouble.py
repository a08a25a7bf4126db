"""Files that cannot be read or written, in a line for the user."""

from __future__ import annotations

import re


def file_trouble(error: OSError) -> str:
    """``FILE: what the system says of it``, or the latter alone where it names no file."""
    said = error.strerror or str(error)
    # A file is written under another name first (``write_text``); the user knows the one that it
    # was to have.
    named = re.sub(r"\.\d+\.draft$", "", str(error.filename))
    return f"{named}: {said}" if error.filename is not None else said
