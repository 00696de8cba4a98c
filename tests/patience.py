"""How long tests wait: as long as a busy machine may take. Waiting ends as soon as what is waited for is there."""

import time
from collections.abc import Callable
from typing import Any

LONG = 300.0
"""Seconds after which what has not come will not come. They end a test that hangs, and measure nothing."""


def until(found: Callable[[], Any], within: float = LONG) -> Any:
    """What `found` returns as soon as that is true."""
    end = time.monotonic() + within
    while not (value := found()):
        assert time.monotonic() < end, f"not within {within} s: {found.__qualname__}"
        time.sleep(0.02)
    return value
