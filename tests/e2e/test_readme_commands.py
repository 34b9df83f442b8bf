"""Every command of the README is run as it stands there; only addresses, sizes and our port differ."""

import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from serving import PATIENCE_S

from nas.client import Client

README = (Path(__file__).parents[2] / "README.md").read_text()
SPACE = "name: mine\nparameters:\n  hidden: [4, 8]\n  window: [28]\n"


def commands():
    """The lines of all `sh` blocks; `make` has its own tests, and `nas serve` is the service fixture."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if not block.startswith("make ")]


@pytest.fixture
def folder(tmp_path):
    """Where a user would stand, with a table of sales and a space."""
    rows = ["unique_id,ds,y,promo,store"]
    for series in ("bread", "milk"):
        for day in range(160):
            ds = date(2024, 1, 1) + timedelta(days=day)
            rows.append(f"{series},{ds},{10 + day % 7 + 3 * (day % 5 == 0)},{int(day % 5 == 0)},north")
    (tmp_path / "sales.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "my_space.yaml").write_text(SPACE)
    return tmp_path


def test_the_readmes_commands_do_what_they_say(own_service, sshd, calm_python, folder):
    device, fingerprint = sshd.device(folder), sshd.fingerprint
    login = f"--host 127.0.0.1 --port {sshd.port} --user {device.user} --key {device.key}"
    login += f" --fingerprint {fingerprint} --python {calm_python} --root {folder}/agent"
    small = "--beside-load --trials 3 --max-epochs 2 --space my_space.yaml --data sales.csv --futr promo --stat store"
    replaced = {
        "nas serve &\n": "",
        "--host 192.168.1.40 --user pi --key ~/.ssh/id_ed25519": login,
        "--constraint 'latency_p95_ms<=2' --watch": f"--constraint 'latency_p95_ms<=2000' --watch {small}",
        "http://127.0.0.1:8765": own_service.url,
        "python3 predict.py": f"{sys.executable} predict.py",
        "nas search list": "nas search list; for id in 2 3; do nas search cancel $id; done",
    }
    script = "\n".join(commands())
    for text, other in replaced.items():
        assert text in script, f"the README no longer says {text!r}"
        script = script.replace(text, other)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=own_service.environment,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    with Client(own_service.url) as client:
        assert client.search(1)["state"] == "completed"
        assert all(trial["measurements"]["pi4"]["p50"] for trial in client.trials(1))
    assert '"number"' in done.stdout and "Pareto front of search 1" in done.stdout
    assert (folder / "front.png").read_bytes().startswith(b"\x89PNG")
    forecast = (folder / "student-1" / "forecast.csv").read_text().splitlines()
    assert len(forecast) == 1 + 2 * 14
