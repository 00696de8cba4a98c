"""Settings from the command line: a preset, then a YAML file, then single settings, each on top of the one before."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from typing import Any, NoReturn

import tyro
import yaml

from prefrl.config.methods import DEFAULT, PRESETS, TUNED, compose, preset
from prefrl.config.modules import import_modules
from prefrl.config.settings import AGENT_SETTINGS, Config, Values
from prefrl.config.values import AGENT, names, update
from prefrl.core.errors import UserError, near

SHORT = {"--teacher": "--teacher.name", "--wait-for-labels": "--teacher.wait"}
"""Short options for settings with a longer name."""

ABOUT = """\
Learn a policy from preferences. Settings come from the preset, then --config FILE.yaml, then the command line.

The run's own options, before the settings:
  --preset NAME     method: {presets} (default christiano)
  --config FILE     settings in YAML, such as: {{preset: uniform, env: Pendulum-v1, questions: {{budget: 100}}}}
  --import MODULE   import a module first, for the environments, agents and other parts that it registers
  --folder DIR      where to write (default: the next free one under runs/)
  --teacher NAME    who answers: oracle, human, replay=RUN, ... (short for --teacher.name)
  --wait-for-labels N   with --teacher human: pause until the first N questions are answered (--teacher.wait)
  --mechanisms.NAME.SETTING VALUE   add a mechanism, such as those that `prefrl list` names; all its settings have defaults
  --dry-run         print what would be done, and stop
  --quiet           no progress bar

The settings under agent are those of --agent.algorithm, by default ppo: give it before --help to see those of another
({agents}). Settings tuned for an environment ({tuned}; see prefrl/config/methods.py) hold unless you set them."""


def parse(arguments: list[str]) -> tuple[argparse.Namespace, Config]:
    """The run's own options and its configuration. Raises UserError for an unknown setting; exits after --help."""
    options, rest = _own_options([_in_full(argument) for argument in arguments])
    if len(options.config) > 1:
        raise UserError(f"--config is given twice: {', '.join(options.config)}; put the settings into one file")
    import_modules(options.modules)  # which may bring the environment, the agent and its settings
    mechanisms, rest = _mechanisms(rest)
    helping = not {"-h", "--help"}.isdisjoint(rest)
    if helping and not (options.config or options.env):
        base = preset(options.preset or DEFAULT)  # what holds for all environments
    else:
        options.preset, base = compose(next(iter(options.config), None), options.preset, options.env)
    first = {"env": options.env, AGENT: options.algorithm}  # on which other settings depend
    base = update(base, {name: value for name, value in first.items() if value is not None})
    base = update(base, mechanisms, "the command line")
    _refuse_unknown(rest, base)
    description = ABOUT.format(presets=", ".join(PRESETS), agents=", ".join(AGENT_SETTINGS), tuned=", ".join(TUNED))
    hidden = replace(base, mechanisms={})  # tyro needs the types of all settings
    config = tyro.cli(Config, prog="prefrl train", description=description, default=hidden, args=rest)
    return options, replace(config, mechanisms=base.mechanisms)


def _own_options(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The run's own options with the settings that others depend on, and the remaining arguments."""
    parser = _Parser(prog="prefrl train", add_help=False, allow_abbrev=False)
    parser.add_argument("--preset")
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--import", action="append", default=[], dest="modules")
    parser.add_argument("--folder")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--env")
    parser.add_argument(f"--{AGENT}", dest="algorithm")
    return parser.parse_known_args(arguments)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see prefrl train --help")


def _in_full(argument: str) -> str:
    """An argument with its short option in full, and 1e5 as 100000, so that integer settings accept it."""
    name, equals, value = argument.partition("=")
    if equals and name.startswith("--"):
        return SHORT.get(name, name) + equals + _whole_number(value)
    return SHORT.get(argument, _whole_number(argument))


def _whole_number(text: str) -> str:
    number = float(text) if re.fullmatch(r"\d+(\.\d+)?[eE]\+?\d{1,2}", text) else 0.5
    return str(int(number)) if number.is_integer() else text


def _mechanisms(arguments: list[str]) -> tuple[Values, list[str]]:
    """The settings of mechanisms by dotted name, their values read as YAML; and the arguments without them."""
    settings: Values = {}
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--mechanisms."):
            rest.append(argument)
        elif name.count(".") == 1 and not equals:  # the mechanism with its defaults
            settings.setdefault(name.replace("-", "_"), {})
        else:
            if not equals and (not waiting or waiting[0].startswith("--")):
                raise UserError(f"--{name} needs a value")
            settings[name.replace("-", "_")] = _from_yaml(name, value if equals else waiting.pop(0))
    return settings, rest


def _from_yaml(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as fault:
        raise UserError(f"--{name} {text!r} is not YAML: {fault}") from fault


def _refuse_unknown(arguments: list[str], config: Config) -> None:
    """Raise UserError for the first option that is no setting of this configuration."""
    known = {name.replace("_", "-") for name in names(config)} | {"help"}
    switches = {f"{part}{dot}no-{setting}" for name in known for part, dot, setting in [name.rpartition(".")]}
    if arguments and not arguments[0].startswith("-"):
        raise UserError(f"{arguments[0]!r} belongs to no option; an environment is --env {arguments[0]}")
    for argument in arguments:
        if not argument.startswith("--"):
            continue
        name = argument[2:].partition("=")[0].replace("_", "-")
        if name not in known | switches:
            ours = known | {name[2:] for name in SHORT} | {"preset", "config", "import", "folder", "dry-run", "quiet"}
            raise UserError(f"unknown option --{name}{near(name, ours)}")
