"""The cell's front end in a real Chromium, between anywidget's model and a real widget, store and render worker's clips."""

from __future__ import annotations

import base64
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "page"))
from browsing import LAUNCH, needs_chromium  # noqa: E402
from fronting import FrontEnd, shown  # noqa: E402
from patience import LONG, until  # noqa: E402
from played import make_run  # noqa: E402

from prefrl.environments.making import env_maker
from prefrl.labelling import supervisor
from prefrl.labelling.worker import work
from prefrl.rendering.clip_cache import clip_of
from prefrl.rendering.sheets import frames_of
from prefrl.store.lookup import places
from prefrl.store.store import LabelStore

pytestmark = needs_chromium
pytest.importorskip("anywidget")

HOST = """<!doctype html><link rel="icon" href="data:,"><body data-jp-theme-light="true"><div id="output"></div>
<script type="module">
import widget from "/widget.js";
const hearing = new Set();
const traits = await window.traits();
window.leaked = [];
addEventListener("keydown", (event) => window.leaked.push(event.key));
const model = {
  get: (name) => traits[name],
  on: (event, hear) => hearing.add(hear),
  off: (event, hear) => hearing.delete(hear),
  send: async (content) => {
    if (window.dead) return;
    const [said, bytes] = await window.toKernel(content);
    const view = new DataView(Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0)).buffer);
    for (const hear of hearing) hear(said, [view]);
  },
};
window.model = model;
window.remove = widget.render({model, el: document.getElementById("output")});
</script>"""
PIXELS = """(canvas) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true});
    copy.drawImage(canvas, 0, 0);
    const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
    let text = "";
    for (let at = 0; at < data.length; at += 32768) text += String.fromCharCode(...data.subarray(at, at + 32768));
    return btoa(text);
}"""


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**LAUNCH)
        yield browser
        browser.close()


class Notebook:
    """A page with one cell's output on it."""

    def __init__(self, browser, widget):
        self.widget, self.complaints = widget, []
        self.context = browser.new_context(viewport={"width": 1000, "height": 800})
        self.context.set_default_timeout(1000 * LONG)
        self.context.expose_function("traits", lambda: {"run": widget.run, "labeller": widget.labeller})
        self.context.expose_function("toKernel", self._to_kernel)
        self.context.route("**/*", lambda route: route.abort())
        self.context.route("http://notebook.test/", lambda route: route.fulfill(body=HOST, content_type="text/html"))
        script = {"body": widget._esm, "content_type": "text/javascript"}
        self.context.route("http://notebook.test/widget.js", lambda route: route.fulfill(**script))
        self.front = FrontEnd(widget)
        self.page = self.opened()

    def opened(self):
        page = self.context.new_page()
        page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        page.on("pageerror", lambda fault: self.complaints.append(str(fault)))
        page.goto("http://notebook.test/")
        return page

    def _to_kernel(self, request):
        reply = self.front.deliver(request)
        return [{"id": request["id"], "status": reply.status_code, "kind": reply.kind},
                base64.b64encode(reply.content).decode()]  # fmt: skip

    def state(self):
        return self.page.evaluate("() => ({...document.querySelector('.prefrl-label')?.prefrl})")

    def ready(self, other_than: int | None = None) -> int:
        def pair():
            state = self.state()
            return state["query"] if (state.get("drawn") or [-1])[0] >= 0 and state["query"] != other_than else None

        query = until(pair)
        time.sleep(0.3)  # past the moment in which keys are not taken for answers
        return query

    def focus(self):
        self.page.locator(".prefrl-label .ask-line").click()

    def settle(self):
        until(lambda: self.state()["outbox"] == 0)

    def pixels(self, side: int) -> np.ndarray:
        canvas = self.page.locator(".stage canvas").nth(side)
        width, height = canvas.evaluate("(canvas) => [canvas.width, canvas.height]")
        drawn = np.frombuffer(base64.b64decode(canvas.evaluate(PIXELS)), np.uint8)
        return drawn.reshape(height, width, 4)[..., :3]


