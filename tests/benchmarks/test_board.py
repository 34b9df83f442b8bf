"""The wrapper that measures on a user's board: what it leaves out, what it calls it, what it lists."""

import json

import pytest

from tests.benchmarks import board


def test_a_row_that_would_begin_too_late_is_left_out_and_says_so():
    def row(bench):
        return [board.Figure("done", bench, "")]

    assert board.in_time(row, 10, lambda: 9)(3)[0].value == 3
    assert "left out" in board.in_time(row, 10, lambda: 10)(3)[0].note


def test_boards_that_nobody_measured_are_listed_as_such(tmp_path):
    text = board.listed(tmp_path)
    assert all(f"| {name} | not measured yet |" in text for name in board.AWAITED)
    assert (board.FOLDER / "boards.md").is_file()


def test_a_measured_board_fills_its_row(tmp_path):
    facts = {"board": "Raspberry Pi 4 Model B Rev 1.4", "runtimes": {"onnxruntime": "1.32.0"}, "kernel": "6.6"}
    figures = [{"holds": True}, {"holds": False}, {"holds": None}]
    report = {"environment": {"device": facts}, "figures": figures}
    (tmp_path / "board-pi4.json").write_text(json.dumps(report))
    text = board.listed(tmp_path)
    assert "| [Raspberry Pi 4 Model B Rev 1.4](board-pi4.md) | yes | 1 of 2 | 1.32.0 | 6.6 |" in text
    assert "| Raspberry Pi 4 | not measured yet" not in text
    assert "| Raspberry Pi 5 | not measured yet" in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Raspberry Pi 4 Model B Rev 1.4", "raspberry-pi-4-model-b-rev-1-4"),
        ("NVIDIA Jetson/Orin", "nvidia-jetson-orin"),
    ],
)
def test_a_report_is_named_after_its_board(name, expected):
    assert board.slug(name) == expected
