"""``nas measure``: any ONNX model on an enrolled device; a verdict, a table and a certificate that can be verified."""

import json

import numpy as np
import onnx_models
import pytest
from serving import client, service
from test_cli import nas

from nas.devices.certificate import check

__all__ = ["client", "nas", "service"]
QUICK = ("--mode", "duty", "--seconds", "1", "--gap", "0.04", "--beside-load")


@pytest.fixture
def measure(nas, service, client, calm_python, monkeypatch):
    """Run `nas measure` on this computer, which the service knows as `here`."""
    monkeypatch.setenv("NAS_URL", service.url)
    if not any(device["name"] == "here" for device in client.devices()):
        client.add_device({"name": "here", "transport": "local", "python": calm_python})
    return lambda *words: nas("measure", *words)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.onnx"
    path.write_bytes(onnx_models.lstm())
    return path


def test_a_model_is_measured_and_certified(measure, model, tmp_path):
    code, out, err = measure(model, "--device", "here", *QUICK)
    assert code == 0, err
    for word in ("p50", "peak memory", "no energy sensor", "inferences count", "onnxruntime", "small.onnx"):
        assert word in out
    folder = tmp_path / "small.onnx.certificate"
    found = check(folder / "certificate.json", model.read_bytes()).measurement
    assert out.split()[0] == found.verdict != "rejected"
    assert (found.threads, found.mode["kind"], len(found.samples_ns)) == (1, "duty", 25)
    assert "<svg" in (folder / "certificate.html").read_text()


def test_a_device_behind_ssh_is_measured_from_here(measure, client, sshd, calm_python, model, tmp_path):
    device = sshd.device(tmp_path / "agent", python=calm_python)
    where = {name: getattr(device, name) for name in ("host", "port", "user", "key", "host_key", "python", "root")}
    client.add_device({"name": "far", "transport": "ssh", **where})
    code, out, err = measure(model, "--device", "far", *QUICK, "--json")
    client.remove_device("far")
    assert code == 0, err
    assert json.loads(out)["measurement"]["device"] == "far"


def test_a_certificate_is_verified_without_a_service(measure, nas, model, tmp_path, monkeypatch):
    code, out, _ = measure(model, "--device", "here", *QUICK, "--json", "--out", tmp_path / "c")
    assert code == 0
    monkeypatch.setenv("NAS_URL", "http://127.0.0.1:9")
    path = tmp_path / "c" / "certificate.json"
    assert json.loads(nas("measure", "--check", path, "--json")[1]) == json.loads(out)
    assert nas("measure", model, "--check", path)[0] == 0
    model.write_bytes(onnx_models.lstm(seed=1))
    code, _, err = nas("measure", model, "--check", path)
    assert code == 2 and "SHA-256" in err
    path.write_text(path.read_text().replace('"threads": 1', '"threads": 2'))
    code, _, err = nas("measure", "--check", path)
    assert code == 2 and "changed after it was issued" in err


def test_a_rejected_measurement_ends_with_1(measure, model, tmp_path):
    code, out, _ = measure(model, "--device", "here", "--mode", "duty", "--seconds", "1", "--gap", "1", "--beside-load")
    assert (code, out.split()[0]) == (1, "rejected")
    assert "fewer than the 11" in out and (tmp_path / "small.onnx.certificate" / "certificate.json").exists()


def test_inputs_can_be_given(measure, model, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.ones((7, 1, 3), "float32"))
    assert measure(model, "--device", "here", *QUICK, "--inputs", tmp_path / "x.npz")[0] == 0
    np.savez(tmp_path / "x.npz", x=np.ones((7, 1, 4), "float32"))
    code, _, err = measure(model, "--device", "here", *QUICK, "--inputs", tmp_path / "x.npz")
    assert code == 1 and "the model takes float32" in err


def test_a_model_that_cannot_run_there_is_one_sentence(measure, model):
    broken = onnx_models.onnx.load_from_string(model.read_bytes())
    broken.graph.node[0].op_type = "Hlstm"
    model.write_bytes(broken.SerializeToString())
    code, _, err = measure(model, "--device", "here", *QUICK)
    assert code == 1 and "Hlstm" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "needs a model and a device"),
        (("small.onnx",), "--device NAME"),
        (("absent.onnx", "--device", "here"), "Cannot read the model"),
        (("text.onnx", "--device", "here"), "no ONNX model"),
        (("small.onnx", "--device", "absent"), "absent"),
        (("small.onnx", "--device", "here", "--shape", "x"), "NAME=NUMBERS"),
        (("small.onnx", "--device", "here", "--shape", "x=1,2,3"), "[7, 1, 3]"),
        (("small.onnx", "--device", "here", "--mode", "warp"), "single, sustained, duty"),
        (("small.onnx", "--device", "here", "--seconds", "5"), "--mode sustained or duty"),
        (("small.onnx", "--device", "here", "--mode", "sustained", "--gap", "5"), "--mode duty"),
        (("small.onnx", "--device", "here", "--runtime", "litert"), "--inputs"),
        (("--check", "absent.json"), "Cannot read the certificate"),
        (("--check", "text.onnx"), "no JSON"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_one_sentence(measure, model, tmp_path, monkeypatch, words, says):
    (tmp_path / "text.onnx").write_text("Not a model.")
    monkeypatch.chdir(tmp_path)
    code, _, err = measure(*words)
    assert (code, len(err.splitlines())) == (2, 1)
    assert says in err
