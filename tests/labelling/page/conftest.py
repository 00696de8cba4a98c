"""One run and one server for all tests of the label page, a Chromium per file, and windows of people."""

from __future__ import annotations

import pytest
from browsing import LAUNCH, LENGTH, QUESTIONS, Browsing
from serving import running
from short import SHORT

from prefrl.store.store import LabelStore

THOUGHT = {"model_version": 3, "chances": [0.8, 0.2], "rewards": [[0.1, 0.4] * 8, [-0.3, 0.1] * 8]}


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A run that has asked and still waits for people, its server and its worker: folder and address."""
    from prefrl.runs.api import train

    folder = tmp_path_factory.mktemp("label") / "run"
    people = {
        "teacher": "human",
        "teacher.page": False,
        "teacher.queue": QUESTIONS,
        "teacher.stale": 0.0,
        "teacher.mirror": 0.0,
    }
    asking = {"steps": 8192, "questions.budget": QUESTIONS, "questions.length": LENGTH, "record.checkpoints": 2}
    train("prefrl/PendulumSpin-v0", folder=folder, quiet=True, **{**SHORT, **asking, **people})
    (folder / "instructions.md").write_text(
        "# Spin\n\nFaster is **better**. <b onclick='x'>Not bold.</b>\n\n- keep spinning\n"
    )
    with LabelStore.open(folder) as store:
        store.notices.predict({query: THOUGHT for query in store.open_queries()})
    with running(folder) as (_, about):
        yield folder, about


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**LAUNCH)
        yield browser
        browser.close()


@pytest.fixture
def visit(served, browser, request):
    """Opens windows of people. None of them may complain on the console or ask another host for anything."""
    windows: list[Browsing] = []

    def open_window(name: str | None = None, ready: bool = True, cut: bool = False, **context) -> Browsing:
        name = request.node.name[5:45] if name is None else name
        base = f"http://127.0.0.1:{served[1]['port']}"
        windows.append(Browsing(browser, base, served[1]["token"], name, **context))
        if ready:
            windows[-1].ready()
        windows[-1].name, windows[-1].cut = name, cut
        return windows[-1]

    yield open_window
    for window in windows:
        window.close()
    for window in windows:
        # Chromium itself reports requests that fail because a test cut the line
        allowed = "Failed to load resource: net::" if window.cut else "nothing"
        assert [line for line in window.complaints if not line.startswith(allowed)] == []
    assert [url for window in windows for url in window.elsewhere] == []
