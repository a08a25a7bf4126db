"""A loaded model that answers what a user asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from compress.artifact import Artifact
from compress.errors import CompressError, Mistake, UsageError, name_and_first_line, suggestion
from compress.options import Options
from compress.predict import predict
from compress.request import Request, refuse_odd
from compress.session import Session
from compress.task import Prediction, Row, Shown, Task

OnText = Callable[[str], None]
"""Called with each piece of an answer's text."""


@dataclass(frozen=True)
class Predictor:
    """A loaded model; calling it with requests gives one answer for each, in order."""

    artifact: Artifact
    task: Task[Any]
    processor: Any
    session: Session

    def __call__(
        self,
        requests: Request | Iterable[Request],
        batch_size: int = 1,
        *,
        on_text: OnText | None = None,
        **options: Any,
    ) -> list[Shown]:
        """The answers with label names, as the task presents them: a list, also for one request.

        A request is a text; a tuple of texts, where the task takes several; or a mapping of the
        task's columns. ``options`` are the task's own for an answer, such as ``max_new_tokens``.
        Requests are answered one at a time, as quality is measured: so an answer never depends on
        the others. A larger ``batch_size`` can be quicker, and changes answers of some models
        (dynamic int8). ``on_text`` is called with the pieces of an answer that is generated, one
        answer after the other. Raises UsageError with each item that cannot be answered."""
        if batch_size < 1 or (on_text and batch_size > 1):
            wanted = "1 where answers come in pieces" if on_text else "a whole number from 1"
            raise UsageError(f"batch_size is {wanted}, got {batch_size!r}")
        asked = self._asked(options, on_text)
        given = _requests(requests)
        refuse_odd(given)
        rows = self.task.request(given)
        if on_text:  # in the order of the requests: a batch may be made in another
            answers = [answer for row in rows for answer in self._answers([row], 1, asked)]
        else:
            answers = self._answers(rows, batch_size, asked)
        labels = self.artifact.manifest.labels
        return [
            self.task.present(answer, row, labels)
            for answer, row in zip(answers, rows, strict=True)
        ]

    def _asked(self, options: Mapping[str, Any], on_text: OnText | None) -> dict[str, Any]:
        """What the task's ``answer`` is given besides. Raises UsageError for options that it does
        not have, or values that do not fit."""
        limits = request_options(type(self.task), options)
        if not self.task.RequestOptions.model_fields:
            return {}
        return {"limits": limits, "on_text": on_text}

    def _answers(
        self, rows: Sequence[Row], batch_size: int, asked: Mapping[str, Any]
    ) -> list[Prediction]:
        try:
            features = self.task.features(rows, self.processor)
            return predict(
                self.session, self.task, self.processor, rows, features, batch_size, **asked
            )
        except CompressError:
            raise
        except Exception as error:  # an engine raises anything for a model that does not fit itself
            raise CompressError(
                f"the model in {self.artifact.folder} cannot answer: {name_and_first_line(error)}"
            ) from error


def request_options(task: type[Task[Any]], options: Mapping[str, Any]) -> Options:
    """What a user asks of an answer of ``task``. Raises UsageError, a mistake for each option that
    the task does not have or whose value does not fit."""
    known = sorted(task.RequestOptions.model_fields)
    try:
        made: Options = task.RequestOptions.model_validate(dict(options))
        return made
    except ValidationError as error:
        mistakes = []
        for one in error.errors(include_url=False):
            name = str(one["loc"][0]) if one["loc"] else "options"
            if name in known:
                problem = f"{one['msg']}, got {one['input']!r:.60}"
                mistakes.append(Mistake(name, problem[0].lower() + problem[1:]))
            else:
                problem = f"an answer of {task.name} has no such option"
                mistakes.append(Mistake(name, problem, suggestion(name, known) if known else ""))
        raise UsageError(mistakes) from None


def _requests(requests: object) -> list[Any]:
    """The requests as a list, also of one alone."""
    if isinstance(requests, str | Mapping):
        return [requests]
    if not isinstance(requests, Iterable):
        raise UsageError(f"a list of texts is needed, got {requests!r:.80}")
    return list(requests)
