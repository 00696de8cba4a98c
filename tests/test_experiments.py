"""Every experiment is a grid that could run as it stands; one is run, short, from its command to its figure."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.image import imread

from experiments import peers, reward_anatomy
from experiments.figure import Experiment
from experiments.line_target import LineTarget
from prefrl.bench.arms import CONTROLS
from prefrl.bench.grid import make_grid
from prefrl.bench.study import load

FOLDER = Path("experiments")
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if "EXPERIMENT = " in path.read_text())
SEARCHES = {"defaults", "novel_search"}


def experiment(name: str) -> Experiment:
    return importlib.import_module(f"experiments.{name}").EXPERIMENT


def test_there_are_ten_grids_and_two_searches():
    assert len(SCRIPTS) == 12 and SEARCHES.issubset(SCRIPTS)


@pytest.mark.parametrize("name", sorted(SEARCHES))
def test_a_search_looks_at_no_seed_that_reports(name):
    assert min(make_grid(experiment(name).grid, name).seeds) >= 1000


@pytest.mark.parametrize("name", sorted({*SCRIPTS} - SEARCHES))
def test_a_grid_has_ten_seeds_a_ceiling_and_controls(name):
    grid = make_grid(experiment(name).grid, name)
    controls = {arm.name for arm in grid.arms if arm.control}
    assert grid.seeds == tuple(range(10)) and {"true", "zero", "shuffled"} <= controls <= set(CONTROLS)
    assert experiment(name).name == name


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_quick_grid_can_be_run(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.chdir(tmp_path)
    assert experiment(name).main("", ["--quick", "--dry-run"]) is None
    assert "2 seeds" in capsys.readouterr().out


def test_every_script_is_in_the_readme_with_its_command():
    text = (FOLDER / "README.md").read_text()
    for name in [*SCRIPTS, "reward_anatomy", "peers"]:
        assert f"`{name}.py`" in text and f"python -m experiments.{name}" in text


@pytest.mark.slow  # a whole grid: its runs, its table and its figure
def test_an_experiment_ends_in_a_table_a_result_file_and_a_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("experiments.figure.QUICK_STEPS", 2048)
    whole = experiment("bpref_teachers")
    small = {**whole.grid, "settings": {"questions.length": 10, "agent.n_epochs": 1}, "teachers": ["oracle"]}
    study = replace(whole, grid=small).main("", ["--quick", "--envs", "Pendulum-v1"])
    assert study.arm_names() == ["christiano, oracle, 30 questions", "true", "zero"]
    assert load(tmp_path / "runs/quick/bpref_teachers.json").returns("Pendulum-v1", "true").shape == (2,)
    assert imread(tmp_path / "runs/quick/bpref_teachers.png").ndim == 3
    assert "minus true reward" in capsys.readouterr().out


def test_on_the_line_who_runs_on_earns_little_more_than_who_stays_and_who_stops_in_time_earns_most():
    def earned(steps):
        env = LineTarget()
        env.reset()
        return sum(env.step([1.0 if k < steps else 0.0])[1] for k in range(50))

    assert earned(0) == pytest.approx(-85)
    assert earned(50) == pytest.approx(-sum(abs(0.1 * k - 1.7) for k in range(1, 51)))
    assert earned(50) == pytest.approx(-69.7)
    assert earned(17) == pytest.approx(-13.6) and max(map(earned, range(51))) == earned(17)


@pytest.mark.parametrize("view", reward_anatomy.VIEWS, ids=lambda view: view.env)
def test_the_true_reward_of_every_state_is_the_environments_own(view):
    steps, true = reward_anatomy.steps_from(view)
    assert len(true) == reward_anatomy.ACROSS**2 and steps.observations.shape[:2] == (len(true), 1)
    x, y = view.states.T
    if view.env == "Pendulum-v1":
        assert true == pytest.approx(-(x**2 + 0.1 * y**2), abs=1e-9)
    else:  # pushing right earns energy where the car moves right, and costs it where it moves left
        assert true[y < -0.01].mean() < 0 < true[y > 0.01].mean()
    assert reward_anatomy.frame(view, true, true, "").shape[-1] == 3


def test_a_peer_that_cannot_be_installed_is_said_to_be_skipped(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["peers", "--quick"])
    monkeypatch.setattr(peers.sys, "executable", "/bin/false")
    peers.main()
    assert "skipped: imitation cannot be installed here (/bin/false -m venv" in capsys.readouterr().out
