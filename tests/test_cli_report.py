"""`nas report`: a table here, and the page as a file."""

import json
from contextlib import nullcontext

import pytest
from typer.testing import CliRunner

from nas.cli import app, reports

PAIR = {"ratio": 0.9, "ratio_low": 0.85, "ratio_high": 0.95}
FIGURES = {
    "test": {"overall": {"wape": 0.3, "bias": 0.01, "coverage": None}, "interval": [0.29, 0.31]},
    "rivals": [
        {"name": "seasonal naive", "figures": {"wape": 0.4}, "pair": PAIR},
        {"name": "plain 1x128 LSTM", "figures": {"wape": 0.35}, "pair": None},
    ],
    "shift": {"warnings": ["promo changed from 0 to 1."]},
}


class Service:
    def report(self, student):
        return FIGURES

    def report_page(self, student):
        return b"<p>page"


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setattr(reports, "service", lambda: nullcontext(Service()))
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, ["report", *map(str, words)])


def test_it_shows_what_counts_and_writes_the_page(run, tmp_path):
    shown = run(7).output
    for part in ("this student", "0.29 to 0.31", "seasonal naive", "-10.0 % (-15.0 to -5.0)", "! promo changed"):
        assert part in shown
    assert "coverage" not in shown
    assert (tmp_path / "student-7.html").read_bytes() == b"<p>page"


def test_json_is_the_answer_and_nothing_else(run, tmp_path):
    assert json.loads(run(7, "--json").output) == FIGURES
    assert not list(tmp_path.iterdir())
    assert json.loads(run(7, "--json", "--out", "new/r.html").output) == FIGURES
    assert (tmp_path / "new/r.html").exists()


def test_a_file_that_cannot_be_written_is_named(run, tmp_path):
    (tmp_path / "taken").mkdir()
    assert "Cannot write taken: Is a directory; choose another" in str(run(7, "--out", "taken").exception)
