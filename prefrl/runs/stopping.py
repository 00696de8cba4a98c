"""Signal handling of a run: Ctrl-C and SIGTERM end it with instructions for resuming."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefrl.core.errors import Stopped


@contextmanager
def stoppable(folder: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM raise Stopped, which says how to go on; where signals are not ours to handle, nothing changes."""

    def stop(number: int, _: Any) -> None:
        raise Stopped(number, folder)

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever is there handles signals
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
