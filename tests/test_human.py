"""Whole runs whose teacher is a person: a thread that answers through the label store, as the label page does."""

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from patience import until

from prefrl.core.errors import Stopped
from prefrl.runs import progress
from prefrl.runs.api import resume
from prefrl.runs.metrics import Log
from prefrl.runs.progress import TrainerNotices
from prefrl.store.store import LabelStore

ALONE = {"teacher": "human", "teacher.page": False, "teacher.lag": 3, "teacher.wait": 8, "questions.until": 0.6}


class Labeller(threading.Thread):
    """Prefers what truly earns more. Corrects some of its first answers later, as people do."""

    def __init__(self, folder: Path, mistakes: int = 0):
        super().__init__(daemon=True)
        self.folder, self.mistakes, self.over = folder, mistakes, threading.Event()
        self.states: set[str] = set()

    def run(self) -> None:
        while not (self.folder / "labels.db").exists() or not (self.folder / "run.json").exists():
            time.sleep(0.01)
        with LabelStore.open(self.folder) as store:
            wrong = []
            while not self.over.wait(0.01):
                for query in store.open_queries():
                    returns = store.queries([query]).segments.true_returns[0]
                    better = float(returns[0] > returns[1])
                    slip = len(wrong) < self.mistakes
                    (seq,) = store.answer([query], [1 - better if slip else better], labeller="ann", first_only=True)
                    wrong += [(seq, better)] if slip else []
                if store.last_seq() > 15:
                    while wrong:
                        seq, better = wrong.pop()
                        store.revise(seq, better, labeller="ann")
                        self.mistakes = 0
                if notice := store.notices.read("trainer"):
                    self.states.add(notice[0]["state"])


def learned_from(model) -> dict[int, float]:
    """The answers that a reward model remembers, by question."""
    answers = model.answers["pair"]
    return dict(zip(answers.query.tolist(), answers.answer["preference"].tolist(), strict=True))


@pytest.fixture
def labeller(tmp_path):
    person = Labeller(tmp_path / "run")
    yield person
    person.over.set()
    person.join(300)


@pytest.mark.filterwarnings("ignore:.*episodes of 200 steps")
def test_a_run_learns_from_a_person_and_from_her_corrections(short, labeller):
    labeller.mistakes = 5
    labeller.start()
    run = short(**ALONE).run
    with LabelStore.open(run.folder) as store:
        assert store.counts().answered == 24 and store.counts().open == 0
        [stood] = store.feedback()
        assert len(stood) == 24 and sum(row["supersedes"] is not None for row in store.history()) == 5
        truth = stood.segments.true_returns
        assert (stood.answer["preference"] == (truth[:, 0] > truth[:, 1])).all()
        trainer, _ = store.notices.read("trainer")
        assert trainer["state"] == "finished" and trainer["step"] == 2048
        thought = store.notices.predictions([24])[24]
    assert sorted(run.reward_model.recent_queries(99)) == list(range(1, 25))
    learned = learned_from(run.reward_model)
    assert learned == dict(zip(stood.query.tolist(), stood.answer["preference"].tolist(), strict=True))
    assert np.shape(thought["rewards"]) == (2, 10) and sum(thought["chances"]) == pytest.approx(1)
    until(lambda: labeller.states >= {"waiting for labels", "finished"})


@pytest.mark.filterwarnings("ignore:.*episodes of 200 steps")
@pytest.mark.filterwarnings("ignore:nothing was learned")
def test_when_nobody_answers_the_agent_trains_on_and_the_queue_stops_growing(short):
    run = short(**{**ALONE, "teacher.lag": 0, "teacher.wait": 0, "teacher.queue": 5, "teacher.stale": 0.0}).run
    assert run.agent.step == 2048 and run.reward_model.version == 0
    with LabelStore.open(run.folder) as store:
        assert store.counts().open == 5 == store.counts().asked


