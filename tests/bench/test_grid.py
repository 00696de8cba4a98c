"""A grid says what will be run; whatever is empty, unknown or contradictory in it is named."""

import pytest

from prefrl.bench.arms import CONTROLS
from prefrl.bench.grid import make_grid, read_grid
from prefrl.core.errors import UserError

ONE = {"environments": ["Pendulum-v1"]}


def test_arms_are_the_product_of_the_axes_beside_all_controls():
    grid = make_grid({**ONE, "teachers": ["oracle", "mistake"], "budgets": [100, 300], "seeds": 3})
    arms = [arm.name for arm in grid.arms if not arm.control]
    assert arms == [f"{teacher}, {n} questions" for teacher in ("oracle", "mistake") for n in (100, 300)]
    assert tuple(arm.name for arm in grid.arms if arm.control) == CONTROLS
    assert len(grid.cells) == 3 * (4 + len(CONTROLS))
    assert [cell.job.config.seed for cell in grid.cells[:10]] == [0] * 10  # seed by seed


def test_an_arm_has_its_settings_and_those_tuned_for_its_environment():
    grid = make_grid({**ONE, "vary": {"questions.length": [10, 20]}, "settings": {"steps": 5000}, "controls": False})
    first, second = (grid.config("Pendulum-v1", arm, 7) for arm in grid.arms)
    assert (first.questions.length, second.questions.length) == (10, 20)
    assert (first.steps, first.seed, first.agent.gamma) == (5000, 7, 0.9)
    assert [arm.name for arm in grid.arms] == ["length 10", "length 20"]


def test_what_is_tuned_for_a_family_of_environments_holds_for_its_members():
    grid = make_grid({**ONE, "environments": ["ALE/Pong-v5"], "controls": False})
    config = grid.config("ALE/Pong-v5", grid.arms[0], 0)
    assert (config.agent.learning_rate, config.agent.endless, config.reward.network) == (2.5e-4, True, "nature")


def test_shuffled_answers_get_the_largest_budget_and_the_first_method():
    grid = make_grid({**ONE, "methods": ["bpref", "christiano"], "budgets": [10, 30]})
    config = grid.config("Pendulum-v1", grid.arms[-1], 0)
    assert (config.reward.source, config.questions.budget, config.reward.network) == ("shuffled", 30, "tanh_mlp")


def test_controls_that_ask_nothing_are_the_same_runs_whatever_the_budgets():
    one, other = (make_grid({**ONE, "budgets": budgets, "controls": ["zero"]}) for budgets in ([10], [20, 30]))
    assert one.cells[-1].job == other.cells[-1].job and one.cells[-1].arm.name == "zero"


def test_controls_that_fail_by_far_may_have_fewer_seeds_than_the_ceiling():
    grid = make_grid({**ONE, "controls": ["true", "zero"], "seeds": [4, 5, 6, 7], "control_seeds": 3})
    seeds = {arm.name: [c.job.config.seed for c in grid.cells if c.arm is arm] for arm in grid.arms}
    assert seeds == {"christiano": [4, 5, 6, 7], "true": [4, 5, 6, 7], "zero": [4, 5, 6]}


def test_a_part_may_be_called_by_its_name():
    grid = make_grid({**ONE, "settings": {"teacher": "mistake"}, "variants": {"other": {"agent": "a2c"}, "ours": {}}})
    config = grid.config("Pendulum-v1", grid.arms[0], 0)
    assert (config.teacher.name, config.agent.algorithm) == ("mistake", "a2c")


