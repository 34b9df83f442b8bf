"""The README keeps its word: settings, files, and commands."""

import re
import subprocess
from pathlib import Path

import pytest

from nas.metric import ACCURACIES, COSTS
from nas.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_stands_in_the_table_with_its_default_and_meaning(name):
    field = Settings.model_fields[name]
    default = f"`{field.default}`" if str(field.default) else "*empty*"
    assert f"\n| `NAS_{name.upper()}` | {default} | {field.description} |\n" in README


def test_every_metric_is_named():
    assert all(f"`{name}`" in README for name in ACCURACIES + COSTS)


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


@pytest.mark.parametrize("target", re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))
def test_make_knows_the_targets(target):
    assert subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=False).returncode == 0
