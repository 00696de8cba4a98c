"""Datasets come from strangers: whatever is wrong with one is named by file and line, and no run is made of it."""

import hashlib
import io
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl.config.methods import preset
from prefrl.core.data import Queries, Segments
from prefrl.core.errors import UserError
from prefrl.dataset.export import export_run
from prefrl.dataset.importing import import_dataset
from prefrl.runs.folder import describe
from prefrl.store.contents import read_contents
from prefrl.store.store import LabelStore


def questions(count: int, seed: int, step: int = 0) -> Queries:
    rng = np.random.default_rng(seed)
    observations, actions = rng.normal(size=(count, 2, 6, 3)), rng.normal(size=(count, 2, 5, 1))
    places = rng.integers(99, size=(2, count, 2))
    segments = Segments(observations.astype(np.float32), actions, rng.normal(size=(count, 2, 5)), *places)
    return Queries(segments, np.full(count, np.nan), step=step)


def run_folder(folder: Path) -> Path:
    folder.mkdir()
    describe(folder, preset("christiano", "Pendulum-v1"), "christiano", {})
    return folder


@pytest.fixture
def dataset(tmp_path) -> Path:
    """Three questions; four labels, the third of which corrects the first."""
    with LabelStore.open(run_folder(tmp_path / "run")) as store:
        store.ask(questions(2, 1))
        store.answer([1, 2], [1.0, np.nan], labeller="ann")
        store.revise(1, 0.5, labeller="ann")
        store.watermark(100)
        store.ask(questions(1, 2, step=200))
        store.answer([3], [0.0], labeller="ben")
        store.watermark(200)
        store.close_questions([2], "stale", 200)
    export_run(tmp_path / "run", tmp_path / "dataset", formats=["jsonl"])
    about = json.loads((tmp_path / "dataset" / "dataset.json").read_text())
    (tmp_path / "dataset" / "dataset.json").write_text(
        json.dumps({**about, "files": {}})
    )  # what is changed below is wanted
    return tmp_path / "dataset"


def refusal(dataset: Path) -> str:
    run = dataset.parent / "imported"
    with pytest.raises(UserError) as fault:
        import_dataset(dataset, run)
    assert sorted(path.name for path in dataset.parent.iterdir()) == ["dataset", "run"]  # nothing half-made
    return str(fault.value).replace(str(dataset) + os.sep, "")


def change(dataset: Path, file: str, line: int, **values: object) -> Path:
    path = dataset / file
    lines = path.read_text().splitlines(keepends=True)
    lines[line - 1] = json.dumps({**json.loads(lines[line - 1]), **values}) + "\n"
    path.write_text("".join(lines))
    return dataset


def test_the_dataset_as_it_is_can_be_imported(dataset, tmp_path):
    import_dataset(dataset, tmp_path / "imported")
    with LabelStore.open(tmp_path / "imported") as store:
        assert store.feedback()[0].answer["preference"].tolist() == [0.5, 0.0]
        assert [store.watermark(step) for step in (100, 200)] == [3, 4]


