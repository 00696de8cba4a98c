"""A model labels a run: through the same store as people, beside them, and never at their cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from models import Model, body, error, pictures, says
from painted import ask_more, first_is_better, make_run, stored_answers
from patience import until
from serving import ROOT
from sqlalchemy import select

from prefrl.core.errors import UserError
from prefrl.labelling.ai.clip_picture import strip
from prefrl.labelling.ai.ledger import FILE
from prefrl.rendering.clip_cache import clip_of
from prefrl.rendering.sheets import frames_of
from prefrl.store.database import reading
from prefrl.store.lookup import by_key, places
from prefrl.store.store import LabelStore
from prefrl.store.tables import leases


@pytest.fixture
def run(tmp_path):
    make_run(tmp_path / "run")
    return tmp_path / "run"


def test_every_open_question_gets_the_answer_that_the_pixels_give(run, label):
    summary = label()
    with LabelStore.open(run) as store:
        assert store.counts().answered == 6 and store.counts().open == 0
        [stood] = store.feedback()
        assert (stood.answer["preference"] == first_is_better(store, stood.query.tolist())).all()
        assert {row["labeller"] for row in store.history()} == {"ai:eye-1"}
    assert (summary.answers, summary.now.calls, summary.cache_hits, summary.disagreement) == (6, 12, 0, 0.0)
    assert summary.oracle == (6, 6) and summary.ended == "nothing is left to answer"


def test_the_model_is_sent_the_pixels_of_the_clips(run, label, model):
    label(frames=3)
    with LabelStore.open(run) as store:
        wanted = set()
        for place in places(store, list(range(1, 7))).values():
            clips = [clip_of(run, place.file, place.row, side) for side in (0, 1)]
            sheets = [(run / "clips" / f"{clip['clip']}.webp").read_bytes() for clip in clips]
            first, second = (
                strip(frames_of(one, 5, clip["columns"]), 3, 2048).tobytes()
                for one, clip in zip(sheets, clips, strict=True)
            )
            wanted |= {(first, second), (second, first)}
    assert set(model.asked) == wanted


def test_question_and_instructions_are_sent_as_they_stand(tmp_path, label, model):
    make_run(tmp_path / "spin", 1, **{"teacher.question": "Which spins faster?"})
    (tmp_path / "spin" / "instructions.md").write_text("Faster is **better**.\n")
    label(tmp_path / "spin")
    text = model.calls[0]["messages"][1]["content"][0]["text"]
    assert text == "Instructions for labellers:\nFaster is **better**.\n\nQuestion: Which spins faster?"


def test_what_each_order_said_is_kept_with_the_answer(run, label):
    label()
    with LabelStore.open(run) as store:
        details = json.loads(by_key(store, "1:ai:eye-1")["details"])
    assert details["purpose"] == "new" and details["order"] == [0, 1]
    assert details["ai"]["model"] == "eye-1" and details["ai"]["host"] == "127.0.0.1"
    first, second = details["ai"]["orders"]
    assert {first["said"], second["said"]} == {"left", "right"} and second["order"] == [1, 0]
    assert first["reason"] == f"it is {first['said']}"


@pytest.mark.parametrize(("disagree", "equal", "skipped"), [("equal", 6, 0), ("skip", 0, 6)])
def test_a_model_that_prefers_a_side_teaches_nothing(run, label, model, disagree, equal, skipped):
    model.decide = lambda left, right: "left"
    summary = label(disagree=disagree)
    assert (summary.undecided, summary.skipped, summary.disagree, summary.one_sided) == (equal, skipped, 6, 6)
    assert summary.disagreement == 1.0 and set(stored_answers(run).values()) == ({0.5} if equal else {None})


def test_a_model_that_only_ever_says_one_side_is_suspected_of_seeing_nothing(tmp_path, label, model):
    make_run(tmp_path / "run", 12)
    model.decide = lambda left, right: "right"
    assert "does this model see pictures at all?" in str(label())


def test_agreement_with_people_and_with_the_true_reward(tmp_path, label):
    """Of ten pairs three are painted against the true reward; ann goes by the reward."""
    folder = tmp_path / "run"
    ids = make_run(folder, 10, contrary=(0, 1, 2))
    with LabelStore.open(folder) as store:
        truth = first_is_better(store, ids[:5])
        store.answer(ids[:5], truth.astype(float), labeller="ann")
    summary = label(overlap=1.0)
    assert summary.answers == 10 and summary.opinions == 5
    assert summary.oracle == (7, 10)
    (ann,) = summary.people
    assert (ann["name"], ann["agree"], ann["n"]) == ("ann", 0.4, 5)
    assert "agrees with ann on 40% of 5" in str(summary) and "true reward on 70% of 10" in str(summary)
    with LabelStore.open(folder) as store:
        assert len(store.feedback()[0]) == 10  # an opinion teaches nothing
        kept = {row["query_id"]: row["labeller"] for row in store.history() if row["kind"] == "answer"}
    assert all(kept[id] == "ann" for id in ids[:5])


def test_a_share_of_what_others_answered_is_the_same_each_time(tmp_path, label):
    folder = tmp_path / "run"
    ids = make_run(folder, 40)
    with LabelStore.open(folder) as store:
        store.answer(ids, np.ones(40), labeller="ann")
    some = label(overlap=0.3).opinions
    assert 4 <= some <= 20 and label(overlap=0.3).answers == 0


def test_a_second_sitting_asks_nothing_twice_and_pays_nothing_twice(run, label, model):
    label()
    ask_more(run, 2, seed=1)
    assert label().answers == 2 and len(model.calls) == 16


def test_an_answer_that_was_withdrawn_is_not_given_again(run, label, model):
    label()
    with LabelStore.open(run) as store:
        store.withdraw(by_key(store, "3:ai:eye-1")["seq"], labeller="boss")
        assert store.open_queries() == [3]
    assert label().answers == 0 and len(model.calls) == 12


def test_no_more_is_under_way_than_was_said(tmp_path, label, model):
    make_run(tmp_path / "run", 12)
    model.delay = 0.05
    label(at_once=3)
    assert model.most_at_once == 3


def test_budgets_end_it_cleanly_and_what_was_paid_is_used_next_time(run, label, model):
    """Six calls are three questions, however they fall: two are with the model at once."""
    summary = label(max_calls=7, at_once=2)
    assert "budget of 7 calls" in summary.ended and summary.answers == 3 and len(model.calls) == 7
    rich = label(max_calls=12)
    assert rich.answers == 3 and rich.cache_hits == 1 and rich.now.calls == 5 and rich.ever.calls == 12


def test_a_budget_of_money_ends_it_cleanly(run, label):
    summary = label(price=(10.0, 10.0), max_cost=0.05, at_once=3, max_tokens=50)
    assert "another call may cost" in summary.ended and summary.ever.cost == pytest.approx(0.042)
    assert "4 calls" in str(summary) and "$0.042" in str(summary) and summary.answers >= 1


def test_an_endpoint_that_refuses_ends_it_and_gives_the_questions_back(run, label, model):
    model.faults += [error(401)] * 10
    with pytest.raises(UserError, match="the key was not accepted"):
        label()
    with LabelStore.open(run) as store:
        assert len(store.open_queries()) == 6 and not store.leases.held("somebody", time.time())


def test_what_was_answered_before_a_refusal_is_stored(run, label, model):
    model.faults += [says('{"answer": "equal", "reason": ""}')] * 4 + [error(402)] * 10
    with pytest.raises(UserError, match="no credit"):
        label(at_once=1)
    assert stored_answers(run) == {1: 0.5, 2: 0.5}


def test_a_model_that_never_answers_in_form_is_given_up(tmp_path, label, model):
    make_run(tmp_path / "run", 20)
    model.say = lambda answer: f"I would say {answer}."
    with pytest.raises(UserError, match="no usable answer to 5 questions in a row; it said 'I would say"):
        label(at_once=1)
    assert len(stored_answers(tmp_path / "run")) == 5


def test_a_few_unusable_replies_are_skips(run, label, model):
    model.faults += [says("Hm."), says("Hm.")]
    summary = label(at_once=1)
    assert (summary.answers, summary.skipped, summary.unusable) == (6, 1, 1)


def test_a_model_with_bad_days_labels_all_the_same(run, label, model):
    model.faults += [error(429, Retry_After="0"), error(500), body(b"{"), says("```json\n{}```"), error(503)]
    summary = label()
    assert summary.answers == 6 and summary.oracle == (6, 6)


def test_a_strangers_text_stays_text(run, label, model):
    evil = "../../etc/passwd <script>alert(1)</script> \x1b]0;x\x07 '); DROP TABLE answers;--"
    model.say = lambda answer: json.dumps({"answer": answer, "reason": evil})
    label()
    with LabelStore.open(run) as store:
        orders = json.loads(by_key(store, "1:ai:eye-1")["details"])["ai"]["orders"]
    assert orders[0]["reason"].startswith("../../etc/passwd <script>") and orders[0]["reason"].isprintable()
    assert sorted(path.name for path in run.iterdir() if path.name.startswith("ai")) == [FILE]


def test_its_reasons_are_in_the_history_as_text(run, label, model, serve):
    model.say = lambda answer: json.dumps({"answer": answer, "reason": "<img src=x onerror=alert(1)>"})
    label()
    (past,) = serve().client().get("/api/history", params={"limit": 1}).json()["answers"]
    assert past["labeller"] == "ai:eye-1" and past["choice"] in ("left", "right")
    assert past["reasons"] == [
        f"as shown here: {past['choice']}. <img src=x onerror=alert(1)>",
        f"in another order: {'right' if past['choice'] == 'left' else 'left'}. <img src=x onerror=alert(1)>",
    ]


def test_the_key_is_written_nowhere(run, label, monkeypatch):
    monkeypatch.setenv("EYE_KEY", "s3cret-of-mine")
    label(key_env="EYE_KEY", price=(1.0, 1.0))
    for path in run.rglob("*"):
        assert not path.is_file() or b"s3cret-of-mine" not in path.read_bytes()


def test_two_of_one_name_are_refused(run, label, model):
    refused = threading.Event()
    model.decide = lambda left, right: "equal" if refused.wait(300) else "unsure"
    first = threading.Thread(target=label)
    first.start()
    while not model.calls:
        time.sleep(0.01)
    with pytest.raises(UserError, match="'ai:eye-1' labels .* already"):
        label()
    refused.set()
    first.join()


def test_two_models_share_the_work(tmp_path, label, model):
    make_run(tmp_path / "run", 20)
    decide = model.decide

    def once_both_are_there(left, right):
        until(lambda: {call["model"] for call in model.calls} == {"eye-1", "eye-2"})
        return decide(left, right)

    model.delay, model.decide = 0.02, once_both_are_there
    other = threading.Thread(target=label, kwargs={"model": "eye-2"})
    other.start()
    label()
    other.join()
    first, second = stored_answers(tmp_path / "run"), stored_answers(tmp_path / "run", "ai:eye-2")
    assert len(first) + len(second) == 20 and first and second and len(model.calls) == 40


def test_a_person_and_a_model_never_answer_the_same_question(tmp_path, label, model, serve):
    """Each holds what it looks at; the person is slow, and the model many times faster."""
    folder = tmp_path / "shared"
    make_run(folder, 30)
    model.delay = 0.02
    ann = serve(folder).person("ann")
    held = [question["query"] for question in ann.next(4)]
    working = threading.Thread(target=label, args=[folder])
    working.start()
    shown = ann.label(3)
    working.join()
    hers = {question["query"] for question in shown}
    with LabelStore.open(folder) as store:
        rows = list(store.history())
        assert [row["kind"] for row in rows] == ["answer"] * len(rows)
        assert not set(stored_answers(folder)) & (set(held) | hers)
        assert len(stored_answers(folder)) + len(hers) + len(store.open_queries()) == 30


def test_somebody_who_was_faster_keeps_the_answer(run, label, model):
    """A person whose lease had ended answers while the model thinks: hers stands, the model's is an opinion."""

    def meanwhile(handler):
        with LabelStore.open(run) as store:
            store.answer([1], [1.0], labeller="ann", first_only=True)
        handler.tell(200, b'{"choices": [{"message": {"content": "{\\"answer\\": \\"equal\\"}"}}]}')

    model.faults.append(meanwhile)
    summary = label(at_once=1)
    assert summary.opinions == 1
    with LabelStore.open(run) as store:
        assert [row["labeller"] for row in store.history() if row["query_id"] == 1 and row["kind"] == "answer"] == [
            "ann"
        ]


