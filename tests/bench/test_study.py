"""What results say: scores between floor and ceiling, verdicts against controls, files that come back as they went."""

import json
import re
import subprocess

import numpy as np
import pytest

from prefrl.bench.blocks import html, markdown
from prefrl.bench.compare import changes, comparison, left_out, unlike
from prefrl.bench.figures import against, efficiency, figures
from prefrl.bench.report import write_report
from prefrl.bench.result_tables import environment_table, number, tables
from prefrl.bench.study import commit, load, merged, notes, slimmed
from prefrl.cli import main
from prefrl.core.errors import UserError

TEN = [float(n) for n in range(1, 11)]


def test_scores_are_0_for_a_random_policy_and_1_for_the_ceiling(make_study):
    study = make_study(true=[10.0] * 4, learned=[0.0, 5.0, 10.0, 20.0], floor=0.0)
    assert study.scores("e", "learned").tolist() == [0, 0.5, 1, 2]
    assert study.comparable == ["e"] and study.ceiling("e") == 10


def test_a_crashed_run_counts_as_a_random_policy(make_study):
    study = make_study(true=[10.0] * 3, learned=[8.0, 8.0, 8.0], floor=2.0)
    study.table["e"]["learned"][1] = {"env": "e", "seed": 1, "failed": "it fell over"}
    assert study.returns("e", "learned").tolist() == [8, 2, 8] and study.failures("e", "learned") == 1
    row = next(row for row in environment_table(study, "e").rows if row[0] == "learned")
    assert "(1 crashed: counted as a random policy)" in row[4]
    assert "e, learned: 1 runs crashed and count as a random policy." in notes(study)


def test_a_crashed_control_flatters_nobody(make_study):
    study = make_study(true=[10.0] * 3, learned=[8.0] * 3, shuffled=[9.0] * 3)
    crash = {"env": "e", "seed": 1, "failed": "it fell over"}
    study.table["e"]["true"][1] = study.table["e"]["shuffled"][1] = crash
    assert study.ceiling("e") == 10 and study.returns("e", "shuffled").tolist() == [9, 9]
    study.table["e"]["shuffled"] = [crash] * 3
    assert study.above_controls("e", "learned") is None
    row = next(row for row in environment_table(study, "e").rows if row[0] == "learned")
    assert row[-2] == ""  # no chance of beating what never ran
    assert "e, true: 1 runs crashed and are left out." in notes(study)


def test_a_ceiling_above_the_floor_by_chance_gives_no_scores(make_study):
    assert make_study(true=[-1.0, 0.5, 1.0, -0.2], learned=[1.0] * 4).comparable == []
    assert make_study(true=[0.4, 0.5, 1.0, 0.2], learned=[1.0] * 4).comparable == ["e"]


def test_there_are_no_scores_where_the_ceiling_is_no_better_than_chance(make_study):
    study = make_study(true=[1.0] * 3, learned=[1.0] * 3, floor=1.0)
    assert study.comparable == [] and study.matrix("learned") is None
    assert "the task is not learned, so there are no scores" in markdown(tables(study))


@pytest.mark.parametrize(("shuffled", "clear"), [([0.0] * 10, True), ([8.5] * 10, False), ([0.0], None)])
def test_an_arm_is_clear_of_controls_if_its_interval_lies_above_all_of_theirs(make_study, shuffled, clear):
    study = make_study(true=[9.0] * 10, learned=[8.0, 9.0] * 5, shuffled=shuffled)
    assert study.above_controls("e", "learned") is clear  # the ceiling is no rival; one seed has no interval


def test_the_area_of_a_curve_counts_each_doubling_of_questions_alike(make_study):
    arms = {"10_questions": [0.0] * 3, "20_questions": [4.0] * 3, "80_questions": [4.0] * 3}
    study = make_study(true=[8.0] * 3, **arms)
    assert study.curves() == {"preferences": {10: "10 questions", 20: "20 questions", 80: "80 questions"}}
    area = study.area(study.curves()["preferences"])
    assert area.estimate == pytest.approx((0.25 * 1 + 0.5 * 2) / 3)  # trapezoids of width 1 and 2


def test_a_study_comes_back_as_it_was_saved(make_study, tmp_path):
    study = make_study(true=TEN, learned=TEN)
    study.save(tmp_path / "study.json")
    assert load(tmp_path) == load(tmp_path / "study.json") == study


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"table": {"e": {"a": [{}]}}, "floors": {}, "about": {}}'])
def test_a_file_that_is_no_study_is_refused(tmp_path, text):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(UserError, match="holds no study of prefrl bench"):
        load(tmp_path)


