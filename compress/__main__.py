"""``python -m compress``: the command line."""

from __future__ import annotations

from compress.cli import main

main()
