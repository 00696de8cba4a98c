"""The command line. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import errno
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from prefrl.config.modules import import_modules
from prefrl.core.errors import EnvironmentFailed, Stopped, StorageFull, UserError, near

if TYPE_CHECKING:
    from prefrl.runs.outcome import Result

INTRO = """\
Learn a policy from preferences between pairs of short segments of behaviour (Christiano et al. 2017).

  prefrl train --env Pendulum-v1 --questions.budget 100
  prefrl train --preset true --env Pendulum-v1        the same with the true reward: the ceiling
  prefrl resume runs/Pendulum-v1-christiano-s0        go on after a stop or a kill
  prefrl label runs/Pendulum-v1-christiano-s0         answer its questions in the browser
  prefrl evaluate runs/Pendulum-v1-christiano-s0      true returns of its newest policy
  prefrl plot runs/Pendulum-v1-*                      learning curves of several runs in one picture
  prefrl render pairs runs/Pendulum-v1-christiano-s0  a video of what was answered
  prefrl export runs/Pendulum-v1-christiano-s0 OUT    its labels, segments and clips in open formats
  prefrl bench GRID.yaml                              a grid of runs with seeds and controls, and its report
  prefrl compare REPORT_A REPORT_B                    what changed between two of them, beyond chance
  prefrl tune SEARCH.yaml                             search over settings
  prefrl list                                         environments, presets, teachers, strategies
  prefrl train --help                                 every setting
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status.

    2: something given was wrong. 70: an environment failed or hangs. 75: the disk is full. 130, 143: stopped. After all
    but the first, `prefrl resume` goes on from the last checkpoint.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        if not given or given[0] in ("-h", "--help"):
            print(INTRO + "\ncommands: " + ", ".join(COMMANDS))
            return 0
        if given[0] == "--version":
            from prefrl import __version__

            print(__version__)
            return 0
        if given[0] not in COMMANDS:
            raise UserError(f"unknown command {given[0]!r}{near(given[0], COMMANDS)}")
        command = COMMANDS[given[0]]
        if isinstance(command, str):
            module, _, name = command.partition(":")
            command = getattr(import_module(module), name)
        return command(given[1:]) or 0
    except UserError as fault:
        if isinstance(fault, EnvironmentFailed) and fault.__cause__:
            traceback.print_exception(fault.__cause__)
        print(f"error: {fault}", file=sys.stderr)
        return fault.code
    except BrokenPipeError:  # the reader of `prefrl list | head` has seen enough
        sys.stderr.close()
        return 0
    except OSError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return StorageFull.code if fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else UserError.code
    except KeyboardInterrupt:
        return 130
    except Stopped as stop:
        print(f"\n{stop}", file=sys.stderr)
        return stop.code


def train(arguments: list[str]) -> None:
    """Learn a policy from preferences."""
    from prefrl.config.command_line import parse

    options, config = parse(arguments)
    config.check()
    from prefrl.runs import api, build
    from prefrl.runs.own import Own

    plan = api.planned(config, Own(), options.preset, options.folder)
    if options.dry_run:
        build.check_parts(plan.config)
    print(plan, flush=True)
    if not options.dry_run:
        _print_result(
            api.carry_out(plan, Own(), options.preset, options.folder, quiet=options.quiet, modules=options.modules)
        )


def _print_result(result: Result) -> None:
    print(result)
    for name, about in (("curve.png", "learning curve"), ("reward.png", "reward model"), ("video.mp4", "one episode")):
        if (result.folder / name).exists():
            print(f"  {result.folder / name}  {about}")


def resume(arguments: list[str]) -> None:
    """Go on with a run that was stopped or killed."""
    parser = _run_parser("resume", resume)
    parser.add_argument("run", help="the run's folder")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    import_modules(options.modules)
    from prefrl.runs import api

    _print_result(api.resume(options.run, quiet=options.quiet, modules=options.modules))


def render(arguments: list[str]) -> int:
    """Make videos of a run: answered pairs, what the reward model likes, how the policy came to be."""
    from prefrl.reels import render_command

    options = render_command.parser().parse_args(arguments)
    import_modules(options.modules)
    return render_command.render(options)


