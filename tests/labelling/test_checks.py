"""Labellers are checked without knowing when: known answers, repetitions, mirrored repetitions; and what the experimenter sees."""

from random import Random

import numpy as np
import pytest
from serving import ask, draw, make_run

from prefrl.config.settings import Config
from prefrl.config.values import update
from prefrl.core.data import Queries
from prefrl.core.errors import UserError
from prefrl.labelling import questions, reliability
from prefrl.store.store import LabelStore
from prefrl.store.tables import GOLD

KNOWN = {"teacher.gold": 0.5}


def gold_of(folder, count: int = 4) -> list[int]:
    """Questions whose answer is known, as the trainer asks them: the first is better."""
    ids = ask(folder, count, seed=9)
    with LabelStore.open(folder) as store:
        shown = store.queries(ids)
        gold = store.ask(Queries(shown.segments, np.full(count, np.nan), GOLD, 100, 1))
        store.answer(gold, [1.0] * count, labeller="true reward", kind="truth")
        store.close_questions(ids, "only their segments are needed")
        draw(folder, store, gold)
    return gold


def about(person, name: str) -> dict:
    [found] = [one for one in person.get("/api/team")["labellers"] if one["name"] == name]
    return found


def test_questions_with_known_answers_come_among_the_others_and_look_like_them(serve, tmp_path):
    make_run(tmp_path / "gold", 8, **KNOWN)
    gold = gold_of(tmp_path / "gold")
    serving = serve(tmp_path / "gold", rng=Random(0), access={"invites": {"ben": "bens-token"}})
    ben = serving.person("ben", token="bens-token")
    shown, replies = [], []
    for _ in range(12):
        shown += (here := ben.next())
        replies += [ben.answer(question) for question in here]
    checked = [question for question in shown if question["query"] in gold]
    others = [question for question in shown if question["query"] not in gold]
    assert len(checked) == len({one["query"] for one in checked}) > 0 and len(others) == 8
    assert set(checked[0]) == set(others[0])
    assert {reply.status_code for reply in replies} == {201} and len({frozenset(r.json()) for r in replies}) == 1
    past = ben.get("/api/history")["answers"]
    assert {(one["kind"], one["known"]) for one in past} == {("answer", None)}
    counts = serving.store.counts()
    assert counts.answered == len(serving.store.feedback()[0]) == 8 and counts.asked == 12  # and not 16


def test_the_experimenter_sees_how_often_clear_answers_are_right(serve, tmp_path):
    make_run(tmp_path / "gold", 12, **KNOWN)
    gold = gold_of(tmp_path / "gold", 6)
    serving = serve(tmp_path / "gold", rng=Random(0))
    ann = serving.person("ann")
    for _ in range(18):
        for question in ann.next():
            order = serving.store.displays.find(question["ticket"])["order"]
            ann.answer(question, "left" if order == [0, 1] else "right")
    known = about(ann, "ann")["gold"]
    assert known["share"] == 1.0 and 0 < known["n"] <= len(gold) and known["low"] < 0.9 and known["high"] == 1.0
    assert about(ann, "ann")["reliability"] is None  # there is nobody to compare her with


def test_the_experimenter_says_which_answers_are_known(serve, tmp_path):
    """For tasks without an oracle: what she is sure of checks the others."""
    make_run(tmp_path / "marked", 4, **KNOWN)
    serving = serve(tmp_path / "marked", rng=Random(2), access={"invites": {"ben": "bens-token"}})
    ann, ben = serving.person("ann"), serving.person("ben", token="bens-token")
    [question] = ann.next()
    seq = ann.answer(question, "left").json()["seq"]
    assert ben.say(f"/api/answers/{seq}/known").status_code == 403
    assert ann.say(f"/api/answers/{seq}/known").status_code == 200
    assert ann.get("/api/history")["answers"][0]["known"] is True
    seen = []
    for _ in range(6):
        for one in ben.next():
            seen.append(one["query"])
            ben.answer(one, "right")
    assert question["query"] in seen and about(ann, "ben")["gold"]["n"] == 1
    assert len(serving.store.feedback()[0]) == 4
    ann.say(f"/api/answers/{seq}/known", known=False)
    assert ann.get("/api/history", labeller="ann")["answers"][0]["known"] is False
    assert ann.say(f"/api/answers/{seq}/known").status_code == 200  # again


