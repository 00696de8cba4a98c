"""Labelling in a notebook: the kernel's side, driven by the messages that a cell sends."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from fronting import FrontEnd, shown, sit_at
from patience import until
from played import make_run as make_real_run
from serving import ask, make_run, person_at, running

import prefrl
from prefrl.core.errors import UserError
from prefrl.labelling import supervisor
from prefrl.labelling.notebook.bundle import bundle
from prefrl.rendering.sheets import frames_of
from prefrl.store.store import LabelStore

pytest.importorskip("anywidget")
ROOT = Path(__file__).parents[3]
SLEEPER = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def undrawn(monkeypatch):
    """Workers that only wait: these clips are drawn already, and a real one loads for seconds."""
    monkeypatch.setattr(supervisor, "command", lambda *_: SLEEPER)


@pytest.fixture(autouse=True)
def put_away():
    yield
    from prefrl.labelling.notebook import cell

    for widget in cell._SHOWN.values():
        widget.close()
    cell._SHOWN.clear()


def stored(run: Path) -> list[tuple[str, float, str]]:
    with LabelStore.open(run) as store:
        return [(row["labeller"], row["preference"], row["kind"]) for row in store.history()]


def works_for(run: Path) -> list[psutil.Process]:
    """The processes that this one has started for a run: workers have its folder or, where replaced, its log."""
    found = []
    for one in psutil.Process().children():
        with suppress(psutil.Error):
            log = Path(f"/proc/{one.pid}/fd/1").resolve()
            found += [one] if one.status() != psutil.STATUS_ZOMBIE and log == run / "render-worker.log" else []
    return found


# what a cell shows and stores


def test_an_answer_reaches_the_store_before_it_is_acknowledged(run, undrawn):
    ann = sit_at(shown(run))
    [question] = ann.next()
    assert ann.answer(question, "left").status_code == 201
    assert stored(run) == [("ann", 1.0, "answer")]


def test_the_same_message_delivered_twice_is_one_answer(run, undrawn):
    widget = shown(run)
    ann = sit_at(widget)
    [question] = ann.next()
    body = {"session": ann.session, "ticket": question["ticket"], "query": question["query"], "choice": "right"}
    request = ann.http.request("/api/answers", body)
    first, second = ann.http.deliver(request), ann.http.deliver(request)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["seq"] == second.json()["seq"] and second.json()["duplicate"]
    assert stored(run) == [("ann", 0.0, "answer")]


def test_an_answer_is_taken_back_and_its_question_comes_again(run, undrawn):
    ann = sit_at(shown(run))
    [question] = ann.next()
    seq = ann.answer(question, "equal").json()["seq"]
    again = ann.say(f"/api/answers/{seq}/withdraw", ticket="withdrawal-1").json()["question"]
    assert again["query"] == question["query"] and again["ticket"] != question["ticket"]
    assert ann.answer(again, "skip").status_code == 201
    with LabelStore.open(run) as store:
        assert [row["kind"] for row in store.history()] == ["answer", "withdrawal", "answer"]
        assert store.counts().skipped == 1


def test_the_model_says_nothing_before_the_answer(run, undrawn):
    with LabelStore.open(run) as store:
        thought = {"model_version": 3, "chances": [0.8, 0.2], "rewards": [[1.0] * 4, [0.0] * 4]}
        store.notices.predict({query: thought for query in store.open_queries()})
    ann = sit_at(shown(run))
    [question] = ann.next()
    assert set(question) == {"query", "ticket", "kind", "clips"}
    assert ann.answer(question, "left").json()["model"]["chances"][0] == 0.8


def test_clips_come_as_bytes_that_the_run_holds(run, undrawn):
    ann = sit_at(shown(run))
    [question] = ann.next()
    clip = question["clips"][0]
    reply = ann.http.get(clip["url"])
    assert (reply.status_code, reply.kind) == (200, "image/webp")
    assert frames_of(reply.content, clip["frames"], clip["columns"]).shape == (5, 8, 8, 3)


def test_own_answers_come_again_with_the_sides_changed(tmp_path, undrawn):
    make_run(tmp_path / "run", asked=20, **{"teacher.mirror": 1.0})
    ann = sit_at(shown(tmp_path / "run"))
    ann.label(20)
    with LabelStore.open(tmp_path / "run") as store:
        purposes = [row["details"] for row in store.history()]
    assert sum('"purpose": "repeat"' in details and '"order": [1, 0]' in details for details in purposes) >= 2


def test_what_cannot_be_is_refused_in_the_servers_words(run, undrawn):
    ann = sit_at(shown(run))
    bad = ann.say("/api/answers", ticket="no-such-ticket", query=1, choice="left")
    assert (bad.status_code, bad.json()["code"]) == (404, "unknown_ticket")
    assert ann.say("/api/answers", ticket="x", query=1, choice="up").status_code == 422
    assert ann.http.get("/clips/../labels.db.webp").status_code == 404


def test_a_cell_and_a_page_share_questions_and_answers(run):
    with running(run, worker=False) as (_, about):
        ann, ben = sit_at(shown(run)), person_at(about, "ben")
        [hers], [his] = ann.next(), ben.next()
        assert hers["query"] != his["query"]
        ann.answer(hers), ben.answer(his)
        assert ben.get("/api/status")["answered"] == ann.get("/api/status")["answered"] == 2


def test_questions_asked_meanwhile_are_shown(run, undrawn):
    ann = sit_at(shown(run))
    ann.label(6)
    assert ann.next() == []
    new = ask(run, 1, seed=1)
    until(lambda: [one["query"] for one in ann.next()] == new)


# what works beside it, and when


def test_nothing_runs_until_a_front_end_shows_the_cell(run):
    widget = shown(run)
    assert works_for(run) == [] and not widget.service.open


def test_a_real_worker_draws_for_the_cell_and_goes_when_it_is_left(tmp_path):
    ids = make_real_run(tmp_path / "run")
    widget = shown(tmp_path / "run")
    ann = sit_at(widget)
    found: list = []
    until(lambda: found.extend(ann.next(holding=[one["query"] for one in found])) or len(found) == len(ids))
    clip = found[0]["clips"][0]
    assert frames_of(ann.http.get(clip["url"]).content, clip["frames"], clip["columns"]).shape == (9, 400, 600, 3)
    assert ann.say("/api/leave").status_code == 200
    assert not widget.service.open and works_for(tmp_path / "run") == []
    ann.answer(found[0])  # the cell is scrolled into view again
    assert widget.service.open and stored(tmp_path / "run") == [("ann", 1.0, "answer")]


def test_a_cell_that_is_run_again_takes_the_place_of_its_earlier_self(run, undrawn):
    first = shown(run)
    held = {one["query"] for one in sit_at(first).next(want=6)}
    second = shown(run)
    assert first.comm is None and not first.service.open
    assert {one["query"] for one in sit_at(second).next(want=6)} == held
    until(lambda: len(works_for(run)) == 1)


def test_a_second_service_waits_until_the_first_has_gone(tmp_path):
    first, second = (supervisor.Supervisor(SLEEPER, tmp_path / "render-worker.log") for _ in range(2))
    first.start()
    until(lambda: first.process)
    second.start()
    time.sleep(0.2)
    assert first.on_duty and not second.on_duty and second.process is None
    first.stop()
    until(lambda: second.on_duty and second.process)
    second.stop()
    assert second.process.poll() is not None


def test_two_views_of_one_cell_are_two_sessions(run, undrawn):
    widget = shown(run)
    front = FrontEnd(widget)
    sessions = [front.post("/api/session", {"labeller": "ann"}).json()["session"] for _ in range(2)]
    front.post("/api/leave", {"session": sessions[0]})
    assert widget.service.open
    front.post("/api/leave", {"session": sessions[1]})
    assert not widget.service.open


# what is given


def test_what_training_returned_is_a_run(short):
    result = short()
    assert shown(result).run == str(result.folder.resolve())


@pytest.mark.parametrize(
    "given, options, message",
    [
        ("nowhere", {}, "nowhere is not a run folder"),
        (3, {}, "3 is no run; give its folder"),
        (None, {"labeller": "\n"}, "1 to 40 printable characters"),
    ],
)
def test_what_is_no_run_is_refused(run, given, options, message):
    with pytest.raises(UserError, match=message):
        shown(run if given is None else given, **options)


def test_without_anywidget_it_says_what_to_install(run):
    code = (
        "import sys; sys.modules['anywidget'] = None\nimport prefrl\n"
        f"try: prefrl.label({str(run)!r})\nexcept prefrl.UserError as fault: print(fault)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip().endswith("pip install 'prefrl[notebook]'")


def test_the_front_end_needs_no_network_and_builds_nothing_out_of_markup():
    text = bundle().replace("http://www.w3.org/2000/svg", "")
    for danger in ("http://", "https://", "fetch(", "innerHTML", "eval(", "new Function", "\nimport ", "location.hash"):
        unused = (
            "await fetch(url)",
            "=> fetch(path, about)",
        )  # of the page: player.js, and what the cell puts its own in
        found = text.count(danger) - (danger == "fetch(") * sum(text.count(way) for way in unused)
        assert found == 0, danger


def test_all_can_be_reached_from_the_package():
    assert "label" in dir(prefrl)
