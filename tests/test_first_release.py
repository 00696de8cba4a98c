"""What people labelled with the first release can be read for ever: opened, resumed, replayed, exported and imported.

`data/first_release/README.md` says what the data are. Tests open copies through public names; where a later release calls
something otherwise, the helpers at the top are the place to say so, and the data stay as they are.
"""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prefrl
from prefrl.cli import main

DATA = Path(__file__).parent / "data" / "first_release"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))["runs"]
RUNS = tuple(EXPECTED)
EXPORTS = {"oracle": "oracle", "people": "people", "people-anonymous": "people", "pixels": "pixels"}
OPINIONS = {"people": 2.0}
STANDING = ("seq", "query_id", "kind", "preference", "labeller", "supersedes")

pytestmark = [
    pytest.mark.timeout(120),  # a resumed run that waits for people would wait for ever
    pytest.mark.filterwarnings("ignore:.*episodes of"),
    pytest.mark.filterwarnings("ignore:only .* decisive answers"),
    pytest.mark.filterwarnings("ignore:.*combined several labellers"),
    pytest.mark.filterwarnings("ignore:this run is not the one"),
    pytest.mark.filterwarnings("ignore:the recording knew no"),
    pytest.mark.filterwarnings("ignore:nothing was learned"),
]


def opened(folder: Path) -> Any:
    """The label store of a copy; any warning fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return prefrl.LabelStore.open(folder, opinions=OPINIONS.get(folder.name, 1))


def plain(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def as_told(batches: Any) -> list[list[Any]]:
    """Question and preference of what a learner reads, in order."""
    return [
        [int(query), plain(value)]
        for batch in batches if len(batch)
        for query, value in zip(batch.query, batch.answer["preference"], strict=True)
    ]  # fmt: skip


def without_skips(labels: Any) -> Any:
    """Pairs or items of labels without those that could not tell: the first release read them, too."""
    if isinstance(labels, dict):
        return {query: value for query, value in labels.items() if value is not None}
    return [pair for pair in labels if pair[1] is not None]


def labels(run: Any, until: int | None = None) -> dict[str, float | None]:
    """What the reward model is taught about each question, opinions combined, once answers up to a number were heard."""
    if until is not None:
        run.teacher.seen = until
    return {str(query): value for query, value in sorted(as_told(run.teacher.standing()))}


def last_seal(folder: Path, seq: int) -> list[Any]:
    """The seal of an answer, as it is on disk."""
    database = sqlite3.connect(folder / "labels.db")
    try:
        found = database.execute("SELECT seq, sha256 FROM seals WHERE seq = ?", [seq]).fetchone()
        return list(found)
    finally:
        database.close()


def standing(store: Any) -> list[list[Any]]:
    """All rows that no later one corrects or withdraws."""
    rows = list(store.history())
    gone = {row["supersedes"] for row in rows}
    return [[row[name] for name in STANDING] for row in rows if row["kind"] != "withdrawal" and row["seq"] not in gone]


def past(folder: Path) -> list[dict[str, Any]]:
    """Every answer of the first release with all that it says, in order; later columns are left out."""
    known = json.loads((DATA / "exports" / "oracle" / "labels.jsonl").read_text().splitlines()[0])
    with opened(folder) as store:
        rows = [{name: row[name] for name in known} for row in store.history()]
    return rows[: EXPECTED[folder.name]["answers"]]


def close(a: dict[str, float | None], b: dict[str, float | None]) -> bool:
    return a.keys() == b.keys() and all(
        x is y or (x is not None and y is not None and abs(x - y) < 1e-9) for x, y in ((a[key], b[key]) for key in a)
    )


def rows_of(path: Path, like: Path | None = None) -> list[dict[str, Any]]:
    """Lines of a JSON Lines file; like: only columns that this older file has."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    known = rows_of(like)[0] if like else {}
    return [{name: row[name] for name in row if not known or name in known} for row in rows]


def prefrl_does(*arguments: object) -> None:
    """A command of the command line, which must succeed."""
    assert main([str(one) for one in arguments]) == 0


@pytest.fixture
def copy(tmp_path: Path):
    """A function: name of a run -> a copy of it, to be opened and written to."""
    return lambda name: Path(shutil.copytree(DATA / name, tmp_path / name))


def test_the_data_are_whole_and_hold_no_journal():
    assert RUNS == ("oracle", "people", "model", "pixels")
    assert not [path for path in DATA.rglob("*") if path.name.endswith(("-wal", "-shm", ".lock", ".pid"))]


@pytest.mark.parametrize("name", RUNS)
def test_every_label_that_stood_stands(copy, name):
    folder, then = copy(name), EXPECTED[name]
    with opened(folder) as store:
        assert standing(store) == then["standing"]
        assert as_told(store.feedback()) == without_skips(then["feedback"])
        assert len(list(store.history())) == then["answers"] == store.last_seq()
        assert store.open_queries() == then["open"]
        assert store.asked_queries(gold=True) == then["gold"]
        assert len(store.asked_queries()) + len(then["gold"]) == then["questions"]
        counts = store.counts()
        assert {part: getattr(counts, part) for part in then["counts"]} == then["counts"]