@pytest.fixture
def notebook(tmp_path, browser, monkeypatch):
    """A cell that shows a run of CartPole with six open questions whose clips are drawn."""
    monkeypatch.setattr(supervisor, "command", lambda *_: [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"])
    run = tmp_path / "run"
    make_run(run, asked=6)
    work(run, env_maker("CartPole-v1", "rgb_array"), None, once=True)
    opened = Notebook(browser, shown(run))
    yield opened
    opened.context.close()
    opened.widget.close()
    assert opened.complaints == []


def answers(notebook) -> dict[int, float | None]:
    with LabelStore.open(notebook.widget.run) as store:
        return {row["query_id"]: row["preference"] for row in store.history()}


def test_both_clips_play_in_step_with_the_pixels_that_were_drawn(notebook):
    query = notebook.ready()
    both = "() => document.querySelector('.prefrl-label').prefrl.drawn"
    seen: set[tuple[int, int]] = set()
    until(lambda: seen.add(tuple(notebook.page.evaluate(both))) or len(seen) >= 5)
    assert all(left == right for left, right in seen)
    notebook.focus()
    notebook.page.keyboard.press(" ")
    notebook.page.keyboard.press(",")
    at = notebook.state()["drawn"][0]
    run = Path(notebook.widget.run)
    with LabelStore.open(run) as store:
        place = places(store, [query])[query]
    for side in (0, 1):
        clip = clip_of(run, place.file, place.row, side)
        frames = frames_of((run / "clips" / f"{clip['clip']}.webp").read_bytes(), clip["frames"], clip["columns"])
        assert np.array_equal(notebook.pixels(side), frames[at])


def test_a_key_answers_and_the_next_pair_is_there_at_once(notebook):
    first = notebook.ready()
    until(lambda: notebook.state()["ahead"] >= 2)
    notebook.focus()
    before, after = notebook.page.evaluate("""() => {
        const {prefrl, shadowRoot} = document.querySelector(".prefrl-label");
        const now = () => [prefrl.query, ...prefrl.drawn];
        const before = now();
        shadowRoot.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowLeft", bubbles: true, composed: true}));
        return [before, now()];
    }""")
    assert before[0] == first != after[0] and after[1:] == [0, 0]
    notebook.settle()
    assert answers(notebook) == {first: 1.0}


def test_keys_and_buttons_answer_undo_and_pause_and_the_notebook_hears_none_of_them(notebook):
    first = notebook.ready()
    notebook.page.locator(".choice.up").click()
    second = notebook.ready(other_than=first)
    notebook.page.keyboard.press("ArrowRight")  # the click has left the focus in the cell
    third = notebook.ready(other_than=second)
    notebook.page.keyboard.press("ArrowDown")
    notebook.ready(other_than=third)
    notebook.settle()
    assert answers(notebook) == {first: 0.5, second: 0.0, third: None}
    notebook.page.keyboard.press("z")
    assert notebook.ready() == third
    notebook.page.keyboard.press("ArrowLeft")
    notebook.ready(other_than=third)
    notebook.page.keyboard.press(" ")
    assert not notebook.state()["playing"]
    notebook.settle()
    with LabelStore.open(notebook.widget.run) as store:
        assert store.feedback()[0].answer["preference"].tolist() == [0.5, 0.0, 1.0]
    assert notebook.page.evaluate("window.leaked") == []


def test_keys_outside_the_cell_are_the_notebooks(notebook):
    query = notebook.ready()
    notebook.page.evaluate("document.activeElement.blur()")
    notebook.page.keyboard.press("ArrowLeft")
    time.sleep(0.2)
    assert notebook.state()["query"] == query and notebook.page.evaluate("window.leaked") == ["ArrowLeft"]
    assert notebook.page.locator(".hint").is_visible()
    notebook.focus()
    assert not notebook.page.locator(".hint").is_visible()


def test_progress_is_told(notebook):
    notebook.ready()
    until(lambda: "0 answered of 6 asked" in notebook.page.locator(".progress").inner_text())
    notebook.focus()
    notebook.page.keyboard.press("ArrowLeft")
    until(lambda: "1 answered of 6 asked" in notebook.page.locator(".progress").inner_text())


def test_answers_that_a_dead_kernel_did_not_hear_are_sent_when_the_cell_runs_again(notebook):
    query = notebook.ready()
    until(lambda: notebook.state()["ahead"] >= 2)
    notebook.page.evaluate("window.dead = true")
    notebook.focus()
    notebook.page.keyboard.press("ArrowLeft")
    until(lambda: notebook.state()["outbox"] == 1)
    notebook.page.close()
    assert answers(notebook) == {}
    notebook.page = notebook.opened()
    until(lambda: answers(notebook) == {query: 1.0} or notebook.state() is None)
    notebook.settle()


def test_removing_the_output_gives_questions_back_and_ends_the_service(notebook):
    notebook.ready()
    assert notebook.widget.service.open
    notebook.page.evaluate("window.remove()")
    until(lambda: notebook.page.evaluate("1") and not notebook.widget.service.open)
    with LabelStore.open(notebook.widget.run) as store:
        assert not store.leases.held("nobody", time.time())
