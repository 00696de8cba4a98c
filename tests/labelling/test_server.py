"""The label server over real HTTP: who is shown what, and what becomes of the answers."""

import json
import os
import threading
import time
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
from serving import ask, make_run

from prefrl.labelling import questions
from prefrl.labelling.reliability import kappa
from prefrl.labelling.status import trainer_state
from prefrl.store.reader import Counts

CHOICES = {"left": 1.0, "equal": 0.5, "right": 0.0, "skip": None}


def history(serving):
    return list(serving.store.history())


# what is shown


def test_a_question_says_how_to_play_its_clips_and_nothing_else(serve):
    [question] = serve().person().next()
    assert set(question) == {"query", "ticket", "kind", "clips"}
    assert question["kind"] == "pair" and len(question["clips"]) == 2
    for clip in question["clips"]:
        assert set(clip) == {"url", "frames", "columns", "width", "height", "fps", "pixelated"}
        assert clip["frames"] == 5


def test_clips_come_whole_and_may_be_kept_for_ever(serve):
    person = serve().person()
    for clip in person.next()[0]["clips"]:
        reply = person.http.get(clip["url"])
        assert reply.status_code == 200 and reply.headers["content-type"] == "image/webp"
        assert reply.content[:4] == b"RIFF" and "immutable" in reply.headers["cache-control"]


def test_only_questions_with_both_clips_are_shown(serve, run):
    hidden = ask(run, 3, seed=1, version=9, drawn=False)
    serving = serve()
    assert not {question["query"] for question in serving.person().next(6)} & set(hidden)
    status = serving.person().get("/api/status")
    assert (status["open"], status["ready"], status["rendering"]) == (9, 6, 3)


def test_a_damaged_clip_is_never_shown_and_another_question_takes_its_place(serve, run):
    person = serve().person()
    [first] = person.next()
    person.say("/api/leave")
    path = run / first["clips"][1]["url"].lstrip("/")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    [other] = person.next()
    assert other["query"] != first["query"]
    assert person.http.get(first["clips"][1]["url"]).status_code == 404
    path.unlink()
    assert first["query"] not in {question["query"] for question in person.next(6)}


def test_the_newest_reward_model_asks_first_and_among_its_questions_the_highest_score(serve, run):
    newest = ask(run, 3, seed=1, version=5, scores=[0.1, 0.9, 0.5])
    shown = [question["query"] for question in serve().person().next(6)]
    assert shown[:3] == [newest[1], newest[2], newest[0]]
    assert max(shown[3:]) < min(newest)


def test_two_people_are_not_shown_the_same_question(serve):
    serving = serve()
    ann, ben = serving.person("ann"), serving.person("ben")
    hers, his = ann.next(4), ben.next(6)
    assert len(hers) == 4 and len(his) == 2
    assert not {q["query"] for q in hers} & {q["query"] for q in his}


def test_what_a_page_holds_is_not_sent_again(serve):
    person = serve().person()
    held = [question["query"] for question in person.next(2)]
    assert not {question["query"] for question in person.next(6, holding=held)} & set(held)


def test_who_leaves_gives_the_questions_back(serve):
    serving = serve()
    ann, ben = serving.person("ann"), serving.person("ben")
    ann.next(6)
    assert ben.next() == []
    assert ann.say("/api/leave").json() == {}
    assert len(ben.next(6)) == 6


def test_a_lease_ends_by_itself_unless_the_page_lives(serve, monkeypatch):
    now = [time.time()]
    monkeypatch.setattr(questions, "time", SimpleNamespace(time=lambda: now[0], monotonic=time.monotonic))
    serving = serve()
    ann, ben = serving.person("ann"), serving.person("ben")
    held = [question["query"] for question in ann.next(6)]
    for _ in range(6):
        now[0] += questions.LEASE / 5
        assert ann.say("/api/heartbeat", holding=held[:1]).status_code == 200
    assert {question["query"] for question in ben.next(6)} == set(held[1:])


