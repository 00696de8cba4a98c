"""The command line: what it takes, what it writes, and the status it ends with."""

import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import yaml
from patience import LONG
from short import SHORT

from prefrl.cli import COMMANDS, main
from prefrl.config.command_line import parse
from prefrl.config.methods import preset
from prefrl.config.settings import Config, get, ranges
from prefrl.config.values import names, update
from prefrl.core.errors import UserError
from prefrl.runs import checkpoint
from prefrl.store.store import LabelStore

ROOT = str(Path(__file__).parent.parent)
OPTIONS = []
for _name, _value in SHORT.items():
    if isinstance(_value, bool):
        _head, _, _tail = _name.rpartition(".")
        OPTIONS.append(f"--{_head}.{'' if _value else 'no-'}{_tail}")
    else:
        OPTIONS += [f"--{_name}", *map(str, _value if isinstance(_value, tuple) else [_value])]
OPTIONS.append("--quiet")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own


@pytest.fixture
def prefrl(capfd):
    """Runs a command in this process. Returns its status, what it wrote to stdout and what to stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(list(arguments))
        except SystemExit as stop:
            status = stop.code or 0
        return status, *capfd.readouterr()

    return run


def start(*arguments: str, before: str = "") -> subprocess.Popen:
    code = f"import sys; sys.path.insert(0, {ROOT!r}); from prefrl.cli import main; {before}\nsys.exit(main({list(arguments)!r}))"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def everything(folder: Path = Path()) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


# Help


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["-h"], ["--version"], *([command, "--help"] for command in COMMANDS)]
)
def test_help_ends_well(arguments, prefrl):
    status, out, _ = prefrl(*arguments)
    assert status == 0 and out.strip()


def test_help_of_train_names_every_setting_and_option(prefrl):
    _, out, _ = prefrl("train", "--help")
    for name in [*names(), "preset", "config", "import", "folder", "dry-run", "quiet"]:
        assert f"--{name.replace('_', '-')}" in out or f"no-{name.rpartition('.')[2]}" in out, name


@pytest.mark.parametrize("given", [["--steps", "1e5"], ["--steps=1.0e+5"], ["--steps", "100_000"]])
def test_counts_may_be_written_with_an_exponent(given):
    assert parse(given)[1].steps == 100_000


def test_list_prints_every_table_or_one(prefrl):
    assert "disagreement" in prefrl("list")[1]
    status, out, _ = prefrl("list", "teachers")
    assert status == 0 and "oracle" in out and "disagreement" not in out


# What is not there


UNKNOWN = {
    "trian": "unknown command 'trian'; did you mean 'train'? There are: bench, compare, evaluate, export, ",
    "list techers": "nothing to list under 'techers'; did you mean 'teachers'?",
    "train --lerning-rate 3": "unknown option --lerning-rate; did you mean 'agent.learning-rate'?",
    "train --agent.gama .9": "unknown option --agent.gama; did you mean 'agent.gamma'?",
    "train Pendulum-v1 --seed 3": "'Pendulum-v1' belongs to no option; an environment is --env Pendulum-v1",
    "train --zzz 3": "unknown option --zzz. There are: agent.algorithm, agent.anneal,",
    "train --preset chistiano": "unknown preset 'chistiano'; did you mean 'christiano'? There are: bpref,",
    "train --env Pendulm-v1": "unknown environment 'Pendulm-v1'; did you mean 'Pendulum-v1'?",
    "train --env os.path:CartPole-v1": "would import a module; say so with --import os.path --env CartPole-v1",
    "train --import no_such_module": "--import no_such_module: No module named",
    "train --agent.algorithm pp0": "agent.algorithm='pp0' does not exist; did you mean 'ppo'? There are: a2c, ppo",
    "train --teacher.name orakle": "teacher.name='orakle' does not exist; did you mean 'oracle'? There are: equal, ",
    "train --teacher.units tsk": "teacher.units='tsk' does not exist; did you mean 'task'?",
    "train --questions.strategy unifrom": "questions.strategy='unifrom' does not exist; did you mean 'uniform'?",
    "train --questions.schedule hyperbol": "did you mean 'hyperbolic'?",
    "train --reward.network mpl": "reward.network='mpl' does not exist; did you mean 'mlp'? There are: auto, cnn, impala, mixed, mlp, nature",
    "train --reward.inputs bth": "did you mean 'both'?",
    "train --config": "argument --config: expected one argument",
    "train --config nope.yaml": "cannot read the configuration nope.yaml",
    "resume nope": "nope is not a run folder",
    "evaluate nope": "nope is not a run folder",
    "plot nope": "nope has no metrics.csv; is it a run folder?",
}


@pytest.mark.parametrize("command", UNKNOWN)
def test_what_is_not_there_is_named_with_the_near_match(command, prefrl):
    status, _, err = prefrl(*command.split())
    assert status == 2 and err.startswith("error: ") and UNKNOWN[command] in err
    assert everything() == []


@pytest.mark.parametrize(
    "command",
    [
        "resume",
        "evaluate",
        "plot",
        "evaluate x --episodes 0",
        "train --steps ten",
        "train extra",
        "train --reward.source no",
    ],
)
def test_wrong_usage_is_status_2(command, prefrl):
    status, _, err = prefrl(*command.split())
    assert status == 2 and err


# Values


BAD = {
    "steps": ["-5", "0", "1e13"], "seed": ["-1", str(2**31)], "agent.n_envs": ["0", "-1", "5000"], "agent.n_steps": ["1"],
    "agent.batch_size": ["1", "2049"], "agent.n_epochs": ["0"], "agent.learning_rate": ["0", "nan", "-1e-3", "inf"],
    "agent.gamma": ["1.5", "-.1", "nan"], "agent.gae_lambda": ["2"], "agent.hidden": ["0", "-5", "100000"],
    "questions.budget": ["-1"], "questions.length": ["0"], "questions.initial": ["1.1", "nan"], "questions.until": ["0"],
    "teacher.beta": ["0", "-1", "nan"], "teacher.mistake": ["1.1"], "teacher.gamma": ["-1"],
    "reward.members": ["0", "1000"], "reward.error": ["1"], "reward.l2": ["-1"], "reward.constant": ["nan", "inf"],
    "reward.hidden": ["0"], "record.memory_mb": ["0"], "record.keep": ["0"], "record.step_timeout": ["0", "nan"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_value_out_of_range_is_refused_before_anything_is_made(name, value, prefrl):
    given = str(int(float(value))) if name == "steps" else value
    status, _, err = prefrl("train", f"--{name.replace('_', '-')}", given)
    assert status == 2 and re.match(rf"error: {name}=.* (is out of range: expected|must lie in)", err), err
    assert everything() == []


def test_every_number_has_a_range():
    config = Config()
    numbers = {name for name in names() if type(get(config, name)) in (int, float, tuple)} - {"questions.kinds"}
    assert numbers - {"agent.batch_size"} <= set(ranges(config))


# YAML


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b", r"holds \['a', 'b'\]; expected settings such as"),
        ("", "holds nothing; expected settings"),
        ("a: [", "is not YAML"),
        ("\x00", "is not YAML"),
        ("[" * 100_000, "is not YAML"),
        ("agent: 5", "agent=5 in .*c.yaml must be settings by name, like {algorithm: ...}"),
        ("agent: {gama: 1}", "unknown setting 'agent.gama' in .*c.yaml; did you mean 'agent.gamma'?"),
        ("1: 2", "unknown setting '1' in .*c.yaml. There are: agent, agent.algorithm"),
        ("steps: .inf", "steps=inf in .*c.yaml must be int, like"),
        ("steps: 1.5", "steps=1.5 .* must be int"),
        ("steps: true", "steps=True .* must be int"),
        ("agent: {hidden: [8.5]}", r"agent.hidden=\[8.5\] .* must be tuple"),
        ("agent: {hidden: 64}", "agent.hidden=64 .* must be tuple"),
        ("reward: {warm: 1}", "reward.warm=1 .* must be bool"),
        ("env: null", "env=None .* must be str"),
        ("reward: {source: tru}", "reward.source='tru' does not exist; did you mean 'true'"),
        ("!!python/object/apply:os.system ['touch owned']", "is not YAML: could not determine a constructor"),
        ("env: !!python/name:os.system", "is not YAML: could not determine a constructor"),
        (
            "a0: &a0 [x,x,x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20)),
            "setting 'a0'",
        ),
        (
            "steps: [&b0 [x,x]" + "".join(f", &b{n} [{','.join([f'*b{n - 1}'] * 9)}]" for n in range(1, 20)) + "]",
            "must be int",
        ),
    ],
    ids=range(20),
)
def test_a_file_that_is_no_configuration_is_refused(text, message, prefrl):
    Path("c.yaml").write_text(text)
    status, _, err = prefrl("train", "--config", "c.yaml", "--dry-run")
    assert status == 2 and re.search(message, err), err
    assert len(err) < 3000 and everything() == ["c.yaml"]


def test_yaml_takes_scientific_numbers_and_lists():
    Path("c.yaml").write_text("{steps: 2e3, agent: {learning_rate: 1e-3, hidden: [8, 8]}, teacher: {beta: .inf}}")
    _, config = parse(["--config", "c.yaml"])
    assert (config.steps, config.agent.learning_rate, config.agent.hidden, config.teacher.beta) == (
        2000,
        1e-3,
        (8, 8),
        float("inf"),
    )


def test_preset_then_file_then_flags_each_on_top_of_the_one_before():
    Path("c.yaml").write_text("questions: {length: 40, budget: 7}")
    _, config = parse(["--preset", "bpref", "--config", "c.yaml", "--questions.budget", "9"])
    assert config.questions.schedule == "constant"  # the preset's
    assert config.questions.length == 40  # the file's, over the preset's 50
    assert config.questions.budget == 9  # the flag's, over the file's


@pytest.mark.parametrize(("said", "found"), [("uniform", "uniform"), ("true", "true"), ("yes", "true")])
def test_a_file_may_name_the_preset_which_the_command_line_overrides(said, found):
    Path("c.yaml").write_text(f"{{preset: {said}, env: Pendulum-v1, seed: 3}}")
    options, config = parse(["--config", "c.yaml"])
    assert options.preset == found and config == update(preset(found, "Pendulum-v1"), {"seed": 3})
    options, config = parse(["--config", "c.yaml", "--preset", "zero"])
    assert options.preset == "zero" and config == update(preset("zero", "Pendulum-v1"), {"seed": 3})


def test_settings_tuned_for_an_environment_lie_below_the_users():
    assert parse(["--env", "Pendulum-v1"])[1].agent.gamma == 0.9
    assert parse(["--env", "Pendulum-v1", "--agent.gamma", ".95"])[1].agent.gamma == 0.95
    Path("c.yaml").write_text("{env: Pendulum-v1, agent: {gamma: .97}}")
    assert parse(["--config", "c.yaml"])[1].agent.gamma == 0.97


def test_every_setting_can_be_given_in_both_ways():
    def other(value):
        return {
            bool: lambda v: not v,
            int: lambda v: v + 1,
            float: lambda v: v / 2,
            str: lambda v: v,
            tuple: lambda v: v if v and isinstance(v[0], str) else (7,),
        }.get(type(value), lambda v: 0.5)(value)

    nested: dict = {}
    for name in names():
        value = other(get(Config(), name))
        head, _, tail = name.rpartition(".")
        (nested.setdefault(head, {}) if head else nested)[tail] = list(value) if isinstance(value, tuple) else value
        shown = (
            [f"--{head}{'.' if head else ''}{'' if value else 'no-'}{tail}"]
            if isinstance(value, bool)
            else [f"--{name}"]
        )
        given = [] if isinstance(value, bool) else list(map(str, value if isinstance(value, tuple) else [value]))
        if name not in ("env", "reward.source"):
            assert get(parse([*shown, *given])[1], name) == value, name
    Path("all.yaml").write_text(yaml.safe_dump(nested))
    config = parse(["--config", "all.yaml"])[1]
    for name in names():
        assert get(config, name) == other(get(Config(), name)), name


def test_one_misplaced_word_is_not_taken_for_another():
    with pytest.raises(UserError, match="unknown option --pre. There are|unknown option --pre; did you mean"):
        parse(["--pre", "bpref"])


# Runs


@pytest.mark.parametrize(
    "wrong, words",
    [
        (["--agent.policy", "Foo"], "agent.policy='Foo' cannot be made here"),
        (["--reward.network", "cnn"], "takes uint8 pictures"),
        (["--pixels.native"], "is for Atari games, and Pendulum-v1 is none"),
        (["--agent.device", "meta"], "agent.device='meta' cannot be used here"),
        (["--agent.n-steps", "100000", "--record.memory-mb", "1"], "record.memory_mb=.* holds"),
        (["--env", ""], "unknown environment ''"),
    ],
)
def test_a_dry_run_refuses_what_a_run_would_refuse(prefrl, wrong, words):
    status, out, err = prefrl("train", *wrong, "--dry-run")
    assert status == 2 and not out
    assert re.search(words, err)


def test_the_settings_tuned_for_the_default_environment_hold_when_nobody_names_it():
    named, unnamed = parse(["--env", "Pendulum-v1"])[1], parse([])[1]
    assert named == unnamed and unnamed.agent.gamma == 0.9


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(prefrl):
    status, out, _ = prefrl("train", *OPTIONS, "--dry-run")
    assert status == 0
    assert (
        "2,048 steps of PPO, 24 questions of 10 steps to 'oracle'" in out and "in runs/Pendulum-v1-christiano-s0" in out
    )
    assert everything() == []


def test_a_run_from_start_to_plot(prefrl):
    status, out, _ = prefrl("train", *OPTIONS, "--record.plots")
    folder = "runs/Pendulum-v1-christiano-s0"
    assert status == 0 and "true return" in out and f"{folder}/curve.png  learning curve" in out
    assert prefrl("evaluate", folder, "--episodes", "1")[0] == 0
    assert prefrl("plot", folder)[1].split() == [f"{folder}/curve.png", f"{folder}/reward.png"]
    status, _, err = prefrl("train", *OPTIONS, "--folder", folder)
    assert status == 2 and "is not empty; choose another folder, or go on with: prefrl resume" in err
    assert f"{folder}-2" in prefrl("train", *OPTIONS, "--dry-run")[1]
    assert prefrl("resume", folder, "--quiet")[0] == 0


def test_a_folder_that_cannot_be_is_refused(prefrl):
    Path("file").touch()
    for folder in ("file", "file/run"):
        status, _, err = prefrl("train", *OPTIONS, "--folder", folder)
        assert status == 2 and re.search("is a file; choose a folder|cannot make the run folder", err)


def test_an_imported_module_brings_its_environments(prefrl):
    Path("my_tasks.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('mine/Swing-v0', 'gymnasium.envs.classic_control.pendulum:PendulumEnv', max_episode_steps=200)\n"
    )
    status, out, _ = prefrl("train", "--import", "my_tasks", "--env", "mine/Swing-v0", *OPTIONS, "--dry-run")
    assert status == 0 and "mine/Swing-v0: 2,048 steps" in out


def wait_for_checkpoint(child: subprocess.Popen, folder: Path) -> None:
    deadline = time.monotonic() + LONG
    while not checkpoint.found(folder / "checkpoints"):
        assert child.poll() is None and time.monotonic() < deadline, child.stderr.read()
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_run_says_how_to_go_on_and_it_does(number, status, prefrl):
    child = start("train", *OPTIONS, "--folder", "run", "--steps", "10240")
    wait_for_checkpoint(child, Path("run"))
    child.send_signal(signal.SIGSTOP)  # a fast machine would finish the run while the next line looks at it
    code, _, err = prefrl("resume", "run")
    assert code == 2 and f"is being trained by process {child.pid}" in err
    child.send_signal(number)
    child.send_signal(signal.SIGCONT)
    assert child.wait(LONG) == status
    assert f"stopped by {number.name}; go on with: prefrl resume run" in child.stderr.read()
    assert prefrl("resume", "run", "--quiet")[0] == 0


def test_a_full_disk_is_status_75_and_loses_no_label(prefrl):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))"
    child = start("train", *OPTIONS, "--folder", "run", before=limit)
    _, err = child.communicate(timeout=LONG)
    assert child.returncode == 75 and re.search(
        "free some space and resume|what was checkpointed and labelled is kept", err
    ), err
    assert "Traceback" not in err
    with LabelStore.open(Path("run")) as store:
        before = list(store.history())
    assert prefrl("resume", "run", "--quiet")[0] == 0
    with LabelStore.open(Path("run")) as store:
        assert list(store.history())[: len(before)] == before and len(before) > 0


def test_an_environment_that_raises_is_status_70_with_its_traceback(prefrl):
    Path("broken_tasks.py").write_text(
        "import gymnasium\nfrom gymnasium.envs.classic_control.pendulum import PendulumEnv\n"
        "class Broken(PendulumEnv):\n    def step(self, action):\n        raise RuntimeError('motor on fire')\n"
        "gymnasium.register('mine/Broken-v0', Broken, max_episode_steps=200)\n"
    )
    status, _, err = prefrl("train", "--import", "broken_tasks", "--env", "mine/Broken-v0", *OPTIONS)
    assert status == 70 and "broken_tasks.py" in err
    assert err.rstrip().endswith("error: environment 0 raised RuntimeError in step 1: motor on fire")
    assert not Path("runs").exists()
