"""`prefrl bench`, `compare` and `tune`, from a file to a report."""

import pytest
import yaml
from bench.conftest import TINY

from prefrl.bench.cache import Cache
from prefrl.bench.feasibility import check_grid
from prefrl.bench.grid import make_grid
from prefrl.bench.study import load
from prefrl.bench.tune import make_search
from prefrl.cli import main
from prefrl.core.errors import UserError


@pytest.fixture
def grid(tmp_path, monkeypatch):
    """Writes a grid file; the working directory is empty but for it."""
    monkeypatch.chdir(tmp_path)

    def write(**more):
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**TINY, **more}))
        return "tiny.yaml"

    return write


def test_a_grid_ends_in_a_report_and_a_second_time_costs_nothing(grid, tmp_path, capfd):
    told = grid(seeds=[0, 1])
    assert main(["bench", told, "--workers", "2"]) == 0
    out = capfd.readouterr().out
    assert "4 runs (and 1 of a random policy); 0 are done, 4 to do" in out and "| christiano, 4 questions |" in out
    study = load(tmp_path / "runs/bench/tiny")
    assert [one["seed"] for one in study.table["Pendulum-v1"]["christiano, 4 questions"]] == [0, 1]
    assert study.about["Pendulum-v1"]["command"] == "prefrl bench tiny.yaml --workers 2"
    report = (tmp_path / "runs/bench/tiny/report.md").read_text()
    assert "prefrl train --env Pendulum-v1 --preset christiano" in report and "--agent.n-steps 128" in report
    assert main(["bench", told]) == 0
    assert "4 are done, 0 to do" in capfd.readouterr().out
    assert main(["compare", "runs/bench/tiny", "runs/bench/tiny", "--out", "both.html"]) == 0
    assert "too few seeds" in capfd.readouterr().out and (tmp_path / "both.html").exists()


def test_a_dry_run_says_what_would_be_run_and_runs_nothing(grid, tmp_path, capfd):
    assert main(["bench", grid(budgets=[4, 8]), "--dry-run"]) == 0
    out = capfd.readouterr().out
    assert "3 runs (and 1 of a random policy); 0 are done, 3 to do" in out and "8 questions: questions.budget=8" in out
    assert "tuned    Pendulum-v1: agent.gamma=0.9" in out
    assert not list((tmp_path / "runs/cache").glob("*.json"))


def test_the_command_of_an_arm_is_one_that_prefrl_understands(grid, tmp_path):
    from prefrl.bench.report import command
    from prefrl.bench.study import make_study
    from prefrl.bench.sweep import Sweep
    from prefrl.bench.workers import Outcome
    from prefrl.config.command_line import parse

    asked = make_grid({"environments": ["Pendulum-v1"], "methods": ["bpref"], "vary": {"reward.warm": [True, False]}})
    jobs = [cell.job for cell in asked.cells]
    done = Sweep({job: {"mean": 0.0} for job in asked.floors.values()}, {job: Outcome(0) for job in jobs})
    study = make_study(asked, done, "")
    for arm in asked.arms:
        _, config = parse(command(study, "Pendulum-v1", arm.name).split()[2:])
        wanted = asked.config("Pendulum-v1", arm, 0)
        assert (config.agent, config.questions, config.teacher) == (wanted.agent, wanted.questions, wanted.teacher)
        assert config.reward == wanted.reward


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        (
            {"environments": ["Pendulum-v9"]},
            "Pendulum-v9, christiano, 4 questions; Pendulum-v9, true: unknown environment",
        ),
        ({"teachers": ["orakle"]}, "teacher.name='orakle' does not exist; did you mean 'oracle'"),
        ({"budgets": [5000]}, "questions.budget=5000, but 1024 steps hold only"),
        ({"settings": {"questions.length": 300}}, "questions.length=300: only"),
        ({"variants": {"one": {"reward.members": 1}, "three": {}}}, "needs reward.members=2 or more, got 1"),
        ({"vary": {"agent.policy": ["CnnPolicy"]}, "controls": False}, "agent.policy='CnnPolicy' cannot be made here"),
        ({"vary": {"agent.gamma": [2.0]}}, "agent.gamma=2.0 is out of range"),
        ({"import": ["no_such_module"]}, "No module named 'no_such_module'"),
    ],
)
def test_what_cannot_run_is_named_before_anything_runs(grid, tmp_path, more, wrong):
    with pytest.raises(UserError) as fault:
        check_grid(make_grid({**TINY, **more}), Cache(tmp_path / "cache"))
    assert wrong in str(fault.value)
    assert not list((tmp_path / "cache").glob("*.json"))