def test_a_study_of_a_newer_format_is_refused(make_study, tmp_path):
    make_study(true=TEN).save(tmp_path / "study.json")
    told = json.loads((tmp_path / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps(told | {"format": 2}))
    with pytest.raises(UserError, match="format 2, this prefrl reads up to 1"):
        load(tmp_path)


def test_the_committed_figure_of_the_readme_can_be_drawn_again(tmp_path):
    study = load("experiments/results/label_efficiency.json")
    assert study.arm_names(controls=False) == ["100 questions", "300 questions", "700 questions"]
    assert efficiency(study, tmp_path / "figure.png").stat().st_size > 10_000


def test_plot_draws_a_study_without_running_anything(make_study, tmp_path, capsys):
    make_study(true=TEN, learned=TEN).save(tmp_path / "study.json")
    assert main(["plot", str(tmp_path)]) == 0 and main(["plot", str(tmp_path / "study.json")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'study.png'}\n" * 2 and (tmp_path / "study.png").exists()


def test_mixed_versions_are_named(make_study):
    one, other = make_study(true=TEN, env="a"), make_study(true=TEN, env="b")
    other.about["b"]["packages"] = {"torch": "3"}
    both = merged(one, other)
    assert both.mixed == ["torch 2 / 3"]
    assert any("are of different versions: torch 2 / 3" in note for note in notes(both))


def test_few_seeds_tuning_seeds_and_missing_controls_are_noted(make_study):
    study = make_study(learned=[1.0] * 3)
    study.table["e"]["learned"][0]["seed"] = 1000
    told = " ".join(notes(study))
    assert "Fewer than 10 seeds in e (3)" in told and "are for tuning" in told and "No controls were run in e" in told


def test_a_report_has_every_arm_and_is_one_file_to_send(make_study, tmp_path):
    study = make_study(true=TEN, zero=[0.0] * 10, learned=TEN)
    made = write_report(study, tmp_path / "report")
    text, page = (path.read_text() for path in made)
    assert [path.name for path in made] == ["report.md", "report.html"]
    assert "| learned | 5.5 [" in text and "made by hand" in text
    assert page.count("data:image/png;base64,") == len(figures(study, tmp_path)) and 'src="http' not in page


def test_names_cannot_break_a_page(make_study, tmp_path):
    study = make_study(true=TEN, **{"<script>|": TEN})
    blocks = tables(study)
    assert "<script>" not in html(blocks, "x") and "| <script>\\| |" in markdown(blocks)


def test_a_figure_along_an_axis_has_a_line_for_each_of_the_others(make_study, tmp_path):
    study = make_study(a=TEN, b=TEN, true=TEN)
    study.arms = {
        name: {"labels": {"questions.length": n, "methods": "m"}, "control": False} for n, name in enumerate("ab", 1)
    }
    assert against(study, tmp_path / "x.png", "questions.length", "length").exists()


def test_better_needs_twenty_seeds_and_an_interval_without_zero(make_study):
    def verdict(before, after):
        [change] = changes(make_study("a", learned=before), make_study("b", learned=after))
        return change.verdict

    low, high = [0.0, 1.0], [10.0, 11.0]
    assert verdict(low * 10, high * 10) == "better" and verdict(high * 10, low * 10) == "worse"
    assert verdict(low * 5, high * 5) == "perhaps better: 10 seeds, a claim needs 20"
    assert verdict(TEN * 2, TEN * 2) == "no difference shown"
    assert verdict([0.0], [1.0]) == "too few seeds"


def test_a_comparison_says_what_else_differs(make_study):
    first, second = make_study("a", learned=TEN), make_study("b", learned=TEN[:5])
    second.about["e"]["steps"], second.about["e"]["code"] = 200, "d"
    assert unlike(first, second) == [
        "e: steps 100 / 200",
        "e: code c / d",
        "e: 10 seeds from 0 to 9 / 5 seeds from 0 to 4",
    ]
    assert "no difference shown" in markdown(comparison(first, second))


def test_a_comparison_names_settings_that_differ_and_arms_that_are_left_out(make_study):
    first, second = make_study("a", learned=TEN, old=TEN), make_study("b", learned=TEN, new=TEN)
    first.arms, second.arms = ({"learned": {"settings": {"agent.gamma": g}, "control": False}} for g in (0.5, 0.9))
    second.about["e"]["evaluation"] = 100
    assert unlike(first, second) == ["e: evaluation not noted / 100", "learned: agent.gamma 0.5 / 0.9"]
    assert left_out(first, second) == ["only in the first: e, old", "only in the second: e, new"]


def test_reports_without_anything_in_common_cannot_be_compared(make_study):
    with pytest.raises(UserError, match="no arm of an environment in common"):
        changes(make_study(learned=TEN), make_study(env="f", learned=TEN))


def test_what_is_committed_leaves_out_what_no_figure_needs(make_study):
    study = make_study(learned=TEN)
    study.table["e"]["learned"][0]["curve"] = [[0, 1.0]]
    assert "curve" not in slimmed(study).table["e"]["learned"][0] and "curve" in study.table["e"]["learned"][0]


@pytest.mark.parametrize(("value", "said"), [(-1234.5, "-1234"), (0.12345, "0.123"), (12.345, "12.3"), (np.nan, "nan")])
def test_numbers_have_three_digits_and_no_power_of_ten(value, said):
    assert number(value) == said


def test_a_commit_is_changed_by_its_source_and_not_by_its_results(tmp_path):
    for name in ("prefrl/loop.py", "experiments/results/noise.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    author = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"]
    for words in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    clean = commit(tmp_path)
    (tmp_path / "experiments/results/noise.json").write_text("2")
    assert commit(tmp_path) == clean and re.fullmatch("[0-9a-f]{7,}", clean)
    (tmp_path / "prefrl/loop.py").write_text("2")
    assert commit(tmp_path) == clean + "+"
    assert commit(tmp_path / "prefrl") is None