def test_a_flagged_question_is_shown_to_nobody(serve):
    serving = serve()
    ann = serving.person("ann")
    [broken] = ann.next()
    assert ann.say("/api/flag", query=broken["query"], note="one clip is black").json() == {}
    ann.say("/api/leave")
    assert broken["query"] not in {q["query"] for q in serving.person("ben").next(6)}
    assert serving.store.counts().closed == 1


# what becomes of answers


def test_answers_that_a_page_of_the_first_release_kept_in_its_browser_are_taken(serve):
    """It sent the word of a choice in place of an answer."""
    serving = serve()
    person = serving.person()
    shown = person.next(4)
    for question, choice in zip(shown, CHOICES, strict=True):
        body = {"ticket": question["ticket"], "query": question["query"], "choice": choice, "decision_ms": 900}
        assert person.say("/api/answers", **body).status_code == 201
    assert [row["preference"] for row in history(serving)] == list(CHOICES.values())
    assert person.say("/api/answers/1/revise", ticket="revise-01", choice="right").status_code == 201
    assert history(serving)[-1]["preference"] == 0.0


@pytest.mark.parametrize(
    "told", [{}, {"choice": "up"}, {"answer": {"preference": 2}}, {"answer": {"rank": 1}}, {"answer": 1}]
)
def test_what_is_no_answer_of_its_kind_is_refused(serve, told):
    serving = serve()
    person = serving.person()
    [question] = person.next()
    reply = person.say("/api/answers", ticket=question["ticket"], query=question["query"], **told)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid") and not history(serving)


def test_the_status_describes_each_kind_of_question(serve):
    [pair] = serve().person().get("/api/status")["kinds"].values()
    assert (pair["widget"], pair["segments"], pair["places"]) == ("choices", 2, ["left", "right"])
    assert [one["answer"] for one in pair["choices"]] == [
        {"preference": 1.0},
        {"preference": 0.5},
        None,
        {"preference": 0.0},
    ]
    assert [(one["clear"], one["favours"]) for one in pair["choices"]] == [
        (True, 0),
        (False, None),
        (False, None),
        (True, 1),
    ]


@pytest.mark.parametrize(("choice", "stored"), CHOICES.items())
def test_each_choice_is_stored_as_what_it_means_for_the_first_segment(serve, choice, stored):
    serving = serve()
    person = serving.person()
    assert person.answer(person.next()[0], choice, decision_ms=2500, loops=2.5, revealed=True).status_code == 201
    [row] = history(serving)
    assert (row["preference"], row["labeller"], row["kind"], row["response_seconds"]) == (stored, "ann", "answer", 2.5)
    details = json.loads(row["details"])
    assert (details["loops"], details["revealed"], details["order"]) == (2.5, True, [0, 1])