@pytest.mark.filterwarnings("ignore:.*episodes of 200 steps")
@pytest.mark.filterwarnings("ignore:nothing was learned")
def test_what_is_taken_back_makes_room_for_new_questions(short):
    run = short(**{**ALONE, "teacher.lag": 0, "teacher.wait": 0, "teacher.queue": 5, "teacher.stale": 0.3}).run
    with LabelStore.open(run.folder) as store:
        counts = store.counts()
        assert counts.closed >= 5 and counts.open <= 5 and run.asker.asked == counts.asked - counts.closed


@pytest.mark.filterwarnings("ignore:.*episodes of 200 steps")
def test_a_run_that_is_stopped_goes_on_with_all_answers_and_corrections(short, labeller, tmp_path):
    from stable_baselines3.common.callbacks import BaseCallback

    class Stop(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps > 1100:
                raise Stopped(15, tmp_path / "run")
            return True

    labeller.mistakes = 5
    labeller.start()
    with pytest.raises(Stopped):
        short(callbacks=[Stop()], **ALONE)
    with LabelStore.open(tmp_path / "run") as store:
        assert store.notices.read("trainer")[0]["state"] == "stopped"
        before = list(store.history())
    result = resume(tmp_path / "run", quiet=True)
    with LabelStore.open(tmp_path / "run") as store:
        assert list(store.history())[: len(before)] == before
        [stood] = store.feedback()
    learned = learned_from(result.run.reward_model)
    assert (
        learned == dict(zip(stood.query.tolist(), stood.answer["preference"].tolist(), strict=True))
        and len(learned) == 24
    )
    assert json.loads((tmp_path / "run" / "result.json").read_text())["asked"] == 24


class Crowd(Labeller):
    """Three people who judge every question and every known one; the last of them always errs."""

    def run(self) -> None:
        while not (self.folder / "labels.db").exists() or not (self.folder / "run.json").exists():
            time.sleep(0.01)
        with LabelStore.open(self.folder, opinions=3) as store:
            while not self.over.wait(0.01):
                for query in [*store.open_queries(), *store.asked_queries(gold=True)]:
                    returns = store.queries([query]).segments.true_returns[0]
                    better = float(returns[0] > returns[1])
                    for name, told in (("ann", better), ("ben", better), ("eve", 1 - better)):
                        store.answer([query], [told], labeller=name, first_only=True)


@pytest.mark.filterwarnings("ignore:.*episodes of 200 steps")
def test_a_run_learns_what_several_people_say_together(short, tmp_path):
    crowd = Crowd(tmp_path / "run")
    crowd.start()
    try:
        run = short(**ALONE, **{"teacher.opinions": 3, "teacher.gold": 0.2}).run
    finally:
        crowd.over.set()
        crowd.join(300)
    with LabelStore.open(run.folder, opinions=3) as store:
        assert store.counts().asked == store.counts().answered == 24
        [stood], gold = store.feedback(), store.asked_queries(gold=True)
    learned = learned_from(run.reward_model)
    truth = stood.segments.true_returns[:, 0] > stood.segments.true_returns[:, 1]
    assert learned.keys() == set(stood.query.tolist()) and gold and not learned.keys() & set(gold)
    assert [learned[query] for query in stood.query.tolist()] == pytest.approx(truth.astype(float), abs=0.06)


def test_the_time_that_people_take_is_no_time_of_training(monkeypatch, tmp_path):
    """At 10 steps a second for 20 seconds, with a pause of an hour between."""
    clock, agent, posted = [100.0], SimpleNamespace(step=0, total_steps=1000, turn_steps=100), []
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    asker = SimpleNamespace(budget=10, asked=1, next_session=lambda *_: None)
    store = SimpleNamespace(notices=SimpleNamespace(post=lambda _, notice: posted.append(notice["steps_per_second"])))
    notices = TrainerNotices(agent, asker, None, store, Log(), 5, lambda state: None)
    notices.start()
    clock[0], agent.step = 110.0, 100
    notices.waiting("waiting for labels")
    clock[0] = 3710.0
    notices.waiting("waiting for labels")
    notices.waiting("running")
    clock[0], agent.step = 3720.0, 200
    notices.turn()
    notices.waiting("waiting for labels")
    assert posted[1:] == pytest.approx([10.0] * (len(posted) - 1)) and len(posted) >= 4
