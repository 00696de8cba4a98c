"""`prefrl label RUN --ai MODEL`: its options and the command."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from dataclasses import fields

from prefrl.core.errors import UserError
from prefrl.labelling.ai.ai_settings import DISAGREE, AISettings

ABOUT = """\
An AI in place of people, or beside them:
  prefrl label RUN --ai gpt-4o-mini --endpoint https://api.openai.com/v1 --key-env OPENAI_API_KEY \\
      --price 0.15 0.60 --max-cost 2 --dry-run       what would be sent, and the price; leave out --dry-run to start
  prefrl label RUN --ai llava --endpoint http://127.0.0.1:11434/v1      a model on this machine, such as Ollama's

With --ai, FRAMES OF THE CLIPS, THE QUESTION AND RUN/instructions.md ARE SENT TO THE ENDPOINT, that is, off this machine
unless the endpoint is on it. No page is opened. A question's clips are shown in several orders, a pair's in both; what each
order said, with the model's reason, is kept with the answer. Replies are kept in RUN/ai-calls.db, so that nothing is paid twice. The key comes from an
environment variable alone, and is written nowhere.
"""
DEFAULTS = {field.name: field.default for field in fields(AISettings) if field.name not in ("model", "labeller")}
OPTIONS = (*DEFAULTS, "dry_run")
"""Options of an AI labeller alone; --labeller belongs to the page too."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of an AI labeller, in a group of their own."""
    group = parser.add_argument_group("an AI as labeller", "frames of clips are sent to the endpoint")
    parser.set_defaults(**{**DEFAULTS, "endpoint": None})
    add = group.add_argument
    add("--ai", metavar="MODEL", help="label with this vision model instead of the page")
    add(
        "--endpoint",
        help="base of an OpenAI-compatible API; any server that has POST URL/chat/completions",
        metavar="URL",
    )
    add("--key-env", help="environment variable that holds the endpoint's key (default: none is sent)", metavar="NAME")
    add("--dry-run", help="show the prompt and the price, and send nothing", action="store_true")
    add("--frames", help="frames of each clip that it sees, evenly spaced (8)", type=int, metavar="K")
    add("--widest", help="pixels; a strip of frames that is larger is made smaller (2048)", type=int, metavar="PIXELS")
    add("--disagree", help="what a question counts as whose answer changes with the order of its clips (equal)",
        choices=DISAGREE)  # fmt: skip
    add("--overlap", help="share of what others have answered that it answers too, for comparison (0)", type=float,
        metavar="SHARE")  # fmt: skip
    add("--price", help="dollars per million tokens", type=float, nargs=2, metavar=("SENT", "RECEIVED"))
    add("--max-cost", help="stop before this labeller's calls about this run, of all times, cost more; needs --price",
        type=float, metavar="DOLLARS")  # fmt: skip
    add("--max-calls", help="stop after so many calls about this run, of all times", type=int, metavar="N")
    add("--at-once", help="questions that are with the model at the same time (4)", type=int, metavar="N")
    add("--timeout", help="seconds for a call (120)", type=float, metavar="SECONDS")
    add("--patience", help="seconds over which a call that fails is tried again (600)", type=float, metavar="SECONDS")
    add("--max-tokens", help="of an answer; models that think aloud need more (500)", type=int, metavar="N")


def label(options: argparse.Namespace) -> int:
    """Label with the model until nothing is left; with --dry-run, print the prompt and the price."""
    from prefrl.labelling.ai.labeller import ai_labeller
    from prefrl.labelling.ai.preview import preview

    if options.endpoint is None:
        raise UserError(
            f"--ai {options.ai} needs --endpoint URL, such as https://api.openai.com/v1 or http://127.0.0.1:11434/v1"
        )
    values = {name: getattr(options, name) for name in DEFAULTS}
    values["price"] = tuple(options.price) if options.price else None
    settings = AISettings(model=options.ai, labeller=options.labeller, **values)
    if options.dry_run:
        print(preview(options.folder, settings, options.modules, options.store))
        return 0
    with ai_labeller(options.folder, settings, options.modules, options.store) as labeller:
        before = signal.signal(signal.SIGTERM, _interrupt)
        print(_data_notice(settings), file=sys.stderr)
        try:
            summary = labeller.work()
        except KeyboardInterrupt:  # for the second time; threads that wait for the model would keep the process
            os._exit(130)
        finally:
            signal.signal(signal.SIGTERM, before)
        print(summary)
    if labeller.fault:
        raise labeller.fault
    return 0


def _data_notice(settings: AISettings) -> str:
    where = "leave this machine" if settings.leaves_the_machine else "stay on this machine"
    plain = settings.key_env and settings.leaves_the_machine and settings.endpoint.lower().startswith("http:")
    return f"frames of the clips, the question and instructions are sent to {settings.host}: they {where}" + (
        "\nwarning: the key is sent unencrypted; use an https address or a tunnel" if plain else ""
    )


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
