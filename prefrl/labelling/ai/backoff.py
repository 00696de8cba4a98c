"""Retries of model calls: exponential backoff with jitter, the endpoint's Retry-After, and a time limit."""

from __future__ import annotations

import threading
import time
from random import Random

from prefrl.labelling.ai.ai_settings import AISettings
from prefrl.labelling.ai.endpoint import Busy, Refused

FIRST, LONGEST = 1.0, 60.0  # seconds
GARBLED = 4  # invalid responses in a row, after which the endpoint counts as no chat API


class Stopped(Exception):
    """Labelling was stopped; calls that were not sent yet are dropped."""


class Backoff:
    """State shared by all threads that call one endpoint: when it may be called again, and whether to stop."""

    def __init__(self, settings: AISettings, rng: Random | None = None):
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
        """Wait before a retry; everybody: make all threads wait, as the endpoint is overloaded. Raises Stopped."""
        if everybody:
            self._not_before = max(self._not_before, time.monotonic() + seconds)
        if self.stop.wait(seconds):
            raise Stopped


class Retries:
    """The retry schedule of one call, limited by the setting `patience`."""

    def __init__(self, backoff: Backoff):
        self.backoff, self.settings, self.tries, self.garbled = backoff, backoff.settings, 0, 0
        self.until = time.monotonic() + self.settings.patience

    def again(self, busy: Busy) -> None:
        """Wait until it is time for a retry. Raises Refused when time is up, Stopped when labelling was stopped."""
        self.garbled = self.garbled + 1 if busy.garbled else 0
        if self.garbled >= GARBLED:
            raise Refused(f"{self.settings.url} is no API of this kind, or damaged: {busy}")
        seconds = 0.0
        if not busy.at_once:  # twice as long each time, at least what the endpoint asks for; jitter spreads the threads
            seconds = min(LONGEST, FIRST * 2**self.tries) * self.backoff.rng.uniform(0.5, 1.0)
            seconds = max(seconds, (busy.wait or 0.0) * self.backoff.rng.uniform(1.0, 1.1))
        if time.monotonic() + seconds > self.until:
            requested = f", and asks to wait {busy.wait:.0f} s" if busy.wait else ""
            raise Refused(
                f"{self.settings.host} does not answer: {busy}{requested}. After {self.tries + 1} tries, patience"
                f" ({self.settings.patience:g} s) is over; what was answered is stored: start again later"
            )
        self.tries += 1
        self.backoff.pause(seconds, everybody=busy.wait is not None or busy.status == 429)