WRONG = [
    ("labels.jsonl", 2, {"preference": 1.5}, "labels.jsonl, line 2: preference: Input should be less than or equal to 1, got 1.5"),
    ("labels.jsonl", 2, {"preference": float("nan")}, "labels.jsonl, line 2: preference: Input should be a finite number"),
    ("labels.jsonl", 2, {"preference": "left"}, "line 2: preference: Input should be a valid number, got 'left'"),
    ("labels.jsonl", 1, {"answered_at": float("inf")}, "line 1: answered_at: Input should be a finite number"),
    ("labels.jsonl", 1, {"kind": "guess"}, "line 1: kind: Input should be 'answer', 'opinion', 'withdrawal' or 'truth'"),
    ("labels.jsonl", 1, {"colour": "red"}, "line 1: colour: Extra inputs are not permitted"),
    ("labels.jsonl", 1, {"labeller": ""}, "line 1: labeller: String should have at least 1 character"),
    ("labels.jsonl", 1, {"labeller": "x" * 301}, "line 1: labeller: String should have at most 300 characters"),
    ("labels.jsonl", 2, {"seq": 1}, "labels.jsonl, line 2: seq 1 does not come after 1"),
    ("labels.jsonl", 2, {"key": "1:ann"}, "labels.jsonl, line 2: key '1:ann' is that of another label already"),
    ("labels.jsonl", 4, {"query_id": 9}, "labels.jsonl, line 4: there is no question 9; there are 3"),
    ("labels.jsonl", 4, {"row": 1}, "line 4: it says row 1 of question 3, questions.jsonl says 0"),
    ("labels.jsonl", 3, {"supersedes": 2}, "line 3: it supersedes 2, which is no earlier label of question 1"),
    ("labels.jsonl", 3, {"supersedes": 3}, "line 3: it supersedes 3, which is no earlier label"),
    ("labels.jsonl", 4, {"kind": "withdrawal"}, "line 4: a withdrawal supersedes nothing"),
    ("labels.jsonl", 1, {"details": "[1"}, "line 1: details: "),
    ("labels.jsonl", 1, {"details": '{"mirrored": "yes"}'}, "line 1: details: .*`mirrored` is true or false"),
    ("labels.jsonl", 1, {"details": '{"order": [0, 0]}'}, "line 1: details: .*`order` "),
    ("labels.jsonl", 1, {"details": '{"order": [0, 2, 1]}'}, "line 1: details: order .* is of 3 segments, its question has 2"),
    ("labels.jsonl", 2, {"answer": {"preference": 2.0}}, "line 2: answer: .* is no answer of kind 'pair': preference"),
    ("labels.jsonl", 2, {"answer": {"rank": [0, 1]}}, "line 2: answer: .* is no answer of kind 'pair'"),
    ("labels.jsonl", 2, {"preference": 1.0, "answer": {"preference": 0.0}}, "line 2: preference is 1.0, and answer"),
    ("labels.jsonl", 2, {"asked_kind": "cats"}, "line 2: it says kind 'cats' of question"),
    ("questions.jsonl", 1, {"kind": "pairs"}, "questions.jsonl, line 1: unknown kind of feedback 'pairs'.*pair"),
    ("labels.jsonl", 1, {"seq": 2**70}, "line 1: seq: "),
    ("questions.jsonl", 2, {"id": 1}, "questions.jsonl, line 2: id is 1, expected 2"),
    ("questions.jsonl", 2, {"uid": "?"}, "labels.jsonl, line 2: it says uid"),
    ("questions.jsonl", 1, {"segments_file": "../../etc/passwd"}, "questions.jsonl, line 1: segments_file: String should match"),
    ("questions.jsonl", 1, {"row": -1}, "questions.jsonl, line 1: row: Input should be greater than or equal to 0"),
    ("trainer.jsonl", 2, {"step": 100}, "trainer.jsonl, line 2: step 100 does not come after 100"),
    ("trainer.jsonl", 2, {"heard": 9}, "trainer.jsonl, line 2: heard is 9, expected a number above 3 and up to 4"),
    ("dataset.json", 1, {"format": 3}, "dataset.json has format 3, this prefrl reads up to 2; update prefrl"),
    ("dataset.json", 1, {"formats": ["mp4"]}, "was exported as mp4; export the run with --formats jsonl"),
    ("dataset.json", 1, {"kind": "cats"}, "dataset.json: kind: Input should be 'prefrl preferences', got 'cats'"),
    ("dataset.json", 1, {"env": "Else-v0"}, "env is 'Else-v0', config.env 'Pendulum-v1'; they must be the same"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "line", "values", "says"), WRONG)
def test_a_wrong_value_is_named_with_its_file_and_line(dataset, file, line, values, says):
    assert re.search(says, refusal(change(dataset, file, line, **values)))


def test_settings_are_checked_like_anybodys(dataset):
    path = dataset / "dataset.json"
    about = json.loads(path.read_text())
    about["config"]["record"]["labels"] = "postgresql://stranger.example/labels"
    path.write_text(json.dumps(about))
    assert "names a database, 'postgresql://stranger.example/labels'; it must be empty" in refusal(dataset)
    about["config"]["record"] = {"lables": ""}
    path.write_text(json.dumps(about))
    assert "unknown setting 'record.lables' in " in refusal(dataset)


def test_a_file_that_was_cut_short_or_changed_is_noticed(dataset, tmp_path):
    export_run(tmp_path / "run", tmp_path / "dataset", formats=["jsonl"], force=True)  # with its checksums
    path = dataset / "labels.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])  # a whole line is gone
    assert "labels.jsonl is damaged or was changed" in refusal(dataset)
    path.write_bytes(whole[:-9])
    assert "labels.jsonl is damaged or was changed" in refusal(dataset)


def test_without_a_checksum_half_a_line_is_noticed_still(dataset):
    path = dataset / "labels.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    assert "labels.jsonl, line 4: it is cut short" in refusal(dataset)


@pytest.mark.parametrize(
    "content", [b"\x80\x04]\x94.\n", b"not json\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n", b"null\n"]
)
def test_what_is_no_json_line_is_refused(dataset, content):
    (dataset / "labels.jsonl").write_bytes(content)
    assert refusal(dataset).startswith("labels.jsonl, line 1: ")


def test_missing_files_are_named(dataset):
    (dataset / "trainer.jsonl").unlink()
    assert "cannot read trainer.jsonl" in refusal(dataset)
    (dataset / "dataset.json").unlink()
    assert "has no dataset.json" in refusal(dataset)


def test_a_pipe_is_no_file(dataset):
    (dataset / "labels.jsonl").unlink()
    os.mkfifo(dataset / "labels.jsonl")
    assert "labels.jsonl is no plain file" in refusal(dataset)


