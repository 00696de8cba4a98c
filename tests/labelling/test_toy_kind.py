"""A kind of question that the package does not have: defined here, registered with one line, and labelled like any other."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field
from serving import PEOPLE, draw

from prefrl.config.settings import Config
from prefrl.config.values import as_dict, update
from prefrl.core.data import Queries, Segments
from prefrl.core.errors import UserError
from prefrl.dataset.export import export_run
from prefrl.dataset.importing import import_dataset
from prefrl.kinds import KINDS, Choice, Kind, inverse
from prefrl.labelling.ai import reply
from prefrl.labelling.ai.asking import combine
from prefrl.labelling.ai.prompt import Prompt
from prefrl.store.store import LabelStore

PLACES = ("first", "middle", "last")


class Best(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    best: int = Field(ge=0, le=2)


class BestOfThree(Kind):
    """Which of three segments is best?"""

    name = "best of three"
    about = "which of three segments is best"
    segments = 3
    question = "Which one is best?"
    places = PLACES
    outcomes = PLACES
    schema = Best
    prompt = "You choose the best of three clips."
    choices = (
        *(Choice(place, f"The {place} is best", place, str(k + 1), str(k + 1), "", {"best": k})
          for k, place in enumerate(PLACES)),
        Choice("skip", "No idea", "No idea", "0", "0", "down", None),
    )  # fmt: skip

    def reordered(self, answer, order):
        return {"best": int(order[answer["best"]])}

    def favoured(self, answer):
        return answer["best"]

    def chances_of(self, answer):
        return np.eye(3)[answer["best"].astype(int)]

    def displayed(self, chances, order):
        return [chances[segment] for segment in order]

    def answers_of(self, chances):
        return [{"best": int(best)} for best in chances.argmax(-1)]

    def orders(self):
        return [[0, 1, 2], [2, 0, 1], [1, 2, 0]]


TOY = BestOfThree()


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(KINDS, TOY.name, TOY)


def segments(count: int, each: int, seed: int = 0) -> Segments:
    rng = np.random.default_rng(seed)
    shapes = ((count, each, 5, 3), (count, each, 4, 1), (count, each, 4))
    numbers = np.arange(count * each).reshape(count, each)
    return Segments(*(rng.normal(size=shape) for shape in shapes), numbers, numbers)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that asks pairs, then the best of three."""
    folder = tmp_path / "run"
    folder.mkdir()
    config = update(Config(), {"env": "Pendulum-v1", **PEOPLE, "teacher.opinions": 2})
    (folder / "config.yaml").write_text(yaml.safe_dump(as_dict(config)))
    (folder / "run.json").write_text(json.dumps({"format": 1, "packages": {}, "own": {}}))
    with LabelStore.open(folder) as store:
        ids = store.ask(Queries(segments(2, 2), np.full(2, np.nan), kind="pair"), ["0-0", "0-1"])
        threes = Queries(segments(3, 3, seed=1), np.full(3, np.nan), kind=TOY.name)
        ids += store.ask(threes, [f"{TOY.name}-0-{k}" for k in range(3)])
        draw(folder, store, ids)
    return folder


def rows(serving) -> list[dict]:
    return list(serving.store.history())


def test_it_is_described_shown_answered_and_told_of_like_any_other(run, serve):
    serving = serve(run, rng=Random(3))
    ann, ben = serving.person("ann"), serving.person("ben")
    described = ann.get("/api/status")["kinds"][TOY.name]
    assert (described["segments"], described["places"], described["widget"]) == (3, list(PLACES), "choices")
    assert described["choices"][1]["answer"] == {"best": 1} and described["choices"][1]["favours"] == 1
    hers, his = ann.next(6), ben.next(6)
    assert sorted(one["kind"] for one in hers) == [TOY.name] * 3 + ["pair"] * 2
    [asked] = [one for one in hers if one["query"] == 3]
    assert len(asked["clips"]) == 3
    assert ann.answer(asked, "last").status_code == 201
    for one in his:
        ben.answer(one, "skip" if one["query"] == 4 else "first" if one["kind"] == TOY.name else "left")
    again = ben.next(6)
    assert again == []
    orders = {row["labeller"]: json.loads(row["details"])["order"] for row in rows(serving) if row["query_id"] == 3}
    stored = {row["labeller"]: row["answer"] for row in rows(serving) if row["query_id"] == 3}
    assert stored == {"ann": {"best": orders["ann"][2]}, "ben": {"best": orders["ben"][0]}}
    assert serving.store.counts().skipped == 0  # of question 4 ann's answer is wanted still
    past = ann.get("/api/history", labeller="ben")["answers"]
    assert {one["query"]: one["words"] for one in past} == {
        1: "Left is better", 2: "Left is better", 3: "The first is best", 4: "No idea", 5: "The first is best",
    }  # fmt: skip
    [team] = [one for one in ann.get("/api/team")["labellers"] if one["name"] == "ben"]
    shares = {one["kind"]: (one["place"], one["share"], one["n"]) for one in team["places"]}
    assert shares == {"pair": ("left", 1.0, 2), TOY.name: ("first", 1.0, 2)} and team["skips"] == 1