def test_leases_are_kept_while_a_model_thinks(run, label, model, monkeypatch):
    monkeypatch.setattr("prefrl.labelling.ai.tasks.LEASE", 3.0)
    thought = threading.Event()
    model.decide = lambda left, right: "equal" if thought.wait(300) else "unsure"
    working = threading.Thread(target=label, kwargs={"at_once": 6, "timeout": 300.0})
    working.start()
    while len(model.calls) < 6:
        time.sleep(0.01)
    with LabelStore.open(run) as store, reading(store.engine) as connection:
        first, latest = [sorted(connection.execute(select(leases.c.until)).scalars())] * 2
        while min(latest) <= max(first):
            time.sleep(0.05)
            latest = sorted(connection.execute(select(leases.c.until)).scalars())
    thought.set()
    working.join()
    assert len(latest) == 6 and set(stored_answers(run).values()) == {0.5}


KILLED = """
import os, signal, sys
from prefrl.store.store import LabelStore
LabelStore.answer = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
from prefrl.cli import main
main(sys.argv[1:])
"""


def command(folder: Path, model: Model, *more: str) -> list[str]:
    return ["label", str(folder), "--ai", "eye-1", "--endpoint", model.url, "--frames", "2", *more]


def started(line: list[str], *before: str) -> subprocess.Popen:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = before or ("-m", "prefrl.cli")
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *program, *line], cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True)