def test_the_word_true_is_a_control_though_yaml_reads_it_as_yes(tmp_path):
    (tmp_path / "mine.yaml").write_text("environments: [Pendulum-v1]\ncontrols: [true, zero]\n")
    grid = read_grid(tmp_path / "mine.yaml")
    assert grid.name == "mine" and [arm.name for arm in grid.arms] == ["christiano", "true", "zero"]


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ({}, "environments: nothing is there to run"),
        ({"environments": []}, "environments: nothing is there to run"),
        ({**ONE, "budgets": []}, "budgets: nothing"),
        ({**ONE, "teacher": ["oracle"]}, "unknown key 'teacher' in the grid; did you mean 'teachers'"),
        ({**ONE, "steps": 4096}, "steps is a setting of every run; say settings: {steps: 4096}"),
        ({**ONE, "seed": 3}, "seed: is set by seeds: in a grid, like seeds: [3]"),
        ({**ONE, "budgets": [100, "lots"]}, "questions.budget='lots' in budgets must be int"),
        ({**ONE, "methods": ["christano"]}, "methods: unknown 'christano'; did you mean 'christiano'"),
        ({**ONE, "methods": ["true"]}, "true is a control, and belongs under controls:"),
        ({**ONE, "controls": ["nothing"]}, "controls: unknown 'nothing'"),
        ({**ONE, "budgets": [10, 10]}, "budgets: 10 is there twice"),
        ({**ONE, "seeds": 2}, "seeds: 2 give no interval; 3 are the least and 10 enough"),
        ({**ONE, "seeds": 0}, "seeds: 0 leaves nothing to run"),
        ({**ONE, "seeds": [0, 1, -1]}, "must be whole numbers from 0 on"),
        ({**ONE, "seeds": "many"}, "must be a number of seeds"),
        ({**ONE, "settings": {"seed": 3}}, "seed is set by seeds:"),
        ({**ONE, "settings": {"stesp": 3}}, "unknown setting 'stesp' in settings; did you mean 'steps'"),
        ({**ONE, "settings": {"steps": "many"}}, "steps='many' in settings must be int"),
        ({**ONE, "vary": {"questions.budget": [1, 2]}}, "vary: questions.budget is set by budgets:"),
        ({**ONE, "vary": {"steps": [1, 2]}}, "a ceiling at another budget"),
        ({**ONE, "vary": {"reward.member": [1]}}, "unknown setting 'reward.member'; did you mean 'reward.members'"),
        ({**ONE, "vary": {"reward.members": []}}, "vary: reward.members: nothing"),
        ({**ONE, "variants": {"long": {"steps": 10}}}, "steps cannot differ between arms"),
        ({**ONE, "variants": {}}, "must be names with settings"),
        ({**ONE, "variants": {"a": {"reward.members": 3}, "b": {}}}, "'a' and 'b' are the same configuration"),
        ({**ONE, "budgets": [3], "settings": {"questions.budget": 5}}, "questions.budget is set by settings: and again by"),
        ({**ONE, "methods": ["uniform"], "strategies": ["bald"]}, "questions.strategy is set by methods: and again by"),
        ({**ONE, "teachers": ["human"]}, "a benchmark has no people to ask"),
        ({**ONE, "control_seeds": 2}, "control_seeds: 2 must be a number of seeds, 3 at least"),
        ({**ONE, "control_seeds": "few"}, "control_seeds: 'few' must be a number of seeds"),
        ({**ONE, "evaluation": 0}, "evaluation: 0 must be a number of steps"),
        ({**ONE, "budgets": [0, 100]}, "budgets: an agent that asks nothing is the control zero"),
        ({"environments": [1]}, "environments: 1 must be a name"),
        ({**ONE, "controls": None}, "controls: is empty; say which, or false for none"),
        ({**ONE, "few_seeds": "maybe"}, "few_seeds: 'maybe' must be true or false"),
        ({**ONE, "vary": {"questions.length": [{"a": 1}]}}, "vary: questions.length: {'a': 1} must be a value"),
        ({**ONE, "variants": {1: {}, "1": {"reward.members": 1}}}, "the same name"),
        ({**ONE, "settings": {"agent": {"gamma": 0.5}, "agent.gamma": 0.7}}, "agent.gamma is there twice"),
        ({"environments": ["ALE/Pong-v5"], "methods": ["christiano", "christiano-atari"]}, "which cannot be compared"),
    ],
)  # fmt: skip
def test_a_grid_that_makes_no_sense_is_refused(told, wrong):
    with pytest.raises(UserError) as fault:
        make_grid(told)
    assert wrong in str(fault.value)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "holds nothing"),
        ("seeds: 3\nseeds: 5", "'seeds' is there twice"),
        ("- a", "holds"),
        ("a: [", "is not YAML"),
        (None, "cannot read "),
    ],
)
def test_a_file_that_is_no_grid_is_refused(tmp_path, text, wrong):
    if text is not None:
        (tmp_path / "g.yaml").write_text(text)
    with pytest.raises(UserError, match=wrong):
        read_grid(tmp_path / "g.yaml")


def test_an_arm_is_never_taken_for_a_control_of_its_name():
    grid = make_grid({**ONE, "schedules": ["constant", "hyperbolic"]})
    assert [arm.name for arm in grid.arms if not arm.control] == ["schedule constant", "hyperbolic"]
    grid = make_grid(
        {**ONE, "variants": {"random": {"questions.strategy": "uniform"}, "b": {}}, "controls": ["random"]}
    )
    assert [arm.name for arm in grid.arms] == ["variant random", "b", "random"]


def test_a_number_is_what_yaml_would_have_meant():
    grid = make_grid({**ONE, "budgets": ["1e2", 300], "controls": False})
    assert [arm.labels["budgets"] for arm in grid.arms] == [100, 300]


def test_few_seeds_and_tuning_seeds_are_cautioned_against():
    assert "5 seeds: a 95 % interval covers less" in make_grid({**ONE, "seeds": 5}).cautions[0]
    assert "are for tuning" in make_grid({**ONE, "seeds": [0, 1, 1000]}).cautions[1]
    assert make_grid({**ONE, "seeds": 10}).cautions == []