@pytest.mark.parametrize("name", RUNS)
def test_all_segments_can_be_read(copy, name):
    with opened(copy(name)) as store:
        ids = sorted(store.asked_queries() + store.asked_queries(gold=True))
        segments = store.queries(ids).segments
        shown = np.asarray(segments.observations)
        assert len(segments) == len(ids) == EXPECTED[name]["questions"] and segments.length == 10
        if name == "pixels":
            assert shown.shape[:3] == (8, 2, 14) and shown.shape[-2:] == (16, 16) and shown.dtype == np.uint8
        else:
            assert shown.shape == (len(ids), 2, 11, 3) and np.isfinite(shown).all()
            sides = shown[..., 0] ** 2 + shown[..., 1] ** 2  # cosine and sine of the same angle
            assert np.allclose(sides, 1, atol=1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_seals_stay_unbroken_when_answers_are_added(copy, name):
    folder, then = copy(name), EXPECTED[name]
    seq = then["last_seal"][0]
    before = past(folder)
    assert last_seal(folder, seq) == then["last_seal"]
    old = next(row for row in reversed(then["standing"]) if row[2] == "answer")
    with opened(folder) as store:
        new = store.revise(old[0], 0.5, labeller=old[4])
        (own,) = store.answer([1], [1.0], labeller="later", first_only=True)
    assert seq < new < own
    with opened(folder) as store:
        kept = [row for row in then["standing"] if row[0] != old[0]]
        assert standing(store)[: len(kept)] == kept
        assert dict(as_told(store.feedback()))[old[1]] == 0.5
    assert past(folder) == before and last_seal(folder, seq) == then["last_seal"]


def test_damage_to_an_old_answer_is_still_named(copy):
    folder = copy("people")
    database = sqlite3.connect(folder / "labels.db")
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {name}")
    database.execute("UPDATE answers SET preference = 1 - preference WHERE seq = 5")
    database.commit()
    database.close()
    with pytest.warns(UserWarning, match="damaged"), prefrl.LabelStore.open(folder, opinions=2) as store:
        assert 5 not in [row[0] for row in standing(store)]


@pytest.mark.parametrize("name", RUNS)
def test_its_newest_checkpoint_is_loaded_with_the_labels_that_it_had_heard(copy, name):
    folder, then = copy(name), EXPECTED[name]
    run = prefrl.load_run(folder)
    try:
        assert run.restored == then["checkpoint"] and run.total_steps == then["total_steps"]
        assert close(labels(run), without_skips(then["labels_at_checkpoint"]))
        assert close(labels(run, then["last_seal"][0]), without_skips(then["labels"]))
    finally:
        run.close()


@pytest.mark.parametrize("name", RUNS)
def test_it_is_resumed_to_its_end_and_leaves_what_was_said_as_it_was(copy, name):
    folder, then = copy(name), EXPECTED[name]
    before = past(folder)
    result = prefrl.resume(folder, quiet=True)
    told = json.loads((folder / "result.json").read_text())
    assert result.run.restored == then["checkpoint"]
    assert told["steps"] == then["total_steps"] and math.isfinite(told["true_return"])
    assert past(folder) == before
    with opened(folder) as store:
        assert standing(store)[: len(then["standing"])] == then["standing"]
        assert len(store.asked_queries()) >= then["counts"]["asked"]
    run = prefrl.load_run(folder)
    heard = labels(run)
    run.close()
    then_known = without_skips(then["labels"])
    assert heard.keys() >= then_known.keys()
    if name != "people":  # where a later opinion may weigh earlier ones anew
        assert close({query: heard[query] for query in then_known}, then_known)


def test_it_is_resumed_and_evaluated_from_the_command_line(copy, capsys):
    folder = copy("oracle")
    prefrl_does("evaluate", folder, "--episodes", 1)
    assert "true return" in capsys.readouterr().out
    prefrl_does("resume", folder, "--quiet")
    assert json.loads((folder / "result.json").read_text())["steps"] == EXPECTED["oracle"]["total_steps"]


def same_digits(old: Path, new: Path) -> bool:
    """Whether this machine acts bit for bit as the one that the data were made on, as far as the first question shows."""
    shown = []
    for folder in (old, new):
        with opened(folder) as store:
            segments = store.queries([1]).segments
            shown.append(np.asarray(segments.observations).tobytes() + segments.actions.tobytes())
    return shown[0] == shown[1]


@pytest.mark.parametrize(
    ("name", "timing"),
    [("oracle", "heard"), ("oracle", "once"), ("model", "heard"), ("pixels", "heard")],
)
def test_its_answers_are_replayed(copy, tmp_path, name, timing):
    """Where actions are whole numbers any machine repeats the run; else only one that rounds alike."""
    folder, then, again = copy(name), EXPECTED[name], tmp_path / "again"
    settings = {"teacher": f"replay={folder}", "teacher.timing": timing}
    prefrl.train(config=folder / "config.yaml", folder=again, quiet=True, **settings)
    found = json.loads((again / "result.json").read_text())["replay"]
    if name != "pixels" and not same_digits(folder, again):
        return  # another machine's floats: it acts otherwise, and asks what nobody recorded
    assert found["known"] == then["questions"] <= found["asked"] and found["recorded"] == then["questions"]
    with opened(again) as store:
        told = {row[1]: (row[3], row[4]) for row in standing(store)}
    old = {row[1]: (row[3], row[4]) for row in then["standing"]}
    assert {query: told[query] for query in old if query in told} == {
        query: old[query] for query in old if query in told
    }
    least = then["questions"] if timing == "once" else then["heard"]  # at the checkpoint, before the trainer was killed
    assert least <= found["answered"] <= then["questions"] and len(old.keys() & told.keys()) >= least


def test_what_people_said_is_replayed_from_the_command_line(copy, tmp_path):
    folder, again = copy("people"), tmp_path / "again"
    prefrl_does(
        "train", "--config", folder / "config.yaml", "--teacher", f"replay={folder}", "--folder", again, "--quiet"
    )
    found = json.loads((again / "result.json").read_text())["replay"]
    assert found["asked"] > 0
    if not same_digits(folder, again):
        return  # another machine's floats: it acts otherwise, and asks what nobody recorded
    assert found["known"] >= 8 <= found["answered"]  # all of the first session; then the opinions were combined
    with opened(again) as store:
        assert {row[4] for row in standing(store)} >= {"Ann Müller", "ben"}


@pytest.mark.parametrize("export", EXPORTS)
def test_it_is_exported_as_it_was(copy, tmp_path, export):
    old, new = DATA / "exports" / export, tmp_path / "out"
    anonymous = ["--anonymous"] if export.endswith("anonymous") else []
    prefrl_does("export", copy(EXPORTS[export]), new, "--formats", "jsonl", *anonymous)
    same_rows(old, new)
    formats = [json.loads((folder / "dataset.json").read_text())["format"] for folder in (old, new)]
    if formats[0] == formats[1]:
        for file in ("labels.jsonl", "questions.jsonl", "trainer.jsonl"):
            assert (old / file).read_bytes() == (new / file).read_bytes()


def same_rows(old: Path, new: Path) -> None:
    """Assert that a later export says at least what an earlier one said, and shows the same segments."""
    for file in ("labels.jsonl", "questions.jsonl", "trainer.jsonl"):
        assert rows_of(new / file, like=old / file) == rows_of(old / file)
    shown = [{path.name: path.read_bytes() for path in (folder / "segments").iterdir()} for folder in (old, new)]
    assert shown[0] == shown[1]


@pytest.mark.parametrize("export", EXPORTS)
def test_an_old_export_is_imported_and_its_labels_stand(tmp_path, export):
    name = EXPORTS[export]
    old, folder, then = DATA / "exports" / export, tmp_path / name, EXPECTED[name]
    prefrl_does("import", old, folder)
    with opened(folder) as store:
        if export.endswith("anonymous"):
            told = [row[:4] + row[5:] for row in standing(store)]
            assert told == [row[:4] + row[5:] for row in then["standing"]]
            assert {row[4] for row in standing(store)} == {"labeller-1", "labeller-2", "true reward"}
        else:
            assert standing(store) == then["standing"]
        assert as_told(store.feedback()) == without_skips(then["feedback"])
        counts = store.counts()
        assert {part: getattr(counts, part) for part in then["counts"]} == then["counts"]
    prefrl_does("export", folder, tmp_path / "again", "--formats", "jsonl")
    same_rows(old, tmp_path / "again")


def test_a_vision_models_old_calls_still_count(copy):
    """Nothing is left to answer, so nothing is sent; what was paid before is known."""
    folder, (calls, sent, received, cost) = copy("model"), EXPECTED["model"]["calls"]
    nowhere = "http://127.0.0.1:9/v1"
    summary = prefrl.label_with_ai(folder, model="eye-1", endpoint=nowhere, price=(0.15, 0.6), quiet=True)
    assert summary.answers == 0 and summary.now.calls == 0
    ever = summary.ever
    assert (ever.calls, ever.sent, ever.received) == (calls, sent, received) and abs(ever.cost - cost) < 1e-9


def test_a_copy_in_backups_says_what_the_store_says(copy):
    folder = copy("people")
    (backup,) = (folder / "backups").glob("*.jsonl")
    assert rows_of(backup) == past(folder)