def test_an_answer_sent_again_counts_once_and_gets_the_same_reply(serve):
    serving = serve()
    person = serving.person()
    [question] = person.next()
    replies = [person.answer(question) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [201, 200, 200, 200]
    assert [reply.json() for reply in replies] == [
        {"seq": 1, "duplicate": again, "model": None} for again in (False, True, True, True)
    ]
    assert len(history(serving)) == 1


def test_the_same_display_with_another_answer_is_refused_and_changes_nothing(serve):
    serving = serve()
    person = serving.person()
    first, second = person.next(2)
    person.answer(first, "left")
    for reply in (person.answer(first, "right"), person.answer({**first, "query": second["query"]}, "left")):
        assert reply.status_code == 422 and reply.json()["code"] == "ticket_used"
    assert [row["preference"] for row in history(serving)] == [1.0]


def test_a_ticket_that_was_never_given_is_refused(serve):
    person = serve().person()
    reply = person.answer({**person.next()[0], "ticket": "made-up-by-somebody"})
    assert (reply.status_code, reply.json()["code"]) == (404, "unknown_ticket")


def test_of_eight_answers_at_once_one_stands_and_the_others_are_kept_as_opinions(serve, monkeypatch):
    monkeypatch.setattr(questions, "LEASE", 0.0)  # so that all are shown the same
    serving = serve()
    people = [serving.person(f"p{number}") for number in range(8)]
    for _ in range(6):
        shown = [person.next()[0] for person in people]
        assert len({question["query"] for question in shown}) == 1
        together, found = threading.Barrier(8), []

        def answer(person, question, together=together, found=found):
            together.wait()
            found.append(person.answer(question))

        threads = [threading.Thread(target=answer, args=pair) for pair in zip(people, shown, strict=True)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert sorted(reply.status_code for reply in found) == [201] + 7 * [409]
        assert {r.json().get("code") for r in found} == {None, "answered_already"}
        assert all(reply.json()["seq"] for reply in found)
    assert serving.store.counts() == Counts(6, 6, 0, 0)
    assert len(serving.store.feedback()[0]) == 6 and len(history(serving)) == 48


def test_a_late_answer_is_taken_after_the_lease_ended_and_the_server_was_started_anew(serve, monkeypatch):
    monkeypatch.setattr(questions, "LEASE", 0.0)
    before = serve()
    person = before.person()
    first, second = person.next(2)
    before.close()
    after = serve()
    person.http = after.client()  # the page goes on with its session
    assert person.answer(first).status_code == 201
    after.person("ben").label(1)
    assert person.answer(second).status_code == 409
    assert after.store.counts().answered == 2


def test_an_answer_to_a_question_taken_back_by_the_trainer_is_taken_all_the_same(serve):
    serving = serve()
    person = serving.person()
    [question] = person.next()
    serving.store.close_questions([question["query"]], "stale")
    assert person.answer(question).status_code == 201
    assert len(serving.store.feedback()[0]) == 1


# corrections


def test_an_answer_withdrawn_comes_back_as_a_question(serve):
    serving = serve()
    person = serving.person()
    [question] = person.next()
    seq = person.answer(question, "left").json()["seq"]
    undone = person.say(f"/api/answers/{seq}/withdraw", ticket="undo-0001")
    again = undone.json()["question"]
    assert (undone.status_code, again["query"], again["clips"]) == (201, question["query"], question["clips"])
    assert again["ticket"] != question["ticket"] and serving.store.feedback() == []
    retried = person.say(f"/api/answers/{seq}/withdraw", ticket="undo-0001")
    assert (retried.status_code, retried.json()["seq"]) == (200, undone.json()["seq"])
    assert person.answer(question, "left").status_code == 200  # a late retry of the answer undoes no undoing
    assert serving.store.feedback() == []
    assert person.answer(again, "right").status_code == 201
    assert serving.store.feedback()[0].answer["preference"].tolist() == [0.0]


def test_a_revision_takes_the_place_of_the_answer_once(serve):
    serving = serve()
    person = serving.person()
    seq = person.label(1) and history(serving)[0]["seq"]
    revise = [person.say(f"/api/answers/{seq}/revise", ticket="revise-01", choice="right") for _ in range(2)]
    assert [(reply.status_code, reply.json()) for reply in revise] == [
        (201, {"seq": 2, "model": None}), (200, {"seq": 2, "model": None}),
    ]  # fmt: skip
    other = person.say(f"/api/answers/{seq}/revise", ticket="revise-01", choice="left")
    assert (other.status_code, other.json()["code"]) == (422, "ticket_used")
    late = person.say(f"/api/answers/{seq}/revise", ticket="revise-02", choice="left")
    assert (late.status_code, late.json()["code"]) == (409, "superseded")
    assert person.say("/api/answers/99/revise", ticket="revise-03", choice="left").status_code == 404
    assert serving.store.feedback()[0].answer["preference"].tolist() == [0.0]


def test_invited_people_correct_and_see_only_their_own_and_label_under_their_name(serve):
    serving = serve(access={"invites": {"ben": "bens-token"}})
    ann, ben = serving.person("ann"), serving.person("ann", token="bens-token")
    opened = ben.post("/api/session", labeller="ann").json()
    assert (opened["labeller"], opened["role"]) == ("ben", "labeller")
    ann.label(1)
    ben.label(1)
    assert [row["labeller"] for row in history(serving)] == ["ann", "ben"]
    for path, more in (("revise", {"choice": "right"}), ("withdraw", {})):
        reply = ben.say(f"/api/answers/1/{path}", ticket="correct-1", **more)
        assert (reply.status_code, reply.json()["code"]) == (403, "not_yours")
    assert ben.say("/api/flag", query=6).json()["code"] == "not_yours"
    assert [a["labeller"] for a in ben.get("/api/history", labeller="ann")["answers"]] == ["ben"]
    assert ben.http.get("/api/team").status_code == 403
    assert ben.post("/api/invites", labeller="eve").status_code == 403
    [hers] = ann.next()
    assert ben.answer(hers).json()["code"] == "not_yours"
    assert ann.say("/api/answers/2/revise", ticket="by-the-experimenter", choice="equal").status_code == 201


def test_a_session_belongs_to_the_token_that_opened_it(serve):
    serving = serve(access={"invites": {"ben": "bens-token"}})
    ann, ben = serving.person("ann"), serving.person("ben", token="bens-token")
    ben.session = ann.session
    reply = ben.say("/api/next")
    assert (reply.status_code, reply.json()["code"]) == (401, "unknown_session")


# repetitions and second opinions


def test_now_and_then_a_question_comes_again_with_its_sides_changed(serve, tmp_path):
    make_run(tmp_path / "long", 16, **{"teacher.mirror": 1.0})
    serving = serve(tmp_path / "long")
    person = serving.person()
    first = person.label(questions.GAP, "left")  # too early to repeat
    assert len({question["query"] for question in first}) == questions.GAP
    first += person.label(1, "left")
    [again] = person.next()
    original = next(question for question in first if question["query"] == again["query"])
    assert set(again) == set(original)
    assert again["clips"] == original["clips"][::-1]
    assert person.answer(again, "right").status_code == 201
    assert serving.store.counts().answered == questions.GAP + 1 == len(serving.store.feedback()[0])
    assert person.get("/api/team")["labellers"][0]["reordered_agreement"] == {"agree": 1, "n": 1}
    assert person.get("/api/history", limit=1)["answers"][0]["choice"] == "right"


def test_repetitions_come_at_the_share_asked_for(serve, tmp_path):
    make_run(tmp_path / "long", 70, **{"teacher.repeat": 0.2, "teacher.mirror": 0.1})
    serving = serve(tmp_path / "long", rng=Random(1))
    person = serving.person()
    shown = person.label(60, "left")
    repeated = len(shown) - len({question["query"] for question in shown})
    assert 0.1 < repeated / 60 < 0.4


def test_nothing_is_repeated_where_nothing_is_open(serve, tmp_path):
    make_run(tmp_path / "mirrored", 6, **{"teacher.mirror": 1.0})
    serving = serve(tmp_path / "mirrored")
    person = serving.person()
    person.label(6)
    assert person.next(6) == []


def test_as_many_people_are_asked_as_the_experimenter_wants(serve, tmp_path):
    make_run(tmp_path / "two", 3, **{"teacher.opinions": 2})
    serving = serve(tmp_path / "two")
    hers = serving.person("ann").label(3, "left")
    assert serving.person("ann").next() == [] and serving.store.counts().open == 3
    ben = serving.person("ben")
    his = ben.label(3, "equal")
    assert {question["query"] for question in his} == {question["query"] for question in hers}
    assert serving.store.counts().answered == 3
    assert serving.store.feedback()[0].answer["preference"].tolist() == [1.0] * 3
    assert {q["query"] for q in serving.person("eve").next(3)}.isdisjoint(q["query"] for q in hers)  # two are enough
    [pair] = ben.get("/api/team")["agreement"]
    assert (pair["a"], pair["b"], pair["agree"], pair["n"]) == ("ann", "ben", 0.0, 3)


def test_who_asks_for_answered_questions_gets_those_of_others_and_then_own_ones(serve):
    serving = serve()
    ann, ben = serving.person("ann"), serving.person("ben")
    ann.label(2)
    ben.label(1)
    again = ann.next(6, again=True)
    assert [question["query"] for question in again][0] == 3 and len(again) == 3
    assert [ann.answer(question).status_code for question in again] == [201] * 3
    assert len(serving.store.feedback()[0]) == 3 and serving.store.last_seq() == 6


def test_clips_that_somebody_wants_to_see_are_wished_from_the_render_worker(serve, run):
    hidden = ask(run, 2, seed=1, drawn=False)
    serving = serve()
    serving.store.answer(hidden, [1.0, 0.0], labeller="oracle")
    assert serving.person().next(again=True) == []
    assert sorted(serving.store.notices.read("wanted")[0]["queries"]) == hidden


# what the reward model thinks


def predict(serving, ids, first=0.9):
    rewards = [[0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 0.0, 0.0]]
    one = {"model_version": 3, "chances": [first, 1 - first], "rewards": rewards}
    serving.store.notices.predict({id: one for id in ids})


def test_what_the_model_thinks_is_told_after_the_answer_as_it_was_displayed(serve, tmp_path):
    ids = make_run(tmp_path / "long", questions.GAP + 2, **{"teacher.mirror": 1.0})
    serving = serve(tmp_path / "long")
    predict(serving, ids)
    person = serving.person()
    [question] = person.next()
    assert "0.9" not in json.dumps(question)
    view = person.answer(question, "left").json()["model"]
    assert (view["chances"][0], view["agrees"], view["version"]) == (0.9, True, 3)
    assert view["rewards"][0] == [0.1, 0.2, 0.3, 0.4]
    person.label(questions.GAP)
    turned = person.answer(person.next()[0], "left").json()["model"]
    assert turned["chances"][0] == pytest.approx(0.1) and turned["agrees"] is False
    assert turned["rewards"][1] == [0.1, 0.2, 0.3, 0.4]


def test_the_models_accuracy_is_that_of_predictions_made_before_the_answer(serve):
    serving = serve()
    person = serving.person()
    predict(serving, [1, 2, 3], 0.9)
    for question, choice in zip(person.next(4), ("left", "right", "equal", "left"), strict=True):
        person.answer(question, choice)
    predict(serving, [2, 4], 0.1)  # it has learned meanwhile
    assert person.get("/api/team")["model"] == {
        "accuracy": 0.5, "n": 2, "by_version": [{"version": 3, "accuracy": 0.5, "n": 2}],
    }  # fmt: skip


# history and status


def test_history_tells_every_answer_with_its_clips_the_latest_first(serve):
    serving = serve()
    person = serving.person()
    shown = person.label(3, "left")
    person.say("/api/answers/2/revise", ticket="revise-01", choice="equal")
    person.say("/api/answers/3/withdraw", ticket="withdraw1")
    past = person.get("/api/history", limit=4)
    assert past["more"] is True
    told = [
        (a["seq"], a["kind"], a["choice"], a["standing"], a["supersedes"], a["superseded_by"]) for a in past["answers"]
    ]
    assert told == [
        (5, "withdrawal", None, False, 3, None), (4, "answer", "equal", True, 2, None),
        (3, "answer", "left", False, None, 5), (2, "answer", "left", False, None, 4),
    ]  # fmt: skip
    assert past["answers"][3]["clips"] == shown[1]["clips"] and past["answers"][3]["decision_ms"] == 1500
    rest = person.get("/api/history", before=2)
    assert [answer["seq"] for answer in rest["answers"]] == [1] and rest["more"] is False


def test_without_instructions_what_a_picture_shows_is_explained(serve):
    assert "push of its motor" in serve().person().get("/api/status")["instructions"]


def test_status_counts_and_reads_what_the_experimenter_wrote(serve, run):
    (run / "instructions.md").write_text("Prefer the **upright** one.")
    person = serve().person()
    person.label(2)
    time.sleep(1.1)  # a status is a second old at most
    status = person.get("/api/status", session=person.session)
    assert (status["run"], status["env"], status["budget"]) == ("run", "Pendulum-v1", 700)
    assert (status["asked"], status["answered"], status["open"]) == (6, 2, 4)
    assert (status["labeller"], status["role"], status["mine"]["answers"]) == ("ann", "experimenter", 2)
    assert status["instructions"] == "Prefer the **upright** one."
    assert status["trainer"]["state"] == "absent" and status["next"] is None


@pytest.mark.parametrize(
    ("said", "age", "alive", "state"),
    [
        ("running", 1, True, "running"), ("running", 100, True, "running"), ("running", 8, False, "stopped"),
        ("running", 1, False, "running"), ("waiting for labels", 20, False, "stopped"),
        ("finished", 100, False, "finished"), ("paused", 1, True, "paused"), (None, 0, False, "absent"),
        (None, 0, True, "running"),
    ],
)  # fmt: skip
def test_a_trainer_that_was_killed_counts_as_stopped_whatever_it_said_last(tmp_path, said, age, alive, state):
    (tmp_path / ".pid").write_text(str(os.getpid() if alive else 2**22 + 1))
    notice = {"state": said, "step": 100, "total_steps": 1000, "steps_per_second": 10.0, "next_due_step": 300}
    trainer, due = trainer_state(tmp_path, (notice, age) if said else None)
    assert trainer["state"] == state
    assert due == (pytest.approx(max(0, 20 - age)) if said and state == "running" else None)


# numbers by hand


def test_kappa_is_agreement_beyond_chance():
    a = [1.0] * 25 + [0.0] * 25
    b = [1.0] * 20 + [0.0] * 5 + [1.0] * 10 + [0.0] * 15  # agree on 35 of 50; by chance .5 * .6 + .5 * .4
    assert kappa(a, b) == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert kappa([1.0, 1.0], [1.0, 1.0]) is None


@pytest.mark.parametrize(
    ("rater", "flag"),
    [("coin", "contradicts own answers"), ("always left", "prefers one side"), ("hasty", "faster"), ("steady", None)],
)
def test_careless_raters_are_flagged_and_their_answers_stay(serve, tmp_path, rater, flag):
    rng = np.random.default_rng(0)
    ids = make_run(tmp_path / "many", 60, drawn=False)
    serving = serve(tmp_path / "many")
    truth = rng.random(60).round()
    for turn, mirrored in ((0, False), (1, True)):
        for id in ids[: 60 if turn == 0 else 30]:
            left = {"coin": rng.random() < 0.5, "always left": True}.get(rater, truth[id - 1] != mirrored)
            told = float(left != mirrored)
            details = json.dumps({"mirrored": mirrored, "purpose": "repeat" if turn else "new"})
            seconds = 0.3 if rater == "hasty" else 2.0
            serving.store.answer(
                [id], [told], labeller=rater, keys=[f"{id}-{turn}"], details=[details], response_seconds=[seconds],
                kind="opinion" if turn else "answer",
            )  # fmt: skip
    [about] = serving.person().get("/api/team")["labellers"]
    found = [text for text in about["flags"] if flag and flag in text]
    assert bool(found) == bool(flag) and (flag or not about["flags"])
    assert about["answers"] == 90 and len(serving.store.feedback()[0]) == 60
