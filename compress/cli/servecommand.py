"""The command that serves a model folder over HTTP."""

from __future__ import annotations

from pathlib import Path

import click

from compress.cli.shared import FOLDER
from compress.errors import PackageMissing


@click.command("serve")
@click.argument("folder", type=FOLDER)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, help="The port to listen on.")
@click.option("--task", help="The task to answer for, if several have such a head.")
def serve_command(folder: Path, host: str, port: int, task: str | None) -> None:
    """Serve a model folder, whatever its format, over HTTP.

    POST /predict with {"texts": ["A text."]} answers texts, GET /health says whether it does, and
    GET /metrics counts. It needs the extra serve. To serve without this toolkit, see compress
    bundle.

    SIGTERM or Ctrl-C ends it, after what was taken is answered."""
    import os

    from compress.bundling.served import ServedPredictor
    from compress.registry.plugins import load_plugins
    from compress.serving import open_predictor
    from compress.workers.supervisor import worker_environment

    try:
        from compress.bundling.files.serve import Limits, serve
    except ModuleNotFoundError as error:
        raise PackageMissing(
            f"compress serve needs the package {error.name!r}: pip install compress-toolkit[serve]"
        ) from error
    os.environ.update(worker_environment())
    model = ServedPredictor(open_predictor(folder, load_plugins(), task))
    click.echo(f"http://{host}:{port}/predict", err=True)
    serve(model, host, port, Limits())