def export(arguments: list[str]) -> int:
    """Write a run's labels, segments and clips in open formats."""
    from prefrl.dataset import dataset_commands

    options = dataset_commands.export_parser().parse_args(arguments)
    import_modules(options.modules)
    return dataset_commands.export(options)


def import_dataset(arguments: list[str]) -> int:
    """Make a run folder of what `prefrl export` wrote."""
    from prefrl.dataset import dataset_commands

    return dataset_commands.import_(dataset_commands.import_parser().parse_args(arguments))


def evaluate(arguments: list[str]) -> None:
    """Play episodes with a run's newest checkpoint and report true returns."""
    parser = _run_parser("evaluate", evaluate)
    parser.add_argument("run", nargs="+", help="run folders")
    parser.add_argument("--episodes", type=int, help="how many (default: as in the run)")
    parser.add_argument("--stochastic", action="store_true", help="sample actions instead of taking the most likely")
    options = parser.parse_args(arguments)
    import_modules(options.modules)
    from prefrl.runs import api

    for folder in options.run:
        returns = api.evaluate(folder, options.episodes, not options.stochastic)
        print(
            f"{folder}: true return {returns.mean:.4g}, standard deviation {returns.std:.3g}, over {len(returns.episodes)} episodes"
        )


def plot(arguments: list[str]) -> None:
    """Draw a run's plots again, the learning curves of several runs in one picture, or the figure of a study.json."""
    parser = _parser("plot", plot)
    parser.add_argument("run", nargs="+", type=Path, help="run folders, or one study of prefrl bench")
    parser.add_argument(
        "--out",
        type=Path,
        help="the picture (default: of one run its own plots, of several curves.png, of a study beside it)",
    )
    options = parser.parse_args(arguments)
    first, single = options.run[0], len(options.run) == 1
    if single and (first.suffix == ".json" or (first / "study.json").exists()):
        from prefrl.bench.figures import main_figure
        from prefrl.bench.study import load

        beside = first / "study.png" if first.is_dir() else first.with_suffix(".png")
        print(main_figure(load(first), options.out or beside))
        return
    from prefrl.runs import plots

    if single and not options.out:
        print("\n".join(map(str, plots.write_plots(first))))
    else:
        print(plots.compare(options.run, options.out or Path("curves.png")))


def show(arguments: list[str]) -> None:
    """List environments, presets, teachers, query strategies, schedules."""
    parser = _parser("list", show)
    parser.add_argument(
        "what", nargs="?", default="", help="only tables whose heading begins so: environments, presets, ..."
    )
    options = parser.parse_args(arguments)
    from prefrl.runs.lists import everything

    tables = {heading: table for heading, table in everything().items() if heading.startswith(options.what)}
    if not tables:
        raise UserError(
            f"nothing to list under {options.what!r}{near(options.what, [h.split(' (')[0] for h in everything()])}"
        )
    for heading, table in tables.items():
        width = max(map(len, table))
        print(f"{heading}\n" + "\n".join(f"  {name:<{width}}  {about}" for name, about in table.items()) + "\n")


def _parser(name: str, command: object) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"prefrl {name}", description=command.__doc__)


def _run_parser(name: str, command: object) -> argparse.ArgumentParser:
    parser = _parser(name, command)
    parser.add_argument(
        "--import", action="append", default=[], dest="modules", metavar="MODULE", help="registers environments"
    )
    return parser


COMMANDS: dict[str, str | Callable[[list[str]], int | None]] = {
    "train": train,
    "resume": resume,
    "label": "prefrl.labelling.label_command:label",
    "render": render,
    "export": export,
    "import": import_dataset,
    "evaluate": evaluate,
    "plot": plot,
    "bench": "prefrl.bench.commands:bench",
    "compare": "prefrl.bench.commands:compare",
    "tune": "prefrl.bench.commands:search",
    "list": show,
}
"""Name -> what runs it and returns the exit status; "module:function", imported when needed."""

if __name__ == "__main__":
    sys.exit(main())
