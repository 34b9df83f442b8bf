"""The command line: one sentence on stderr, the right exit code, never a traceback."""

import json
import sys

import pytest

from nas.cli import main, show
from nas.client import Client
from nas.request import SearchRequest


@pytest.fixture
def nas(monkeypatch, capsys, tmp_path):
    """Run `nas` with these words; returns exit code, stdout and stderr."""
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))  # of the user's own OpenSSH configuration nothing is read
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("NAS_URL", "http://127.0.0.1:9")  # where no service is

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        out = capsys.readouterr()
        assert "Traceback" not in out.err + out.out
        return code, out.out, out.err

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("search", "list"),
        ("search", "start", "--device", "pi4"),
        ("front", "1"),
        ("student", "export", "1"),
        ("report", "1"),
        ("teacher", "list"),
        ("teacher", "train", "--search", "1"),
        ("devices", "list"),
    ],
    ids=" ".join,
)
def test_without_a_service_it_says_how_to_start_one(nas, words):
    code, _, err = nas(*words)
    assert code == 1
    assert "nas serve" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("search", "start", "--device", "a", "--constraint", "fast"), "METRIC<=NUMBER"),
        (("search", "start", "--device", "a", "--constraint", "wape<=nan"), "METRIC<=NUMBER"),
        (("search", "start", "--device", "a", "--constraint", "<=1"), "METRIC@DEVICE<=NUMBER"),
        (("search", "start", "--device", "a", *("--constraint", "wape<=1") * 2), "limited twice"),
        (("search", "start", "--device", "a", "--data", "absent.csv"), "absent.csv"),
        (("teacher", "import", "absent.parquet", "--search", "1"), "absent.parquet"),
        (("search", "start", "--device", "a", "--hist", "price"), "--data"),
        (("search", "start", "--device", "a", "--space", "absent.yaml"), "No such file"),
        (("devices", "add", "pi4", "--host", "h", "--ssh-config", "absent"), "absent"),
        (("devices", "add", "pi4", "--host", "h", "--jump", "a:b:c"), "[USER@]HOST[:PORT]"),
        (("devices", "add", "pi4", "--host", "h", "--jump-fingerprint", "gate"), "HOST=SHA256:…"),
        (("devices", "add", "pi4", "--host", "h", "--measure-between", "22-5"), "22:00-05:00"),
        (("devices", "add", "pi4", "--host", "h", "--pool", "pi4"), "same name"),
        (("devices", "import", "absent.csv"), "absent.csv"),
        (("devices", "add", "Pi 4", "--host", "h", "--user", "u", "--key", "k"), "small letters"),
        (("devices", "add", "pi4", "--user", "u"), "--host"),
        (("data", "check", "absent.csv"), "absent.csv"),
        (("space", "check", "absent.yaml"), "absent.yaml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_words_are_one_sentence_and_exit_code_2(nas, words, says):
    code, _, err = nas(*words)
    assert code == 2
    assert says in err


def test_limits_and_objectives_of_one_device_are_written_with_its_name(nas, monkeypatch):
    asked = []
    monkeypatch.setattr(Client, "start_search", lambda _client, request: asked.append(request) or {"id": 1})
    limits = ("--constraint", "latency_p95_ms@pi4<=5", "--constraint", "latency_p95_ms@jetson <= 2")
    goals = ("--objective", "wape", "--objective", "latency_p50_ms@jetson")
    assert nas("search", "start", "--device", "pi4", "--device", "jetson", *limits, *goals)[0] == 0
    found = SearchRequest.model_validate(asked[0])
    assert found.constraints == {"latency_p95_ms@pi4": 5, "latency_p95_ms@jetson": 2}
    assert found.objectives == ("wape", "latency_p50_ms@jetson")


def test_a_table_shows_what_was_asked_for_and_limited_before_the_usual_metrics():
    found = show.columns(["wape", "latency_p50_ms@jetson"], ["latency_p95_ms@pi4", "energy_mj", "wape"])
    asked, usual = ["wape", "latency_p50_ms@jetson", "latency_p95_ms@pi4", "energy_mj"], ["peak_memory_mb", "size_kb"]
    assert found == asked + usual


@pytest.mark.parametrize(("name", "value"), [("NAS_PORT", "abc"), ("NAS_PORT", "99999"), ("NAS_LEASE_TTL", "0")])
def test_a_setting_that_cannot_be_used_is_named(nas, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    code, _, err = nas("serve")
    assert code == 2
    assert name in err


def test_a_broken_table_is_refused_before_anything_is_queued(nas, tmp_path):
    (tmp_path / "sales.csv").write_text("unique_id;ds;y\na;2024-01-01;1\n")
    code, _, err = nas("search", "start", "--device", "a", "--data", tmp_path / "sales.csv")
    assert code == 2
    assert "is separated by semicolons" in err


def test_a_wrong_space_names_its_line(nas, tmp_path):
    (tmp_path / "mine.yaml").write_text("name: x\nparameters:\n  hiden: [8]\n")
    code, _, err = nas("space", "check", tmp_path / "mine.yaml")
    assert code == 2
    assert "mine.yaml:3: parameters.hiden" in err


def test_a_right_space_says_how_large_it_is(nas, tmp_path):
    (tmp_path / "mine.yaml").write_text("name: x\nparameters:\n  hidden: [8, 16]\n")
    assert "2 architectures" in nas("space", "check", tmp_path / "mine.yaml")[1]
    assert json.loads(nas("space", "check", tmp_path / "mine.yaml", "--json")[1])["size"] == 2


DESCRIBED = (
    *(
        "--unique-id",
        "shop",
        "--unique-id",
        "article",
        "--ds",
        "day",
        "--y",
        "units",
        "--futr",
        "promo",
        "--stat",
        "shop",
    ),
    *("--open", "open", "--available", "stock", "--holidays", "DE", "--timezone", "Europe/Berlin", "--horizon", "7"),
)


@pytest.fixture
def sales(tmp_path):
    """A shop's own table: 120 days of two articles, closed and sold out at times, in their own words."""
    lines = ["shop,article,day,units,promo,open,stock"]
    for article in ("milk", "bread"):
        for number in range(120):
            day, is_open = f"2024-{1 + number // 28:02d}-{1 + number % 28:02d}", int(number % 7 != 6)
            lines.append(f"Köln,{article},{day},{is_open * (5 + number % 4)},{number % 2},{is_open},{number % 9}")
    path = tmp_path / "sales.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_may_be_described_in_its_own_words(nas, sales):
    code, out, err = nas("data", "check", sales, *DESCRIBED, "--fill", "zero", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["series"], found["frequency"], found["problems"]) == (2, "daily", [])
    assert found["known_ahead"] == {"promo": 0, "open": 0, "holiday": None}
    assert found["closed_share"] == pytest.approx(1 / 7, abs=0.01)
    assert found["censored_share"] == pytest.approx(1 / 9, abs=0.01)
    code, out, _ = nas("data", "check", sales, *DESCRIBED, "--fill", "zero")
    assert code == 0
    assert "holiday: always" in out


def test_a_search_takes_the_description_that_was_checked(nas, sales, monkeypatch):
    asked = []
    monkeypatch.setattr(Client, "start_search", lambda _client, request: asked.append(request) or {"id": 1})
    words = (*DESCRIBED, "--fill", "zero", "--series", "1", "--subset", "stratified", "--test-days", "14")
    assert nas("search", "start", "--device", "a", "--data", sales, *words)[0] == 0
    data = SearchRequest.model_validate(asked[0]).data
    assert (data.columns.unique_id, data.columns.ds, data.columns.y) == (("shop", "article"), "day", "units")
    assert (data.open, data.available, data.holidays, data.timezone) == ("open", "stock", "DE", "Europe/Berlin")
    assert (data.fill, data.series, data.subset, data.horizon, data.test_days) == ("zero", 1, "stratified", 7, 14)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [("--freq", "monthly", "freq"), ("--until", "soon", "until"), ("--timezone", "Mars", "'Mars' is no time zone")],
)
def test_a_description_that_makes_no_sense_is_refused_by_name(nas, sales, option, value, says):
    code, _, err = nas("data", "check", sales, *DESCRIBED, option, value)
    assert code == 2
    assert says in err


def test_a_broken_table_lists_every_problem_by_row_and_column(nas, tmp_path):
    table = tmp_path / "sales.csv"
    table.write_text("unique_id,ds,y,promo\na,2024-01-01,-1,0\na,2024-01-01,2,0\na,2024-01-04,nan,0\n")
    code, out, err = nas("data", "check", table)
    assert code == 2
    for word in ("row 2", "row 3", "row 4", "promo", "negative"):
        assert word in out
    assert "sales.csv has" in err


@pytest.mark.parametrize(
    ("port", "changes", "says"),
    [
        ("closed", {}, "127.0.0.1:9"),
        ("open", {"--fingerprint": "SHA256:" + "A" * 43}, "nothing was sent"),
        ("open", {"--fingerprint": None}, "--fingerprint SHA256:"),
        ("open", {"--key": "/nowhere/key"}, "key"),
        ("open", {"--python": "python9"}, "python9"),
    ],
)
def test_enrolling_a_device_says_what_is_wrong_with_it(nas, sshd, tmp_path, port, changes, says):
    device = sshd.device(tmp_path)
    options = {
        "--host": "127.0.0.1",
        "--port": "9" if port == "closed" else str(device.port),
        "--user": device.user,
        "--key": device.key,
        "--fingerprint": sshd.fingerprint,
        "--python": sys.executable,
        "--root": str(tmp_path / "agent"),
        **changes,
    }
    words = [word for pair in options.items() if pair[1] for word in pair]
    code, _, err = nas("devices", "add", "pi4", *words)
    assert code in (1, 2)
    assert says in err


def test_a_device_without_onnxruntime_is_told_how_to_get_it(nas, sshd, tmp_path):
    bare = tmp_path / "python-without-packages"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    where = ["--host", "127.0.0.1", "--port", sshd.port, "--user", sshd.device(tmp_path).user]
    login = ["--key", sshd.device(tmp_path).key, "--fingerprint", sshd.fingerprint]
    code, _, err = nas("devices", "add", "pi4", *where, *login, "--python", bare, "--root", tmp_path / "agent")
    assert code == 1
    assert "--install" in err
