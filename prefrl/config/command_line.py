"""Settings from the command line: a preset, then a YAML file, then single settings, each on top of the one before."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

import tyro

from prefrl.config.methods import DEFAULT, PRESETS, TUNED, preset, told_by
from prefrl.config.settings import Config
from prefrl.config.values import names
from prefrl.core.errors import UserError, near

SHORT = {"--teacher": "--teacher.name", "--wait-for-labels": "--teacher.wait"}
"""Options of a line to type, for settings that have a longer name."""

ABOUT = """\
Learn a policy from preferences. Settings come from the preset, then --config FILE.yaml, then the command line.

The run's own options, before the settings:
  --preset NAME     method: {presets} (default christiano)
  --config FILE     settings in YAML, such as: {{preset: uniform, env: Pendulum-v1, questions: {{budget: 100}}}}
  --import MODULE   import it first, for the environments that it registers
  --folder DIR      where to write (default: the next free one under runs/)
  --teacher NAME    who answers: oracle, human, replay=RUN, ... (short for --teacher.name)
  --wait-for-labels N   with --teacher human: pause until the first N questions are answered (--teacher.wait)
  --dry-run         say what would be done, and stop
  --quiet           no progress bar

Settings tuned for an environment ({tuned}; see prefrl/config/methods.py) hold unless you set them yourself."""


def parse(arguments: list[str]) -> tuple[argparse.Namespace, Config]:
    """The run's own options and its configuration. Raises UserError for an unknown setting; exits after --help."""
    own = _Own(prog="prefrl train", add_help=False, allow_abbrev=False)
    own.add_argument("--preset")
    own.add_argument("--config", action="append", default=[])
    own.add_argument("--import", action="append", default=[], dest="modules")
    own.add_argument("--folder")
    own.add_argument("--dry-run", action="store_true")
    own.add_argument("--quiet", action="store_true")
    own.add_argument("--env")
    options, rest = own.parse_known_args([_in_full(argument) for argument in arguments])
    _refuse_unknown(rest)
    if len(options.config) > 1:
        raise UserError(f"--config is given twice: {', '.join(options.config)}; put the settings into one file")
    helping = not {"-h", "--help"}.isdisjoint(rest)
    if helping and not (options.config or options.env):
        base = preset(options.preset or DEFAULT)  # what holds for all environments
    else:
        options.preset, base = told_by(next(iter(options.config), None), options.preset, options.env)
    if options.env is not None:
        rest += ["--env", options.env]
    tuned = ", ".join(TUNED)
    about = ABOUT.format(presets=", ".join(PRESETS), tuned=tuned)
    return options, tyro.cli(Config, prog="prefrl train", description=about, default=base, args=rest)


def _in_full(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if equals and name.startswith("--"):
        return SHORT.get(name, name) + equals + _whole(value)
    return SHORT.get(argument, _whole(argument))


def _whole(text: str) -> str:
    """1e5 as 100000, which settings that count things take too."""
    return (
        str(int(float(text))) if re.fullmatch(r"\d+(\.\d+)?[eE]\+?\d{1,2}", text) and float(text).is_integer() else text
    )


class _Own(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see prefrl train --help")


def _refuse_unknown(arguments: list[str]) -> None:
    known = {name.replace("_", "-") for name in names()} | {"help"}
    switches = {f"{head}no-{tail}" for name in known for head, _, tail in [_split(name)]}
    if arguments and not arguments[0].startswith("-"):
        raise UserError(f"{arguments[0]!r} belongs to no option; an environment is --env {arguments[0]}")
    for argument in arguments:
        if not argument.startswith("--"):
            continue
        name = argument[2:].partition("=")[0].replace("_", "-")
        if name not in known | switches:
            ours = known | {name[2:] for name in SHORT} | {"preset", "config", "import", "folder", "dry-run", "quiet"}
            raise UserError(f"unknown option --{name}{near(name, ours)}")


def _split(name: str) -> tuple[str, str, str]:
    head, dot, tail = name.rpartition(".")
    return head + dot, dot, tail
