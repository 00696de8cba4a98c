"""`prefrl label RUN --ai`: its options, what it refuses, and the dry run."""

from __future__ import annotations

import pytest
from models import error
from painted import make_run

import prefrl
from prefrl.cli import main
from prefrl.labelling.label_command import parser


@pytest.fixture
def run(tmp_path):
    make_run(tmp_path / "run", **{"teacher.question": "Which is greener?"})
    return tmp_path / "run"


HERE = ["--endpoint", "http://127.0.0.1:1/v1"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--ai", "eye-1"], "--ai eye-1 needs --endpoint URL"),
        (["--ai", "eye-1", *HERE, "--invite", "ann"], "--invite belongs to the page"),
        (["--ai", "eye-1", *HERE, "--no-browser"], "--no-browser belongs to the page"),
        (["--frames", "4"], "--frames is for an AI labeller; name its model with --ai"),
        (HERE, "--endpoint is for an AI labeller"),
        (["--ai", "eye-1", *HERE, "--max-cost", "1"], "max_cost=1.0 needs price"),
        (["--ai", "eye-1", *HERE, "--key-env", "NOT_THERE"], "NOT_THERE is not set"),
    ],
)
def test_what_does_not_go_together_is_refused(run, given, says, capsys):
    assert main(["label", str(run), *given]) == 2
    assert says in capsys.readouterr().err


def test_help_says_that_frames_leave_the_machine():
    said = parser().format_help()
    assert "FRAMES OF THE CLIPS, THE QUESTION AND RUN/instructions.md ARE SENT TO THE ENDPOINT" in said
    assert "written nowhere" in said


def test_a_dry_run_shows_prompt_and_price_and_sends_nothing(run, model, capsys):
    (run / "instructions.md").write_text("Blue does not count.")
    given = ["--ai", "eye-1", "--endpoint", model.url, "--key-env", "NOT_THERE", "--price", "1000", "2000", "--dry-run"]
    assert main(["label", str(run), *given]) == 0
    said = capsys.readouterr().out
    assert "Question: Which is greener?" in said and "Blue does not count." in said and "[left: 5 x 1" not in said
    assert f"to {model.url}/chat/completions, model eye-1" in said and "[left: 56 x 8 pixels" in said
    assert "a question: $" in said and "for the 6 to answer now" in said and "for the 700 that the run may ask" in said
    assert model.calls == [] and not (run / "ai-calls.db").exists()


def test_a_dry_run_without_prices_says_how_to_get_one(run, model, capsys):
    assert main(["label", str(run), "--ai", "eye-1", "--endpoint", model.url, "--dry-run"]) == 0
    assert "with --price" in capsys.readouterr().out


def test_a_refusal_ends_with_its_reason_after_the_summary(run, model, capsys):
    model.faults += [error(404, "no such model")] * 9
    assert main(["label", str(run), "--ai", "eye-1", "--endpoint", model.url]) == 2
    told = capsys.readouterr()
    assert "0 answers" in told.out and "there is no model 'eye-1'" in told.err


def test_it_is_at_hand_from_python(run, model):
    summary = prefrl.label_with_ai(run, model="eye-1", endpoint=model.url, quiet=True)
    assert summary.answers == 6
