"""Settings of the user's own agents, settings of mechanisms, and settings that no longer exist: YAML, Python, command line."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from prefrl.cli import main
from prefrl.config import settings
from prefrl.config.command_line import parse
from prefrl.config.settings import AgentConfig, Config, OnPolicyConfig, get, ranges, register_agent, setting
from prefrl.config.values import as_dict, load, names, update
from prefrl.core.errors import UserError

MODULE = """
from dataclasses import dataclass
from prefrl.config.settings import AgentConfig, register_agent, setting

@dataclass
class Greedy(AgentConfig):
    algorithm: str = "greedy"
    epsilon: float = setting(0.2, low=0, high=1)
    \"\"\"Share of random actions.\"\"\"
    sizes: tuple[int, ...] = (8,)
    name: str | None = None

register_agent("greedy", Greedy)
"""


@dataclass
class Toy(AgentConfig):
    algorithm: str = "toy"
    n_envs: int = setting(1, low=1, high=8)
    epsilon: float = setting(0.1, low=0, high=1)
    memory: int | None = None


@pytest.fixture(autouse=True)
def toy(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "AGENT_SETTINGS", dict(settings.AGENT_SETTINGS))
    register_agent("toy", Toy)


# Agents


@pytest.mark.parametrize(
    "given",
    [
        {"agent": {"epsilon": "5e-1", "algorithm": "toy", "memory": 3.0}},
        {"agent.epsilon": 0.5, "agent.memory": 3, "agent.algorithm": "toy"},
        {"agent.algorithm": "toy", "agent": {"epsilon": 0.5, "memory": 3}},
    ],
)
def test_an_own_agent_has_its_settings_however_they_are_given(given):
    Path("c.yaml").write_text(yaml.safe_dump(given))
    assert update(Config(), given).agent == load("c.yaml").agent == Toy(epsilon=0.5, memory=3)


def test_an_own_agent_has_its_settings_on_the_command_line():
    config = parse(["--agent.algorithm", "toy", "--agent.epsilon", ".5", "--agent.memory=3"])[1]
    assert config.agent == Toy(epsilon=0.5, memory=3)
    Path("c.yaml").write_text("{env: Pendulum-v1, agent: {algorithm: toy, memory: 4}}")
    assert parse(["--config", "c.yaml", "--agent.epsilon", ".5"])[1].agent == Toy(epsilon=0.5, memory=4)
    assert isinstance(parse(["--config", "c.yaml", "--agent.algorithm=ppo"])[1].agent, OnPolicyConfig)


def test_an_agent_in_an_imported_module_is_known_on_the_command_line(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(Path.cwd()))
    Path("greedy_agents.py").write_text(MODULE)
    line = ["--import", "greedy_agents", "--agent.algorithm", "greedy"]
    agent = parse([*line, "--agent.epsilon", ".5", "--agent.sizes", "3", "4", "--agent.name", "it"])[1].agent
    assert (agent.epsilon, agent.sizes, agent.name, agent.n_envs) == (0.5, (3, 4), "it", 8)
    with pytest.raises(SystemExit):
        main(["train", *line, "--help"])
    shown = capsys.readouterr().out
    assert "--agent.epsilon" in shown and "Share of random actions." in shown and "--agent.n-steps" not in shown


def test_another_agent_keeps_the_shared_settings_that_were_set():
    before = update(Config(), {"agent": {"device": "cpu", "gamma": 0.5}})
    after = update(before, {"agent": "toy"})
    assert after.agent == Toy(device="cpu")  # its own default of n_envs, no gamma
    assert update(after, {"agent": "ppo"}).agent == OnPolicyConfig(device="cpu")
    assert update(before, {"agent": "a2c"}).agent == OnPolicyConfig("a2c", device="cpu", gamma=0.5)  # the same class


def test_a_configuration_of_an_own_agent_survives_yaml():
    config = update(Config(), {"agent": {"algorithm": "toy", "epsilon": 0.5}, "mechanisms": {"pull": {"weight": 2}}})
    Path("c.yaml").write_text(yaml.safe_dump(as_dict(config)))
    assert load("c.yaml") == config


def test_names_are_those_of_this_configuration():
    found = names(update(Config(), {"agent": "toy", "mechanisms.pull.weight": 1}))
    assert {"agent.epsilon", "agent.n_envs", "mechanisms.pull.weight", "seed"} <= set(found)
    assert "agent.n_steps" not in found and "agent.n_steps" in names() and "agent.epsilon" not in names()


def test_errors_name_what_the_agent_has():
    with pytest.raises(UserError, match="unknown setting 'agent.epsilom'; did you mean 'agent.epsilon'"):
        update(Config(), {"agent.algorithm": "toy", "agent.epsilom": 1})
    with pytest.raises(UserError, match="unknown setting 'agent.n_steps'"):
        update(Config(), {"agent.algorithm": "toy", "agent.n_steps": 8})
    with pytest.raises(UserError, match="agent.algorithm='toi' does not exist; did you mean 'toy'"):
        update(Config(), {"agent": "toi"})
    with pytest.raises(UserError, match=r"agent.epsilon=2.0 is out of range: expected 0 to 1"):
        update(Config(), {"agent": {"algorithm": "toy", "epsilon": 2}}).check()
    with pytest.raises(UserError, match=r"agent.n_envs=9 is out of range: expected 1 to 8"):
        update(Config(), {"agent": {"algorithm": "toy", "n_envs": 9}}).check()
    with pytest.raises(UserError, match="unknown option --agent.n-steps"):
        parse(["--agent.algorithm", "toy", "--agent.n-steps", "8"])
    with pytest.raises(UserError, match="expected a dataclass that extends AgentConfig"):
        register_agent("other", dict)


def test_every_part_says_its_ranges():
    assert ranges(Config())["agent.gamma"] == (0, 1)
    assert ranges(update(Config(), {"agent": "toy"}))["agent.epsilon"] == (0, 1)


# Mechanisms


@pytest.mark.parametrize(
    "given",
    [
        {"mechanisms": {"pull": {"weight": 0.1, "mode": "soft"}, "plain": {}}},
        {"mechanisms.pull.weight": "1e-1", "mechanisms.pull.mode": "soft", "mechanisms.plain": None},
        {"mechanisms.pull": {"weight": 0.1}, "mechanisms": {"pull": {"mode": "soft"}, "plain": {}}},
    ],
)
def test_mechanisms_have_settings_however_they_are_given(given):
    wanted = {"pull": {"weight": 0.1, "mode": "soft"}, "plain": {}}
    Path("c.yaml").write_text(yaml.safe_dump(given))
    assert update(Config(), given).mechanisms == load("c.yaml").mechanisms == wanted


def test_mechanisms_have_settings_on_the_command_line():
    line = ["--mechanisms.pull.weight", "1e-1", "--mechanisms.plain", "--seed", "3", "--mechanisms.pull.layers=[8, 8]"]
    config = parse([*line, "--mechanisms.pull.to-zero", "-2"])[1]
    assert config.mechanisms == {"pull": {"weight": 0.1, "layers": [8, 8], "to_zero": -2}, "plain": {}}
    assert config.seed == 3


def test_the_command_line_goes_before_the_file_setting_by_setting():
    Path("c.yaml").write_text("mechanisms: {pull: {weight: .1, mode: soft}}")
    config = parse(["--config", "c.yaml", "--mechanisms.pull.weight", "2"])[1]
    assert config.mechanisms == {"pull": {"weight": 2, "mode": "soft"}}
    assert get(config, "mechanisms.pull.weight") == 2


@pytest.mark.parametrize(
    "given, words",
    [
        ({"mechanisms": 5}, "mechanisms=5 must be names with settings"),
        ({"mechanisms": {"pull": 5}}, "mechanisms.pull=5 must be settings by name"),
    ],
)
def test_mechanisms_without_settings_by_name_are_refused(given, words):
    with pytest.raises(UserError, match=words):
        update(Config(), given)


def test_a_mechanism_without_its_value_is_refused():
    with pytest.raises(UserError, match="--mechanisms.pull.weight needs a value"):
        parse(["--mechanisms.pull.weight", "--seed", "3"])


# Settings that no longer exist


def test_a_file_of_the_first_release_loads_without_a_word(recwarn):
    Path("c.yaml").write_text("{steps: 300, reward: {together: false, precision: float32, members: 2}}")
    config = load("c.yaml")
    assert (config.steps, config.reward.members) == (300, 2) and not recwarn.list
    assert "reward.precision" not in names(config)


def test_a_retired_setting_that_was_set_is_warned_of():
    with pytest.warns(
        UserWarning, match="reward.precision='bfloat16' in c.yaml is ignored: this setting no longer exists"
    ):
        Path("c.yaml").write_text("reward: {precision: bfloat16}")
        assert load("c.yaml") == Config()
