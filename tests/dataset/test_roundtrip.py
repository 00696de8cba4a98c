"""What is exported and imported is what was recorded: the same rows, the same segments, the same files again."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from study import PEOPLE, hold_study, weights

from prefrl.cli import main
from prefrl.core.errors import UserError
from prefrl.dataset.export import export_run
from prefrl.dataset.exported_run import Pseudonyms, rows_of
from prefrl.dataset.importing import import_dataset
from prefrl.runs import build
from prefrl.runs.api import load_run, train
from prefrl.store.contents import read_contents
from prefrl.store.segment_files import PARTS
from prefrl.store.store import LabelStore
from prefrl.store.tables import DAMAGED

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*episodes of 200 steps"),
    pytest.mark.filterwarnings("ignore:training does not wait for people"),
]
ALL = ("jsonl", "mp4", "parquet", "minari")
SHORTER = {"steps": 1536, "questions.budget": 10}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A labelled run. Tests leave it as it is, but for its clips."""
    return hold_study(tmp_path_factory.mktemp("studies") / "study", **SHORTER)


@pytest.fixture(scope="module")
def dataset(study) -> Path:
    """All formats of it."""
    with LabelStore.open(study) as store:
        store.close_questions([store.asked()], "flagged: looks like Ben's robot")
    export_run(study, study.parent / "dataset", formats=ALL)
    return study.parent / "dataset"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_export_import_export_gives_the_same_bytes(dataset, tmp_path):
    import_dataset(dataset, tmp_path / "run")
    export_run(tmp_path / "run", tmp_path / "again", formats=ALL)
    assert files(tmp_path / "again") == files(dataset)


def test_the_store_of_an_imported_run_has_the_same_rows_and_segments(study, dataset, tmp_path):
    import_dataset(dataset, tmp_path / "run")
    with LabelStore.open(study) as old, LabelStore.open(tmp_path / "run") as new:
        assert read_contents(new) == read_contents(old)
        assert new.counts() == old.counts()
        [ours], [theirs] = new.feedback(), old.feedback()
        np.testing.assert_array_equal(ours.answer["preference"], theirs.answer["preference"])
        for part in PARTS:
            np.testing.assert_array_equal(getattr(ours.segments, part), getattr(theirs.segments, part))


def test_labels_are_the_lines_that_backups_have(study, dataset, tmp_path):
    with LabelStore.open(study) as store:
        store.export_jsonl(tmp_path / "labels.jsonl")
        assert lines(dataset / "questions.jsonl") == rows_of(store)[1]
    assert (tmp_path / "labels.jsonl").read_bytes() == (dataset / "labels.jsonl").read_bytes()


def test_an_imported_study_is_replayed_to_the_same_weights(study, dataset, tmp_path):
    import_dataset(dataset, tmp_path / "run")
    settings = {**PEOPLE, **SHORTER, "teacher": f"replay={tmp_path / 'run'}"}
    assert weights(train("Pendulum-v1", folder=tmp_path / "again", quiet=True, **settings).folder) == weights(study)


def test_a_reward_model_learns_from_an_imported_study(study, dataset, tmp_path):
    import_dataset(dataset, tmp_path / "run")
    run = load_run(study)
    model = build.make_reward_model(run.config, run.own, run.recorder)
    with LabelStore.open(tmp_path / "run") as store:
        model.hear(store.feedback()[0])
    run.close()
    assert model.fit(step=0).decisive >= 4 and model.version == 1


def frames(path: Path) -> np.ndarray:
    reader = imageio_ffmpeg.read_frames(str(path), output_params=["-fps_mode", "passthrough"])
    width, height = next(reader)["size"]
    return np.array([np.frombuffer(raw, np.uint8).reshape(height, width, 3) for raw in reader])


def test_clips_of_answered_questions_hold_every_frame_once(dataset):
    answered = {line["query_id"] for line in lines(dataset / "labels.jsonl")}
    expected = {f"{query:06d}-{side}.mp4" for query in answered for side in ("first", "second")}
    assert {path.name for path in (dataset / "clips").iterdir()} == expected
    found = frames(dataset / "clips" / min(expected))
    assert len(found) == 11  # ten steps
    assert (np.abs(np.diff(found.astype(int), axis=0)).max((1, 2, 3)) > 0).all()  # the pendulum moves, nothing repeats


def test_parquet_has_the_same_labels_and_segments(study, dataset):
    pq = pytest.importorskip("pyarrow.parquet")
    labels = pq.read_table(dataset / "parquet" / "labels.parquet").to_pylist()
    stands = [row.pop("stands") for row in labels]
    assert [{**row, "answer": row["answer"] and json.loads(row["answer"])} for row in labels] == lines(
        dataset / "labels.jsonl"
    )
    with LabelStore.open(study) as store:
        answers = [
            row
            for row, stood in zip(labels, stands, strict=True)
            if stood and row["kind"] == "answer" and row["answer"]
        ]
        assert [row["seq"] for row in answers] == store.feedback()[0].seq.tolist()
        ids = list(range(1, store.asked() + 1))
        segments = store.queries(ids).segments.flat()
    assert pq.read_table(dataset / "parquet" / "questions.parquet").to_pylist() == [
        {**row} for row in lines(dataset / "questions.jsonl")
    ]
    table = pq.read_table(dataset / "parquet" / "segments.parquet")
    assert table["query_id"].to_pylist() == np.repeat(ids, 2).tolist()
    assert table["side"].to_pylist() == [0, 1] * len(ids)
    for name in ("observations", "actions", "true_rewards"):
        found = table[name].combine_chunks().to_numpy_ndarray()
        np.testing.assert_array_equal(found, getattr(segments, name))
        assert found.dtype == getattr(segments, name).dtype


