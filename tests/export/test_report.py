"""The report: every figure is in it, it needs no other file, and no text of the data becomes markup."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from nas.data.check import check
from nas.data.dense import to_panel
from nas.data.drawings import drawings
from nas.data.intervals import Interval
from nas.data.scorecard import score
from nas.data.shift import shift
from nas.data.sources import synthetic
from nas.data.split import Split
from nas.data.windows import evaluation
from nas.export.report import Report, Rival, against, report_files, rivals_of

LEVELS = (0.1, 0.5, 0.9)


class Tags(HTMLParser):
    """Which tags a page has, whether all are closed, and what it would fetch."""

    VOID = ("meta", "rect", "line", "circle", "polyline", "polygon")

    def __init__(self, page):
        super().__init__()
        self.open, self.seen, self.fetched, self.text = [], [], [], ""
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def made(quantiles=(), **changes):
    table = synthetic.generate(n_series=8, days=200)
    panel = replace(to_panel(check(table), table.hist, table.futr), **changes)
    split = Split.of(panel)
    cards = []
    for part, origins in (("validation", split.validation_origins), ("test", split.test_origins)):
        windows = evaluation(panel, origins, 28, split.horizon)
        forecast = windows.target * 1.1
        if quantiles:
            forecast = np.stack([forecast * 0.5, forecast, forecast * 1.5], -1)
        cards.append(score(windows, forecast, panel, origins, part, quantiles=quantiles))
    wapes = {"student": (0.1, 0.2), "seasonal_naive": (0.2, 0.1)}
    return Report(
        title="student-7",
        about="LSTM",
        clock=panel.clock,
        validation=cards[0],
        test=cards[1],
        rivals=(Rival(name="plain <LSTM>", figures={"wape": 0.5}, pair=None), *rivals_of(cards[1], panel.clock)),
        shift=shift(panel, split, wapes, "student"),
        drawings=drawings(panel, split.test_origins[-1], forecast[-8:], quantiles),
    )


@pytest.fixture(scope="module")
def report():
    return made(LEVELS)


def test_the_page_needs_nothing_else(report):
    tags = Tags(report_files(report)["report.html"])
    assert tags.open == [] and tags.fetched == [] and "script" not in tags.seen
    assert b"prefers-color-scheme:dark" in report_files(report)["report.html"]


def test_the_page_shows_what_was_found(report):
    tags = Tags(report_files(report)["report.html"])
    assert f"WAPE {report.test.overall['wape']:.4g}" in tags.text
    for shown in ("day-of-week mean", "Are the quantiles right?", "promotion", "Not judgeable", "the order among the"):
        assert shown in tags.text
    assert tags.seen.count("figure") == len(report.drawings) >= 4


def test_without_quantiles_nothing_is_said_of_them():
    text = Tags(report_files(made())["report.html"]).text
    assert "quantiles" not in text and "coverage" not in text


def test_names_of_the_data_are_text():
    hostile = tuple(f'"><img src="x">&{i}' for i in range(8))
    report = made(ids=hostile, stat_vocab=(("<script>", "'\"&"),))
    tags = Tags(report_files(report)["report.html"])
    assert tags.fetched == [] and "script" not in tags.seen and "img" not in tags.seen
    assert '<img src="x">&' in tags.text and "<script>" in tags.text


def test_the_json_has_every_figure(report):
    found = json.loads(report_files(report)["report.json"])
    assert found["test"] == json.loads(json.dumps(report.test.to_dict()))
    assert found["rivals"][1]["pair"]["series"] == 8
    assert len(found["drawings"][0]["low"]) == 14 and found["shift"]["warnings"]


def test_a_pair_is_told_with_its_interval_or_why_there_is_none():
    assert against(Interval(-0.02, -0.03, -0.01, 0.9, 0.85, 0.95, 40)) == "-10.0 % (-15.0 to -5.0)"
    assert against(Interval(-0.02, None, None, 0.9, None, None, 3)) == "-10.0 % (too few series for an interval)"
    assert against(None) == "–"
