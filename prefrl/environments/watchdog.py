"""The watchdog: ends the process when an environment hangs, for which Stable-Baselines3 would wait for ever."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prefrl.environments.recorder import Recorder


@contextmanager
def watching(recorder: Recorder, timeout: float) -> Iterator[None]:
    """End the process if an environment does not return within `timeout` seconds. The last checkpoint stands."""
    done = threading.Event()
    threading.Thread(target=_watch, args=(recorder, timeout, done), daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _watch(recorder: Recorder, timeout: float, done: threading.Event) -> None:
    while not done.wait(min(1.0, timeout / 4)):
        since = recorder.waiting_since
        if since is not None and time.monotonic() - since > timeout:
            print(
                f"\nerror: an environment has not answered for {timeout:g} s after step {recorder.steps};"
                " mend it, or raise record.step_timeout. If there is a checkpoint, prefrl resume goes on from it",
                file=sys.stderr, flush=True,
            )  # fmt: skip
            os._exit(70)
