"""What a label server takes from the trainer beside it while nobody answers: CPU time of it and its render worker.

    python -m benchmarks.idle_server [--seconds 60]

Once with no page open, and once with one that looks every two seconds how things are, as the page in a browser does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from benchmarks.label_load import cpu_seconds, label_server, make_run
from benchmarks.table import Row, show
from prefrl.runs.address import Address

PAGE = 2.0  # seconds between two looks of the page
COMMAND = "python -m benchmarks.idle_server"


def family_seconds(pid: int) -> float:
    """CPU seconds of a process and all below it so far."""
    children = psutil.Process(pid).children(recursive=True)
    return sum(cpu_seconds(each) for each in [pid, *(child.pid for child in children)])


def share(pid: int, seconds: float, here: Address | None = None) -> float:
    """Of one core, over some seconds. here: the server that a page is open on"""
    before, began = family_seconds(pid), time.monotonic()
    while (left := seconds - (time.monotonic() - began)) > 0:
        if here is not None:
            _look(here)
        time.sleep(min(left, PAGE))
    return (family_seconds(pid) - before) / (time.monotonic() - began)


def _look(here: Address) -> None:
    headers = {"Authorization": f"Bearer {here.token}", "X-Prefrl": "1"}
    httpx.get(f"http://{here.host}:{here.port}/api/status", headers=headers, timeout=30).raise_for_status()


def rows(seconds: float) -> list[Row]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        make_run(folder, 20)
        with label_server(folder) as here:
            _look(here)
            time.sleep(10)  # the render worker has started, and found nothing to do
            alone, watched = share(here.pid, seconds), share(here.pid, seconds, here)
    return [
        Row("idle label server, no page open", f"{alone:.1%}", "of one core", COMMAND),
        Row("idle label server, one page open", f"{watched:.1%}", "of one core", COMMAND),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    show(rows(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