@pytest.mark.parametrize("choice", ["equal", "skip"])
def test_only_a_clear_answer_can_be_known(serve, choice):
    ann = serve().person("ann")
    [question] = ann.next()
    seq = ann.answer(question, choice).json()["seq"]
    assert ann.say(f"/api/answers/{seq}/known").status_code == 422
    assert ann.say("/api/answers/99/known").status_code == 404


def test_repetitions_with_the_same_and_with_changed_sides_are_told_apart(serve, tmp_path):
    make_run(tmp_path / "long", 30, **{"teacher.repeat": 0.5, "teacher.mirror": 0.5})
    serving = serve(tmp_path / "long", rng=Random(0))
    ann = serving.person("ann")
    ann.label(questions.GAP + 10, "left")  # always left: steady as long as the sides are
    same, reordered = (about(ann, "ann")[name] for name in ("self_agreement", "reordered_agreement"))
    assert same["agree"] == same["n"] > 0 and reordered["agree"] == 0 < reordered["n"]


def test_a_page_that_wants_many_where_few_are_ready_is_checked_no_more_often(serve, tmp_path, monkeypatch):
    """While training asks one question after the other, and the page would take six."""
    monkeypatch.setattr(questions, "FRESH", -1.0)
    folder, seen, shown = tmp_path / "slow", set(), []
    make_run(folder, questions.GAP + 10, **{"teacher.mirror": 0.2})
    ann = serve(folder, rng=Random(0)).person("ann")

    def answer_all() -> list[int]:
        here = ann.next(want=6)
        for question in here:
            ann.answer(question)
        return [question["query"] for question in here]

    while found := answer_all():
        seen |= set(found)
    for k in range(40):
        ask(folder, 1, seed=100 + k)
        shown += answer_all()
    repeats = len(shown) - len(set(shown) - seen)
    assert 2 <= repeats <= 18  # a fifth of 40, and not of 240


def test_the_experimenter_sees_who_is_right_how_often_and_what_people_differ_on(serve, tmp_path):
    make_run(tmp_path / "three", 40, **{"teacher.opinions": 3})
    serving = serve(tmp_path / "three")
    store, rng = serving.store, np.random.default_rng(0)
    for name, error in (("ann", 0.05), ("ben", 0.1), ("eve", 0.9)):
        store.answer(range(1, 41), (rng.random(40) < error).astype(float), labeller=name, first_only=True)
    team = serving.person("ann").get("/api/team")
    relied = {one["name"]: one["reliability"] for one in team["labellers"]}
    assert relied["ann"] > 0.85 and relied["ben"] > 0.8 and relied["eve"] < 0.4
    assert len(team["disputed"]) == reliability.MOST_DISPUTED
    worst = team["disputed"][0]
    assert {one["labeller"]: one["words"] for one in worst["said"]}.keys() == {"ann", "ben", "eve"}
    assert worst["label"][0] <= 0.5 and len(worst["clips"]) == 2


def test_whose_clear_answers_are_often_wrong_is_flagged():
    rows = [{"query_id": q, "asked_kind": "pair", "answer": {"preference": float(q % 2)}} for q in range(40)]
    found = reliability.known_answers(rows, dict.fromkeys(range(40), {"preference": 1.0}))
    assert found["n"] == 40 and found["share"] == 0.5 and found["high"] < 0.7
    assert reliability.known_answers(rows, {}) is None


def test_shares_that_are_more_than_all_are_refused():
    with pytest.raises(UserError, match="sum to 1.2"):
        update(Config(), {"teacher.gold": 0.4, "teacher.repeat": 0.4, "teacher.mirror": 0.4}).check()
