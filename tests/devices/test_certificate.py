"""A certificate tells everything, shows whether it was changed, and its page says the verdict and what stays open."""

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.devices.certificate import Certificate, certify, check
from nas.devices.certificate_page import page, write
from nas.devices.device import Device
from nas.devices.fake import FakeTransport
from nas.devices.fleet import Fleet
from nas.devices.unproven import unproven
from nas.errors import RequestError

MODEL = b"m" * 1000
NOW = "2024-05-01T22:00:00+02:00"
ENERGY = {"energy_mj": 2.5, "mean_power_w": 4.0, "idle_power_w": 2.0, "sensor": "INA3221", "rails": ["VDD_IN"]}
ENERGY |= {"relative": False, "inferences": 800, "seconds": 1.0, "samples": 50, "notes": []}
REFUSED = {
    "verdict": "rejected",
    "reasons": ["the device was not fit to be measured for 10.0 s: temperature over limit: 91.0 °C, limit 80 °C"],
    "latency": dict.fromkeys(("p50", "p90", "p95", "p99")),
    "paired": None,
    "samples_ns": [],
}


def measured(facts=None, **changes):
    with Fleet([Device("pi", "local")], {"local": FakeTransport([changes], facts=facts)}) as fleet:
        return fleet.measure("pi", MODEL, {})


def certified(**changes):
    return certify(measured(**changes), "small <b>model</b>.onnx", NOW)


@pytest.fixture
def written(tmp_path):
    write(certified(samples_ns=[1000, 1200, 5_000_000] * 50), tmp_path / "new" / "folder")
    return tmp_path / "new" / "folder" / "certificate.json"


def test_it_is_read_back_whole(written):
    found = check(written, MODEL)
    assert found == Certificate.from_dict(found.to_dict())
    assert (found.issued, found.model_name) == (NOW, "small <b>model</b>.onnx")
    assert found.measurement.samples_ns == (1000, 1200, 5_000_000) * 50


@pytest.mark.parametrize(
    ("old", "new"), [('"degraded"|"valid"', '"valid "'), (r"1200", "1100"), (r"2024-05", "2025-05")], ids=str
)
def test_whatever_is_changed_shows(written, old, new):
    written.write_text(re.sub(old, new, written.read_text(), count=1))
    with pytest.raises(RequestError, match="changed after it was issued"):
        check(written)


def test_the_certificate_of_another_model_is_refused(written):
    with pytest.raises(RequestError, match="SHA-256"):
        check(written, MODEL + b"!")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "sha256": 3}', "\x00", "1e999"])
def test_what_is_no_certificate_is_one_sentence(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(RequestError):
        check(tmp_path / "c.json")
    with pytest.raises(RequestError, match="Cannot read"):
        check(tmp_path / "absent.json")


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="--out"):
        write(certified(), tmp_path / "file")


class Page(HTMLParser):
    """What a browser would load and show."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.links = [], [], []
        self.feed(text)
        assert not self.open, "an element is not closed"

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_alone(written):
    text = written.with_name("certificate.html").read_text()
    shown = Page(text)
    assert "svg" in shown.tags and "script" not in shown.tags and not shown.links
    assert "url(" not in text and "<b>" not in text and "&lt;b&gt;" in text


def test_the_page_says_the_verdict_its_numbers_and_its_hashes():
    certificate = certified(verdict="degraded", reasons=["p50 is known to +-7.0 % only"], energy=ENERGY)
    text = page(certificate)
    assert '<p class="verdict degraded">degraded</p>' in text
    assert "p50 is known to +-7.0 % only" in text and "2.5 mJ per inference above idle, by INA3221 (VDD_IN)" in text
    assert certificate.sha in text and certificate.measurement.model_sha in text


def test_the_page_of_a_refused_measurement_has_no_numbers():
    text = page(certified(**REFUSED))
    Page(text)
    assert "91.0 °C" in text and "<svg" not in text and "not measured" in text


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=50))
def test_any_samples_can_be_drawn(samples):
    Page(page(certified(samples_ns=samples)))


def open_of(facts=None, **changes):
    return " ".join(unproven(measured(facts, **changes)))


def test_it_says_what_stays_open():
    assert "imitated" in open_of(emulated=True) and "imitated" not in open_of()
    assert "no power sensor" in open_of() and "Energy" not in open_of(energy=ENERGY)
    assert "misses a part of the board" in open_of(energy={**ENERGY, "relative": True})
    assert "p95 (130)" in open_of(latency={**REFUSED["latency"], "p50": {"ms": 1.0, "interval": [0.9, 1.1]}})
    assert "screening" in open_of()


def test_senses_that_the_device_lacks_are_named():
    blind = {"energy": None, "throttle": None, "clock": None, "psi": False, "temperature": False}
    said = open_of({"sensors": blind})
    assert "throttling, the hardware's clock, temperature, CPU pressure" in said
    seeing = {"energy": None, "throttle": "vcgencmd", "clock": "cpuinfo_cur_freq", "psi": True, "temperature": True}
    assert "No sensor told" not in open_of({"sensors": seeing})


def test_the_hash_is_of_the_content_and_not_of_its_form(written):
    values = json.loads(written.read_text())
    written.write_text(json.dumps(dict(reversed(values.items()))))
    assert check(written).sha == values["sha256"]