def test_results_of_other_versions_are_named_before_anything_runs(tmp_path):
    asked, cache = make_grid({**TINY, "controls": False}), Cache(tmp_path)
    (tmp_path / f"{asked.cells[0].job.key}-old.json").write_text('{"made": {"code": "old"}}')
    cautions = " ".join(check_grid(asked, cache).cautions)
    assert "1 results of other versions are not used, the runs are done again (code old / " in cautions


def test_too_few_seeds_are_an_error_unless_asked_for(grid, capfd):
    assert main(["bench", grid(few_seeds=False), "--dry-run"]) == 2
    assert "1 give no interval" in capfd.readouterr().err
    assert main(["bench", "tiny.yaml", "--dry-run", "--few-seeds"]) == 0


SEARCH = {
    **{key: TINY[key] for key in ("environments", "evaluation")},
    "settings": {**TINY["settings"], "questions.budget": 4},
    "seeds": [1000],
    "search": {"reward.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "agent.hidden": [[8], [16, 16]]},
}


def test_a_search_tries_settings_of_their_types_on_tuning_seeds():
    optuna = pytest.importorskip("optuna")
    search = make_search(SEARCH)
    asked = search.settings({"reward.learning_rate": 0.001, "agent.hidden": 1})
    [job] = search.jobs(asked)
    assert (job.config.seed, job.config.agent.hidden, job.config.reward.learning_rate) == (1000, (16, 16), 0.001)
    whole = make_search({**SEARCH, "search": {"questions.candidates": {"low": 1, "high": 9, "step": 2}}})
    assert whole.space["questions.candidates"] == optuna.distributions.IntDistribution(1, 9, step=2)


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"seeds": [0, 1000]}, r"\[0\] report results"),
        ({"search": {}}, "must name settings"),
        ({"search": {"seed": [1, 2]}}, "seed must be the same in all runs"),
        ({"search": {"questions.length": [5]}}, "questions.length must be the same"),  # settings: has it
        ({"search": {"reward.membres": [1]}}, "unknown setting 'reward.membres'"),
        ({"search": {"reward.error": {"low": 0, "high": 3}}}, "reward.error=3.0 is out of range"),
        ({"search": {"reward.error": {"low": 0.5, "high": 0.1}}}, "search: reward.error: "),
        ({"search": {"reward.error": 3}}, "must be a list of values, or"),
        ({"trials": 0}, "trials: 0 must be a number of trials"),
        ({"budgets": [1]}, "unknown key 'budgets' in the search"),
        ({"method": "tru"}, "methods: unknown 'tru'"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(more, wrong):
    pytest.importorskip("optuna")
    with pytest.raises(UserError, match=wrong):
        make_search({**SEARCH, **more})


def test_a_search_keeps_its_best_settings_and_goes_the_same_way_again(grid, tmp_path, capfd, monkeypatch):
    pytest.importorskip("optuna")
    # no agent learns in a second: between these bounds, what it earns by chance is a score
    monkeypatch.setattr("prefrl.bench.tune._bounds", lambda search, done: {"Pendulum-v1": (-2000.0, 0.0)})
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(SEARCH))
    line = ["tune", "search.yaml", "--trials", "2", "--workers", "1"]
    assert main(line) == 0
    first = capfd.readouterr().out
    best = yaml.safe_load((tmp_path / "runs/tune/search/best.yaml").read_text())
    assert set(best) == set(SEARCH["search"]) and best["agent.hidden"] in ([8], [16, 16])
    assert (
        "looks better than it is" in first and "| defaults |" in (tmp_path / "runs/tune/search/trials.md").read_text()
    )
    kept = len(list((tmp_path / "runs/cache").glob("*.json")))
    assert main(line) == 0
    assert capfd.readouterr().out.splitlines()[1:] == first.splitlines()[1:]  # the time that is left has changed
    assert len(list((tmp_path / "runs/cache").glob("*.json"))) == kept