def replaced(dataset: Path, arrays: dict[str, np.ndarray], pickled: bool = False) -> str:
    """Put a segment file of these arrays in the place of question 3's, under its own digest. Returns the refusal."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, array, version=(1, 0), allow_pickle=pickled)
            archive.writestr(f"{name}.npy", part.getvalue())
    name = hashlib.sha256(file.getvalue()).hexdigest() + ".npz"
    (dataset / "segments" / name).write_bytes(file.getvalue())
    change(dataset, "questions.jsonl", 3, segments_file=name)
    return refusal(change(dataset, "labels.jsonl", 4, segments_file=name)).replace(name, "X.npz")


def arrays(**other: np.ndarray) -> dict[str, np.ndarray]:
    segments = questions(1, 2).segments
    return {**{name: getattr(segments, name) for name in vars(segments)}, **other}


def test_segments_are_checked_before_they_are_believed(dataset):
    bad = np.array([[[0.0, np.nan, 1, 1, 1], [1, 1, 1, 1, 1]]])
    assert "X.npz: true_rewards[0, 0, 1] is nan, expected finite numbers" in replaced(dataset, arrays(true_rewards=bad))


def test_pickled_arrays_are_never_unpickled(dataset):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(dataset.parent / "exploded"),)

    objects = np.array([[Bomb(), Bomb()]], object)
    assert "dtype object, expected numbers" in replaced(dataset, arrays(env_index=objects), pickled=True)
    assert not (dataset.parent / "exploded").exists()


def test_segments_of_another_shape_are_refused(dataset):
    longer = questions(1, 2).segments
    wide = np.zeros((*longer.actions.shape[:-1], 2))
    assert "its segments have shapes ((5,), (6, 3), (5, 2)), those before it ((5,), (6, 3), (5, 1))" in replaced(
        dataset, arrays(actions=wide)
    )


def test_three_segments_make_no_pair(dataset):
    three = {name: np.concatenate([array, array[:, :1]], 1) for name, array in arrays().items()}
    assert "true_rewards have shape (1, 3, 5), expected (Q, 2, T)" in replaced(dataset, three)


def test_a_segment_file_that_is_missing_torn_or_swapped_is_named(dataset):
    first, second = sorted((dataset / "segments").iterdir())
    whole = first.read_bytes()
    first.write_bytes(second.read_bytes())
    assert f"{Path('segments') / first.name} cannot be imported: its content has the digest" in refusal(dataset)
    first.write_bytes(whole[:-30])
    assert "cannot be imported" in refusal(dataset)
    first.unlink()
    assert f"cannot read {Path('segments') / first.name}" in refusal(dataset)


def test_a_run_that_is_there_is_not_overwritten(dataset, tmp_path):
    with pytest.raises(UserError, match="run is not empty; choose another folder$"):
        import_dataset(dataset, tmp_path / "run")


@settings(max_examples=8)
@given(data=st.data())
def test_whatever_was_said_comes_back_row_for_row_and_byte_for_byte(tmp_path_factory, data):
    base = tmp_path_factory.mktemp("property")
    told = st.sampled_from([0.0, 0.25, 0.5, 1.0, np.nan])
    names = st.sampled_from(["ann", "Bén 🤖", "x y", '"quoted"', "\u2028"])
    with LabelStore.open(run_folder(base / "run")) as store:
        for step in range(data.draw(st.integers(1, 3))):
            ids = store.ask(questions(data.draw(st.integers(1, 3)), step, step))
            for number, query in enumerate(data.draw(st.lists(st.sampled_from(ids), max_size=4))):
                store.answer([query], [data.draw(told)], labeller=data.draw(names), keys=[f"{step}-{number}"],
                             step=data.draw(st.none() | st.just(step)), first_only=data.draw(st.booleans()))  # fmt: skip
            record = read_contents(store)
            free = {row["seq"] for row in record.answers} - {row["supersedes"] for row in record.answers}
            free -= {row["seq"] for row in record.answers if row["kind"] == "withdrawal"}
            for seq in sorted(free)[: data.draw(st.integers(0, 2))]:
                if data.draw(st.booleans()):
                    store.withdraw(seq, labeller=data.draw(names))
                else:
                    store.revise(seq, data.draw(told), labeller=data.draw(names))
            store.watermark(step)
            store.capacity_at(step, data.draw(st.integers(0, 3)))
        store.close_questions([1], data.draw(names), 3)
        before = read_contents(store)
    export_run(base / "run", base / "one", formats=["jsonl"])
    import_dataset(base / "one", base / "again")
    export_run(base / "again", base / "two", formats=["jsonl"])
    with LabelStore.open(base / "again") as store:
        assert read_contents(store) == before
    one, two = (
        {p.relative_to(d): p.read_bytes() for p in d.rglob("*") if p.is_file()} for d in (base / "one", base / "two")
    )
    assert one == two
    shutil.rmtree(base)
