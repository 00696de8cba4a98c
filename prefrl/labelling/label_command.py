"""`prefrl label`: its options and their help."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from prefrl.config.modules import import_modules
from prefrl.core.errors import UserError
from prefrl.labelling.ai import ai_command as ai
from prefrl.labelling.messages import labeller_name

ABOUT = """\
Label pairs of a run in the browser, while it trains or afterwards.

Prints the page's address and opens it where there is a display. Answers are stored before they are acknowledged;
a run that trains learns from them within one rollout. Ctrl-C ends the page, not the training.

  prefrl train --env Pendulum-v1 --teacher human     trains, asks people, and opens this page itself
  prefrl label runs/Pendulum-v1-christiano-s0        the page of a run, training or not
  prefrl label RUN --url                             the address again, and the tunnel for another machine
  prefrl label RUN --invite ann --invite ben         an address for each, under which only that person labels

Everything stays on this machine unless --allow-remote or --ai is given. Whoever has the printed address may see and correct
all answers; those invited, only their own. What labellers should know goes into RUN/instructions.md.
Copies of the labels are kept in RUN/backups.

"""
PAGE = ("invites", "url", "browser", "port", "host", "allow_remote")
"""Options of the page, which an AI labeller does not take."""


def label(arguments: list[str]) -> int:
    """Label pairs of a run in the browser, while it trains or afterwards."""
    made = parser()
    given = made.parse_args(arguments)
    import_modules(given.modules)  # which may bring the agent, the environment and other names that config.yaml has
    if given.ai is not None:
        _refuse(made, given, PAGE, "belongs to the page; leave it out with --ai")
        return ai.label(given)
    _refuse(made, given, ai.OPTIONS, "is for an AI labeller; name its model with --ai")
    from prefrl.labelling.serve import Options, serve

    return serve(Options(**{name: value for name, value in vars(given).items() if name not in {"ai", *ai.OPTIONS}}))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="prefrl label", description=ABOUT + ai.ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("folder", metavar="RUN", type=Path, help="the run's folder")
    add("--labeller", type=_name, metavar="NAME", help="the name to propose for your answers (default: your user name)")
    add("--invite", type=_name, metavar="NAME", action="append", default=[], dest="invites",
        help="print an address for this person, also of a page that is open already; may be repeated")  # fmt: skip
    add("--url", action="store_true", help="print address, token and tunnel; open no browser, serve until Ctrl-C")
    add("--no-browser", action="store_false", dest="browser", help="open no browser")
    add("--port", type=_port, default=0, help="port to listen on (default: the run's usual one, or a free one)")
    add("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    add("--allow-remote", action="store_true", help="with --host: yes, let other machines reach the page, unencrypted")
    add("--import", action="append", default=[], dest="modules", metavar="MODULE",
        help="module that registers environments, agents or other parts of the run")  # fmt: skip
    add("--store", metavar="URL", help="database of the labels, where it is not labels.db in the run's folder")
    add("--beside-training", action="store_true", help=argparse.SUPPRESS)  # passed by a trainer that opens the page
    ai.add_options(made)
    return made


def _refuse(made: argparse.ArgumentParser, given: argparse.Namespace, names: Iterable[str], why: str) -> None:
    """Raise UserError for the first of these options that was given."""
    options = {action.dest: action.option_strings[-1] for action in made._actions if action.option_strings}
    for name in names:
        if getattr(given, name) != made.get_default(name):
            raise UserError(f"{options[name]} {why}")


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} must be a port, 0 to 65535")
    return int(text)


def _name(text: str) -> str:
    try:
        return labeller_name(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"{text!r}: {fault}") from fault