def test_killed_between_the_reply_and_the_store_nothing_is_paid_twice(run, label, model):
    process = started(command(run, model, "--at-once", "1"), "-c", KILLED)
    assert process.wait(300) == -signal.SIGKILL
    paid = len(model.calls)
    assert paid >= 2 and stored_answers(run) == {}
    summary = label()
    assert summary.answers == 6 and len(model.calls) == 12 and summary.cache_hits == paid


def test_killed_while_the_model_thinks_the_call_counts(run, label, model):
    model.delay = 600.0
    process = started(command(run, model, "--at-once", "1", "--price", "1", "1"))
    while not model.calls:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.kill()
    process.wait()
    model.delay = 0.0
    summary = label(price=(1.0, 1.0))
    assert summary.answers == 6 and summary.ever.calls == 13 and summary.ever.cost > summary.now.cost


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_ended_by_a_signal_it_stores_what_is_paid_and_says_what_it_did(run, model, end):
    sent = threading.Event()
    model.delay = 0.5
    model.decide = lambda left, right: "equal" if len(model.calls) < 3 or sent.wait(300) else "unsure"
    process = started(command(run, model, "--at-once", "2"))
    while len(model.calls) < 3:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(end)
    sent.set()
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0 and "ai:eye-1: stopped" in out and "Traceback" not in said
    with LabelStore.open(run) as store:
        assert not store.leases.held("somebody", time.time())


def test_the_command_says_what_leaves_the_machine_and_what_came_of_it(run, model):
    process = started(command(run, model, "--price", "1", "2", "--labeller", "robot"))
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "frames of the clips, the question and instructions are sent to 127.0.0.1: they stay on this machine" in said
    assert "robot: nothing is left to answer" in out and "6 answers (0 undecided, 0 skipped)" in out
    assert "12 calls, 0 replies from the cache, 12,000 tokens sent and 600 received; $0.0132" in out
    assert len(stored_answers(run, "robot")) == 6


def test_pictures_reach_the_model_as_pngs(run, label, model):
    label(frames=4)
    left, right = pictures(model.calls[0])
    assert left.shape == right.shape == (20, 20, 3)
