"""A report of a study, fit for a paper's appendix: Markdown with pictures, and one HTML file with all of it."""

from __future__ import annotations

import shlex
from pathlib import Path

import yaml

from prefrl.bench.blocks import Block, Code, Heading, Lines, Picture, Text, html, markdown
from prefrl.bench.figures import figures
from prefrl.bench.result_tables import LEGEND, tables
from prefrl.bench.study import Study, notes
from prefrl.config.methods import PRESETS
from prefrl.core.files import write_durably


def write_report(study: Study, folder: Path) -> list[Path]:
    """study.json, report.md, report.html and the pictures. Returns the two reports."""
    folder.mkdir(parents=True, exist_ok=True)
    study.save(folder / "study.json")
    blocks: list[Block] = [Heading(study.name, 1), Text(LEGEND)]
    if cautions := notes(study):
        blocks += [Heading("Before you lean on it"), Lines(cautions)]
    blocks += [*tables(study), Heading("Figures"), *(Picture(*one) for one in figures(study, folder)), *_how(study)]
    pages = {"report.md": markdown(blocks), "report.html": html(blocks, study.name)}
    for name, text in pages.items():
        write_durably(folder / name, text.encode())
    return [folder / name for name in pages]


def _how(study: Study) -> list[Block]:
    """Exactly how it was made: the command, the grid, the versions, and a command for one run of each arm."""
    blocks: list[Block] = [Heading("How it was made")]
    by_making: dict[str, list[str]] = {}
    for env, about in study.about.items():
        packages = ", ".join(f"{name} {version}" for name, version in about.get("packages", {}).items() if version)
        making = (
            f"{about['command']}\n# {about['steps']} steps; source {about['code']}, commit {about.get('commit')}; Python"
            f" {about.get('python')}; {packages}; {about.get('machine')}"
        )
        by_making.setdefault(making, []).append(env)
    for making, environments in by_making.items():
        blocks += [Text(", ".join(environments) + ":"), Code(making)]
    if study.grid:
        blocks += [Text("The grid:"), Code(yaml.safe_dump(study.grid, sort_keys=False))]
    if study.arms:
        env = next(iter(study.table))
        lines = [f"# {name}\n{command(study, env, name)}" for name in study.arms if name in study.table[env]]
        blocks += [
            Text(f"One run of each arm, here of {env} with seed 0; it is scored over fewer episodes:"),
            Code("\n".join(lines)),
        ]
    return blocks


def command(study: Study, env: str, arm: str) -> str:
    """The command line of one run of an arm."""
    about = study.arms[arm]
    known = PRESETS[about["method"]].settings if about["method"] in PRESETS else {}
    words = ["prefrl", "train", "--env", env, "--preset", about["method"]]
    for name, value in about["settings"].items():
        if name in known and _items(known[name]) == _items(value):
            continue
        option = f"--{name.replace('_', '-')}"
        if value is False:
            head, _, tail = option.rpartition(".")
            words.append(f"{head}.no-{tail}" if head else f"--no-{tail.removeprefix('--')}")
        else:
            words += [option] if value is True else [option, *_items(value)]
    imports = [word for name in _items(study.grid.get("import", ())) for word in ("--import", name)]
    return shlex.join([*words, "--seed", "0", *imports])


def _items(value: object) -> list[str]:
    return list(map(str, value if isinstance(value, list | tuple) else [value]))