def test_shown_in_another_order_it_is_stored_about_the_stored_one(run, serve):
    serving = serve(run)
    ann = serving.person("ann")
    [question] = [one for one in ann.next(6) if one["query"] == 4]
    with serving.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE displays SET \"order\" = '[2, 0, 1]' WHERE query_id = 4")
    assert ann.answer(question, "first").status_code == 201
    [row] = rows(serving)
    assert row["answer"] == {"best": 2} and row["preference"] is None and row["asked_kind"] == TOY.name
    [past] = ann.get("/api/history")["answers"]
    assert (past["answer"], past["choice"], past["order"]) == ({"best": 0}, "first", [2, 0, 1])
    assert ann.say(f"/api/answers/{row['seq']}/revise", ticket="revise-1", answer={"best": 1}).status_code == 201
    assert rows(serving)[-1]["answer"] == {"best": 0}
    for wrong in ({"best": 3}, {"preference": 1.0}, {}):
        assert ann.say(f"/api/answers/{row['seq']}/revise", ticket="revise-2", answer=wrong).status_code == 422


def test_the_models_prediction_is_shown_in_the_order_displayed(run, serve):
    serving = serve(run)
    rewards = [[float(k)] * 4 for k in range(3)]
    serving.store.notices.predict({4: {"model_version": 2, "chances": [0.1, 0.2, 0.7], "rewards": rewards}})
    ann = serving.person("ann")
    [question] = [one for one in ann.next(6) if one["query"] == 4]
    with serving.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE displays SET \"order\" = '[2, 0, 1]' WHERE query_id = 4")
    view = ann.answer(question, "first").json()["model"]
    assert view["chances"] == [0.7, 0.1, 0.2] and view["agrees"] is True and view["rewards"][0] == [2.0] * 4
    assert ann.get("/api/team")["model"] == {
        "accuracy": 1.0, "n": 1, "by_version": [{"version": 2, "accuracy": 1.0, "n": 1}],
    }  # fmt: skip


def test_a_model_is_asked_in_the_kinds_words_and_answers_by_its_schema():
    pictures = tuple(np.full((4, 4, 3), k, np.uint8) for k in range(3))
    prompt = Prompt(TOY, "", "", pictures)
    system, user = prompt.messages()
    assert system["content"] == TOY.prompt and "Question: Which one is best?" in user["content"][0]["text"]
    assert [part["text"] for part in user["content"][1::2]] == [f"The {place} clip:" for place in PLACES]
    enum = prompt.reply_format()["json_schema"]["schema"]["properties"]["answer"]["enum"]
    assert enum == [*PLACES, "skip"]
    assert reply.read('{"reason": "fast", "answer": "middle"}', TOY).answer == {"best": 1}
    assert reply.read('{"answer": "left"}', TOY) is None
    replies = [TOY.stored({"best": inverse(order)[2]}, order) for order in TOY.orders()]
    assert combine(TOY, replies, "equal") == {"best": 2}
    assert combine(TOY, [*replies[:2], {"best": 0}], "equal") is None  # this kind has no undecided answer


def test_export_import_export_gives_the_same_bytes(run, serve, tmp_path):
    serving = serve(run)
    for name in ("ann", "ben"):
        person = serving.person(name)
        for question in person.next(6):
            person.answer(question, "middle" if question["kind"] == TOY.name else "right")
    for formats in (("jsonl",), ("jsonl", "parquet")):
        first, copy, second = (tmp_path / f"{name}-{len(formats)}" for name in ("first", "copy", "second"))
        export_run(run, first, formats=formats)
        import_dataset(first, copy)
        export_run(copy, second, formats=formats)
        files = {path.relative_to(first): path.read_bytes() for path in first.rglob("*") if path.is_file()}
        assert files == {path.relative_to(second): path.read_bytes() for path in second.rglob("*") if path.is_file()}
    labels = [json.loads(line) for line in (first / "labels.jsonl").read_text().splitlines()]
    threes = [label for label in labels if label["asked_kind"] == TOY.name]
    assert len(threes) == 6 and all(
        label["preference"] is None and set(label["answer"]) == {"best"} for label in threes
    )
    assert "best of three" in (first / "README.md").read_text()


def test_a_dataset_with_a_kind_that_is_not_known_here_is_refused(run, tmp_path, monkeypatch):
    export_run(run, tmp_path / "out", formats=("jsonl",))
    monkeypatch.delitem(KINDS, TOY.name)
    with pytest.raises(UserError, match="questions.jsonl, line 3: .*'best of three'"):
        import_dataset(tmp_path / "out", tmp_path / "copy")
