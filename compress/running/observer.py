"""A tracker on a thread of its own, so that the run goes on whatever the tracker waits for."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from compress.errors import name_and_first_line
from compress.tracker import Tracker

Call = Callable[[Tracker], None]


class Observer:
    """Calls a tracker in order, on one thread. After a call that fails, no other is made.

    The thread does not keep the process alive: a tracker may wait for a server for ever."""

    def __init__(self, tracker: Tracker) -> None:
        self.name = tracker.name
        self.failure: str | None = None
        self._tracker = tracker
        self._calls: queue.Queue[Call | None] = queue.Queue()
        self._changed = threading.Condition()
        self._unfinished, self._begun = 0, time.monotonic()
        threading.Thread(target=self._work, name=f"tracker {self.name}", daemon=True).start()

    def hand_over(self, call: Call) -> None:
        """Have ``call`` made after those that were handed over before."""
        with self._changed:
            if self._unfinished == 0:
                self._begun = time.monotonic()
            self._unfinished += 1
        self._calls.put(call)

    def wait(self, seconds: float) -> bool:
        """Whether all calls are made, or one has failed. Waits for that at most ``seconds``."""
        with self._changed:
            return self._changed.wait_for(self._is_done, seconds)

    def seconds_of_this_call(self) -> float:
        """Seconds since the call that is being made began; 0 if none is."""
        with self._changed:
            return 0.0 if self._is_done() else time.monotonic() - self._begun

    def let_go(self) -> None:
        """End the thread after the call that is being made."""
        self._calls.put(None)

    def _is_done(self) -> bool:
        return self._unfinished == 0 or self.failure is not None

    def _work(self) -> None:
        while self.failure is None and (call := self._calls.get()) is not None:
            failure = self._failure_of(call)
            with self._changed:
                self.failure = failure
                self._unfinished, self._begun = self._unfinished - 1, time.monotonic()
                self._changed.notify_all()

    def _failure_of(self, call: Call) -> str | None:
        try:
            call(self._tracker)
        except BaseException as error:  # foreign code on a thread: nothing else would be told
            return name_and_first_line(error)
        return None
