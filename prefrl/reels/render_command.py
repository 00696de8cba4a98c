"""`prefrl render`: its options and their help."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ABOUT = """\
Make videos of a run for papers, talks and READMEs; also while it trains. Each frame is in them exactly once.

  prefrl render pairs RUN                            the last answered questions, and what the model predicts
  prefrl render pairs RUN --query 7 --out pair.gif   one of them, for a README
  prefrl render best RUN                             what the reward model likes best, beside what it likes least
  prefrl render progress RUN                         the policy at every kept checkpoint (--record.keep of the run)
  prefrl render episode RUN                          an evaluation episode of the newest checkpoint
"""
NICE = 10  # training comes first

KINDS = {
    "pairs": "answered questions, clips side by side: answer, labeller, decision time, learned reward of each step",
    "best": "the segments that the reward model likes best and least, of all that questions were about",
    "progress": "the same episode acted by the policy of every kept checkpoint, one after the other",
    "episode": "evaluation episodes of the newest checkpoint, with true and learned reward of each step",
}


def render(options: argparse.Namespace) -> int:
    """Make one video and say where it is."""
    with suppress(OSError):
        os.nice(NICE)
    from prefrl.reels import acting, best, pairs

    make: dict[str, Callable[..., Path]] = {
        "pairs": pairs.pairs, "best": best.best, "progress": acting.progress, "episode": acting.episode
    }  # fmt: skip
    arguments = {name: value for name, value in vars(options).items() if name not in ("kind", "run", "modules")}
    path = make[options.kind](options.run, **arguments)
    print(f"{path}  {path.stat().st_size / 1000:,.0f} kB")
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="prefrl render", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = made.add_subparsers(dest="kind", required=True, metavar="KIND")
    parsers = {name: kinds.add_parser(name, help=text, description=text) for name, text in KINDS.items()}
    for name, sub in parsers.items():
        sub.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
        sub.add_argument("--out", type=Path, metavar="FILE", help=f".mp4 or .gif (default: RUN/{name}.mp4)")
        sub.add_argument("--fps", type=_rate, help="frames per second (default: real time, or slower to last 2 s)")
        sub.add_argument("--width", type=_count, help="pixels across each clip (default: as drawn; a GIF: at most 320)")
        sub.add_argument("--import", action="append", default=[], dest="modules", metavar="MODULE",
                         help="registers environments")  # fmt: skip
    which = parsers["pairs"].add_mutually_exclusive_group()
    which.add_argument(
        "--query", type=_count, nargs="+", default=[], dest="queries", metavar="ID", help="these questions"
    )
    which.add_argument("--last", type=_count, default=12, help="so many, answered last (default 12)")
    parsers["best"].add_argument("--count", type=_count, default=5, help="how many of each (default 5)")
    parsers["episode"].add_argument("--episodes", type=_count, default=1, help="how many (default 1)")
    parsers["episode"].add_argument("--steps", type=_count, default=1000, help="of an episode, at most (default 1000)")
    parsers["progress"].add_argument("--steps", type=_count, default=200, help="of each episode, at most (default 200)")
    return made


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.1 <= rate <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of frames per second, 0.1 to 1000")
    return rate
