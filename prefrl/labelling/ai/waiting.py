"""When to call again: exponential backoff with jitter, what the endpoint asks for, and an end to patience."""

from __future__ import annotations

import threading
import time
from random import Random

from prefrl.labelling.ai.endpoint import Busy, Refused
from prefrl.labelling.ai.settings import Settings

FIRST, LONGEST = 1.0, 60.0  # seconds
GARBLED = 4  # responses in a row that are no replies: then it is no API of this kind


class Stopped(Exception):
    """Somebody wants this to end; what has not been sent is not sent any more."""


class Waiting:
    """What all threads that call one endpoint know together: when it may be called again, and whether to stop."""

    def __init__(self, settings: Settings, rng: Random | None = None):
        self.settings, self.rng = settings, rng or Random()
        self.stop = threading.Event()
        self._not_before = 0.0

    def turn(self) -> None:
        """Wait until the endpoint may be called. Raises Stopped."""
        while (left := self._not_before - time.monotonic()) > 0 and not self.stop.wait(left):
            pass
        if self.stop.is_set():
            raise Stopped

    def pause(self, seconds: float, everybody: bool) -> None:
        """Wait before the next try; or let all wait, when the endpoint has too much to do. Raises Stopped."""
        if everybody:
            self._not_before = max(self._not_before, time.monotonic() + seconds)
        if self.stop.wait(seconds):
            raise Stopped

    def patience(self) -> Patience:
        """That of one call."""
        return Patience(self)


class Patience:
    """How one call is tried again, and when no more."""

    def __init__(self, waiting: Waiting):
        self.waiting, self.tries, self.garbled = waiting, 0, 0
        self.until = time.monotonic() + waiting.settings.patience

    def again(self, busy: Busy) -> None:
        """Return when it is time for another try. Raises Refused when there is none, Stopped when told to."""
        self.garbled = self.garbled + 1 if busy.garbled else 0
        if self.garbled >= GARBLED:
            raise Refused(f"{self.waiting.settings.url} is no API of this kind, or damaged: {busy}")
        seconds = self._seconds(busy)
        if time.monotonic() + seconds > self.until:
            asked = f", and asks to wait {busy.wait:.0f} s" if busy.wait else ""
            raise Refused(
                f"{self.waiting.settings.host} does not answer: {busy}{asked}. After {self.tries + 1} tries, patience"
                f" ({self.waiting.settings.patience:g} s) is over; what was answered is stored: start again later"
            )
        self.tries += 1
        self.waiting.pause(seconds, everybody=busy.wait is not None or busy.status == 429)

    def _seconds(self, busy: Busy) -> float:
        """Twice as long each time, or as long as it asks for if that is more; with jitter, lest all come at one moment."""
        if busy.at_once:
            return 0.0
        backoff = min(LONGEST, FIRST * 2**self.tries) * self.waiting.rng.uniform(0.5, 1.0)
        return max(backoff, (busy.wait or 0.0) * self.waiting.rng.uniform(1.0, 1.1))
