"""What measuring costs: the time that finished runs spent on making and on measuring, taken from
their reports.

  python benchmarks/cost.py RUN [RUN ...]
RUN is a run's folder. What a run found in the store counts with the time that it took when it was
made. Writes benchmarks/results/cost.json.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from common import read_reports, write_results

from compress.results.report import Report


def main() -> None:
    """Write the results of the runs that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    reports = read_reports(parser.parse_args().runs)
    values = {
        "environment": reports[0].environment.model_dump(mode="json"),
        "rows": [_row(report) for report in reports],
    }
    sys.stderr.write(f"wrote {write_results('cost', values)}\n")


def _row(report: Report) -> dict[str, Any]:
    making, measuring = report.seconds.making, report.seconds.measuring
    return {
        "name": report.name,
        "effort": report.effort,
        "making": making,
        "measuring": measuring,
        "share": measuring / (making + measuring),
    }


if __name__ == "__main__":
    main()
