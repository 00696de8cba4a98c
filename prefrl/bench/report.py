"""A report of a study, fit for a paper's appendix: Markdown with pictures, and one HTML file with all of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from prefrl.bench.blocks import Block, Code, Heading, Lines, Picture, Text, html, markdown
from prefrl.bench.figures import figures
from prefrl.bench.study import Study
from prefrl.bench.tables import LEGEND, tables
from prefrl.evaluation.statistics import ENOUGH_SEEDS
from prefrl.feedback.segment_files import write_durably
from prefrl.presets import PRESETS


def write_report(study: Study, folder: Path, cautions: Sequence[str] = ()) -> list[Path]:
    """study.json, report.md, report.html and the pictures. Returns the two reports."""
    folder.mkdir(parents=True, exist_ok=True)
    study.save(folder / "study.json")
    blocks = report(study, folder, cautions)
    pages = {"report.md": markdown(blocks), "report.html": html(blocks, study.name)}
    for name, text in pages.items():
        write_durably(folder / name, text.encode())
    return [folder / name for name in pages]


def report(study: Study, folder: Path, cautions: Sequence[str] = ()) -> list[Block]:
    blocks: list[Block] = [Heading(study.name, 1), Text(LEGEND)]
    if notes := [*cautions, *_notes(study)]:
        blocks += [Heading("Before you lean on it"), Lines(notes)]
    blocks += tables(study)
    blocks.append(Heading("Figures"))
    blocks += [Picture(path, caption) for path, caption in figures(study, folder)]
    return blocks + _how(study)


def _notes(study: Study) -> list[str]:
    """What a reader must know: few seeds, mixed versions, crashed runs, and what the runs warned of."""
    notes = []
    seeds = {env: min(map(len, by_arm.values())) for env, by_arm in study.table.items()}
    if few := [f"{env} ({count})" for env, count in seeds.items() if count < ENOUGH_SEEDS]:
        notes.append(
            f"Fewer than {ENOUGH_SEEDS} seeds in {', '.join(few)}: a 95 % interval covers less than that (86 % with 3 seeds,"
            " 90 % with 5, 92 % with 10 in simulated studies), and differences of a tenth of the scale will be missed."
        )
    if study.mixed:
        notes.append(f"The environments' results are of different versions: {'; '.join(study.mixed)}.")
    crashed = [(env, arm, n) for env, by_arm in study.table.items() for arm in by_arm if (n := study.failures(env, arm))]
    notes += [f"{env}, {arm}: {n} runs crashed and count as a random policy." for env, arm, n in crashed]
    missing = [env for env, by_arm in study.table.items() if not any(study.is_control(arm) for arm in by_arm)]
    if missing:
        notes.append(f"No controls were run in {', '.join(missing)}: nothing shows that the answers did it.")
    told = {
        warning
        for by_arm in study.table.values()
        for runs in by_arm.values()
        for one in runs
        for warning in one.get("warnings", ())
    }
    return [*notes, *sorted(told)]


def _how(study: Study) -> list[Block]:
    """Exactly how it was made: the command, the grid, the versions, and a command for one run of each arm."""
    blocks: list[Block] = [Heading("How it was made")]
    by_making: dict[str, list[str]] = {}
    for env, about in study.about.items():
        packages = ", ".join(f"{name} {version}" for name, version in about.get("packages", {}).items() if version)
        told = (
            f"{about['command']}\n# {about['steps']} steps; source {about['code']}, commit {about.get('commit')}; Python"
            f" {about.get('python')}; {packages}; {about.get('machine')}"
        )
        by_making.setdefault(told, []).append(env)
    for told, environments in by_making.items():
        blocks += [Text(", ".join(environments) + ":"), Code(told)]
    if study.grid:
        blocks += [Text("The grid:"), Code(yaml.safe_dump(study.grid, sort_keys=False))]
    if study.arms:
        env = next(iter(study.table))
        lines = [f"# {name}\n{command(study, env, name)}" for name in study.arms if name in study.table[env]]
        blocks += [Text(f"One run of each arm, here of {env} with seed 0:"), Code("\n".join(lines))]
    return blocks


def command(study: Study, env: str, arm: str) -> str:
    """The command line of one run of an arm."""
    about = study.arms[arm]
    known = PRESETS[about["method"]].settings if about["method"] in PRESETS else {}
    words = ["prefrl", "train", "--env", env, "--preset", about["method"]]
    for name, value in about["settings"].items():
        if name in known and list(_items(known[name])) == list(_items(value)):
            continue
        words += _option(name, value)
    imports = [word for name in _items(study.grid.get("import", ())) for word in ("--import", name)]
    return shlex.join([*words, "--seed", "0", *imports])


def _option(name: str, value: object) -> list[str]:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        head, _, tail = option.rpartition(".")
        return [f"--{option}" if value else f"--{head}{'.' if head else ''}no-{tail}"]
    return [f"--{option}", *map(str, _items(value))]


def _items(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]
