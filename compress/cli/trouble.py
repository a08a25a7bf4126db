"""Files that cannot be read or written, in a line for the user."""

from __future__ import annotations

import re


def file_trouble(error: OSError) -> str:
    """``FILE: the reason that the system gives``, or the reason alone if the error names no
    file."""
    reason = error.strerror or str(error)
    if error.filename is None:
        return reason
    # ``write_text`` writes a draft first. The user knows the file that the draft becomes.
    name = re.sub(r"\.\d+\.draft$", "", str(error.filename))
    return f"{name}: {reason}"
