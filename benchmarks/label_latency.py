"""How long a labeller waits: from an answer's key press to the next pair painted, and to the answer being on disk.

    python -m benchmarks.label_latency                    about two minutes: a labeller who answers every second
    python -m benchmarks.label_latency --training         the same beside a training run
    python -m benchmarks.label_latency --pace 0.35        somebody who hammers

Real server, real clips, real Chromium (Debian: apt-get install chromium) with the page's own prefetching. Painted: the
first task after the frame that shows the new pair, by the browser's clock; the key press is when the browser got it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_load import label_server
from benchmarks.table import Row, show

ENVS = ("prefrl/PendulumSpin-v0", "prefrl/CartPoleWindmill-v0")
LENGTH = 25  # steps in a clip
DRAWN = 12  # questions whose clips are there before the first answer, as in a run that has been asking for a while
CHOICES = ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown")
WATCH = """
window.waited = [];
window.stored = [];
window.staged = [];
addEventListener("keydown", (event) => {
    if (!event.key.startsWith("Arrow")) return;
    const pressed = event.timeStamp, before = window.prefrl.query;
    window.staged.push(window.prefrl.ahead);
    const painted = () => {
        const {port1, port2} = new MessageChannel();
        port1.onmessage = () => window.waited.push(performance.now() - pressed);
        port2.postMessage(0);
    };
    const look = () => {
        const there = window.prefrl.query !== before && window.prefrl.left >= 0;
        if (there) painted(); else requestAnimationFrame(look);
    };
    const confirm = () => {
        if (window.prefrl.outbox === 0) window.stored.push(performance.now() - pressed); else setTimeout(confirm, 2);
    };
    requestAnimationFrame(look);
    setTimeout(confirm);
}, true);
"""


def make_run(env: str, folder: Path, questions: int) -> None:
    """A run that has asked its questions, and that nobody has answered."""
    from prefrl.runs.api import train

    settings: dict[str, Any] = {
        "steps": 4 * LENGTH * questions, "agent.n_envs": 4, "agent.n_steps": 64, "questions.length": LENGTH,
        "questions.budget": questions, "teacher": "human", "teacher.page": False, "teacher.queue": questions,
        "teacher.stale": 0.0, "teacher.mirror": 0.0, "record.video": False, "record.tensorboard": False, "record.evaluation_episodes": 2,
        "record.checkpoints": 2,
    }  # fmt: skip
    train(env, folder=folder, quiet=True, **settings)


@contextmanager
def training(folder: Path) -> Iterator[None]:
    """A training run that takes a whole core, as long as the block lasts."""
    command = [sys.executable, "-m", "prefrl.cli", "train", "--env", "Pendulum-v1", "--steps", "100000000"]
    command += ["--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as trainer:
        try:
            time.sleep(15)  # until it trains
            yield
        finally:
            trainer.kill()


def label(page_url: str, answers: int, pace: float) -> dict[str, list[float]]:
    """Answer so many questions by keyboard, one each `pace` seconds. Milliseconds per answer."""
    from playwright.sync_api import sync_playwright

    chromium = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
    if not chromium:
        raise SystemExit("no Chromium here; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(WATCH)
        page.goto(page_url)
        page.locator("dialog input").fill("benchmark")
        page.keyboard.press("Enter")
        status = page_url.split("?")[0] + "api/status"
        while page.evaluate("window.prefrl.ahead") < 3 or page.request.get(status).json()["ready"] < DRAWN:
            time.sleep(0.5)
        due = time.monotonic()
        for k in range(answers):
            due = max(due + pace, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
            page.keyboard.press(CHOICES[k % len(CHOICES)])
        time.sleep(2)
        found = page.evaluate("({painted: window.waited, stored: window.stored, staged: window.staged})")
        browser.close()
    return found


def rows(env: str, answers: int, pace: float, beside: bool) -> list[Row]:
    with ExitStack() as open_now:
        folder = Path(open_now.enter_context(tempfile.TemporaryDirectory()))
        make_run(env, folder / "run", answers + 20)
        url = open_now.enter_context(label_server(folder / "run")).url()
        if beside:
            open_now.enter_context(training(folder / "beside"))
        found = label(url, answers, pace)
    command = f"python -m benchmarks.label_latency --pace {pace:g}{' --training' if beside else ''}"
    setting = f"{env}, an answer each {pace:g} s{', beside a training run' if beside else ''}"
    ready = [wait for wait, ahead in zip(found["painted"], found["staged"], strict=False) if ahead]
    late = len(found["staged"]) - len(ready)
    remark = f"{late} times the next clips were not drawn yet; else {_spread(ready)}" if late else "clips always there"
    return [
        Row(f"key press to next pair painted, {setting}", _spread(found["painted"]), remark, command),
        Row(f"key press to answer on disk, {setting}", _spread(found["stored"]), "", command),
    ]


def _spread(waits: list[float]) -> str:
    median, late = np.quantile(waits, (0.5, 0.95))
    return f"median {median:.0f} ms, p95 {late:.0f} ms of {len(waits)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=40)
    parser.add_argument("--pace", type=float, default=1.0, help="seconds between two answers")
    parser.add_argument("--training", action="store_true", help="train something else at the same time")
    options = parser.parse_args()
    show([row for env in ENVS for row in rows(env, options.answers, options.pace, options.training)])
