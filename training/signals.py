"""SIGTERM and SIGINT stop a run at the next step's end, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class StopSignal:
    """A context in which the first SIGTERM or SIGINT only raises a flag; a second one acts as it always does.

    `number` is the signal that came, None so far. Outside the main thread, where Python takes no handlers, nothing
    changes.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def came(self) -> bool:
        """Whether the run is asked to stop."""
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """128 and the signal's number: 143 after SIGTERM, 130 after SIGINT; 143 where another process was told."""
        return 128 + (self.number if self.number is not None else signal.SIGTERM)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