def test_minari_loads_the_segments_as_episodes(study, dataset):
    code = """
import json, sys, minari
found = minari.load_dataset("segments-v0")
about = list(found.storage.get_episode_metadata([3]))[0]
episode = found[3]
print(json.dumps([found.total_episodes, found.total_steps, episode.observations.tolist(), episode.actions.tolist(),
    episode.rewards.tolist(), episode.truncations.tolist(), int(about["query_id"]), int(about["side"]),
    str(found.recover_environment().spec.id)]))
"""
    env = {**os.environ, "MINARI_DATASETS_PATH": str(dataset / "minari")}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    episodes, steps, observations, actions, rewards, truncations, query, side, name = json.loads(out.splitlines()[-1])
    with LabelStore.open(study) as store:
        assert (episodes, steps) == (2 * store.asked(), 20 * store.asked())
        segment = store.queries([2]).segments[0, 1]
    assert (query, side, name) == (2, 1, "Pendulum-v1") and truncations == [False] * 9 + [True]
    np.testing.assert_array_equal(np.array(observations, np.float32), segment.observations)
    np.testing.assert_array_equal(np.array(actions, np.float32), segment.actions)
    np.testing.assert_array_equal(np.array(rewards, np.float32), segment.true_rewards)


def test_anonymous_datasets_hold_no_name_and_nothing_that_people_wrote(study, dataset, tmp_path):
    assert main(f"export {study} {tmp_path / 'anonymous'} --formats jsonl,parquet --anonymous".split()) == 0
    personal = re.compile(rb"\b(ann|ben|Ben|robot)\b|" + re.escape(str(study.parent).encode()))
    texts = {name: content for name, content in files(tmp_path / "anonymous").items() if not name.endswith(".npz")}
    assert [name for name, content in texts.items() if personal.search(content)] == []
    assert personal.search((dataset / "labels.jsonl").read_bytes())
    ours, theirs = lines(tmp_path / "anonymous" / "labels.jsonl"), lines(dataset / "labels.jsonl")
    assert {line["labeller"] for line in ours} == {"labeller-1", "labeller-2"}
    assert [line["labeller"] == ours[0]["labeller"] for line in ours] == [
        line["labeller"] == theirs[0]["labeller"] for line in theirs
    ]
    assert [line["preference"] for line in ours] == [line["preference"] for line in theirs]
    import_dataset(tmp_path / "anonymous", tmp_path / "run")
    export_run(tmp_path / "run", tmp_path / "again", formats=("jsonl", "parquet"))
    assert files(tmp_path / "again") == files(tmp_path / "anonymous")


def test_nothing_is_overwritten_without_force_and_then_only_an_export(study, tmp_path):
    out = tmp_path / "out"
    export_run(study, out, formats=["jsonl"])
    (out / "stray").write_text("of an earlier export")
    with pytest.raises(UserError, match=r"out is not empty.*--force"):
        export_run(study, out, formats=["jsonl"])
    export_run(study, out, formats=["jsonl"], force=True)
    assert not (out / "stray").exists()
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "monday.txt").write_text("dear diary")
    with pytest.raises(UserError, match="holds no dataset.json, so it is no earlier export, and stays"):
        export_run(study, tmp_path / "diary", formats=["jsonl"], force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["diary", "out"]  # and nothing unfinished


def test_an_export_that_fails_leaves_nothing(study, tmp_path, monkeypatch):
    def no_ffmpeg(*_: object) -> None:
        raise OSError("ffmpeg ended with code 1; is the disk full?")

    monkeypatch.setattr("prefrl.dataset.format_mp4.write_frames", no_ffmpeg)
    with pytest.raises(OSError, match="ffmpeg"):
        export_run(study, tmp_path / "out", formats=["jsonl", "mp4"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("format", "package"), [("parquet", "pyarrow"), ("minari", "minari")])
def test_a_missing_package_is_named_with_what_installs_it(study, tmp_path, monkeypatch, format, package):
    for name in [name for name in sys.modules if name.startswith("prefrl.dataset.format_")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"pip install 'prefrl\[export\]'"):
        export_run(study, tmp_path / "out", formats=["jsonl", format])
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_refused(study, tmp_path, capsys):
    assert main(["export", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "is not a run folder" in capsys.readouterr().err
    assert main(["export", str(study), str(tmp_path / "out"), "--formats", "jsonl,parket"]) == 2
    assert "unknown format 'parket'; did you mean 'parquet'?" in capsys.readouterr().err
    train(
        "Pendulum-v1",
        preset="zero",
        folder=tmp_path / "zero",
        quiet=True,
        **{**PEOPLE, "teacher": "oracle", "steps": 512},
    )
    assert main(["export", str(tmp_path / "zero"), str(tmp_path / "out")]) == 2
    assert "nothing was ever asked in" in capsys.readouterr().err


def test_the_mark_of_a_damaged_answer_is_nobodys_word():
    row = {"seq": 1, "step": None, "labeller": "ann", "key": "1:ann", "details": None}
    mark = {**row, "seq": 2, "labeller": "prefrl", "key": f"{DAMAGED}1"}
    people = Pseudonyms([row, mark])
    assert people.label(mark) == mark
    assert people.people == {"ann": "labeller-1"}
