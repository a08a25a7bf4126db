"""Plans recipes that are broken at random, and prints those that end in anything but a plan or
mistakes with a place: ``python benchmarks/fuzz_plans.py [--count 7500] [--seed 0]``.

It writes nothing but temporary files. The default suite plans 300 in the same way."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from mutations import failure_of, mutations, write_place

from compress.registry.plugins import load_plugins
from compress.running.families import known_families
from compress.store.store import open_store


def main() -> int:
    """Plan the mutations; the number of failures, at most 1, as exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=7500)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    registry, families = load_plugins(), known_families(open_store(None))
    families.model_types()  # asked now, and not while the time of a plan runs
    failures, slowest, start = 0, 0.0, time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        write_place(Path(name))
        for number, mutation in enumerate(mutations(words.count, words.seed)):
            began = time.perf_counter()
            failure = failure_of(mutation, Path(name), registry, families)
            slowest = max(slowest, time.perf_counter() - began)
            if failure:
                failures += 1
                sys.stdout.write(f"{number}: {mutation}\n{failure}\n")
        os.chdir("/")
    seconds = time.perf_counter() - start
    sys.stdout.write(
        f"{words.count} recipes, {failures} failures, {seconds:.0f} s, slowest {slowest:.1f} s\n"
    )
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
