"""What every transport keeps to: the fake, this computer, and a real OpenSSH."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from nas.devices.device import Device
from nas.devices.fake import FakeTransport
from nas.devices.local import LocalTransport
from nas.devices.measurement import KEY_FACTS, Measurement, Percentile, cache_key
from nas.devices.ssh import SshTransport
from nas.devices.tensors import decode_outputs, encode_inputs
from nas.devices.tiers import Tier
from nas.devices.transport import Transport
from nas.errors import BlobLost, ControllerFault, DeviceBusy, DeviceUnreachable

INPUTS = {"x": np.arange(6, dtype="float32").reshape(1, 2, 3), "hours": np.array([[10**12]], "int64")}
MODEL = b"any bytes are an identity model"
QUICK = Tier(1, 2, 130, 700, 0.05, 0.1, 30.0, 0.0, False, False, 60.0)


@dataclass
class Reached:
    """A transport with a device, and a way to cut a blob there short."""

    transport: Transport
    device: Device
    truncate: Callable[[str], None]

    def open(self):
        return self.transport.open(self.device)


@pytest.fixture(params=["fake", "local", "ssh"])
def reached(request, tmp_path, calm_python):
    def truncate_file(sha):
        path = tmp_path / "blobs" / sha
        path.write_bytes(path.read_bytes()[:-1])

    if request.param == "fake":
        transport = FakeTransport()

        def truncate_entry(sha):
            transport.blobs["fake-1"][sha] = transport.blobs["fake-1"][sha][:-1]

        return Reached(transport, Device("fake-1", "local"), truncate_entry)
    if request.param == "local":
        device = Device("here", "local", python=calm_python, root=str(tmp_path))
        return Reached(LocalTransport(), device, truncate_file)
    device = request.getfixturevalue("sshd").device(tmp_path, python=calm_python)
    return Reached(SshTransport(), device, truncate_file)


@pytest.fixture
def session(reached):
    session = reached.open()
    yield session
    session.close()


def request_for(session, verb="measure"):
    message = {
        "verb": verb,
        "model": session.put(MODEL),
        "inputs": session.put(encode_inputs(INPUTS)),
        "runtime": "identity",
        "threads": 1,
        "deadline_s": QUICK.deadline_s,
        "limits": {"memory_mb": 1000},
    }
    if verb != "measure":
        return message
    how = {"budget": QUICK.budget, "mode": {"kind": "single"}, "beside_load": True, "job": secrets.token_hex(16)}
    return {**message, **how, "reference": None}


def test_the_facts_make_a_cache_key(session):
    facts = session.call({"verb": "probe"}, 30)["facts"]
    assert set(KEY_FACTS) < set(facts)
    assert "identity" in facts["runtimes"]
    assert len(cache_key(graph="g", input_shapes={"x": (1,)}, precision="fp32", threads=1, tier="t", facts=facts)) == 64


def test_a_measurement_is_complete(session):
    reply = session.call(request_for(session), 60)
    measured = Measurement.from_reply(reply, device="any", tier="screening", reply_s=1.0)
    assert isinstance(measured.p50, Percentile)
    assert isinstance(measured.p95, Percentile)
    assert measured.p50.low <= measured.p50.ms <= measured.p50.high
    assert len(measured.samples_ns) >= QUICK.min_samples
    assert measured.file_size_kb == len(MODEL) / 1000
    assert measured.fingerprint["model"] == measured.model_sha
    assert measured.peak_memory_mb > measured.model_memory_mb >= 0


def test_a_run_returns_the_outputs_bit_for_bit(session):
    outputs = decode_outputs(session.call(request_for(session, "run"), 60)["outputs"])
    assert set(outputs) == set(INPUTS)
    for name, array in INPUTS.items():
        assert outputs[name].dtype == array.dtype
        np.testing.assert_array_equal(outputs[name], array)


def test_putting_the_same_again_is_fine(session):
    assert session.put(MODEL) == session.put(MODEL)
    assert session.call(request_for(session, "run"), 60)


def test_a_blob_of_megabytes_arrives_whole(session):
    big = np.random.default_rng(0).bytes(5_000_000)
    message = {**request_for(session, "run"), "model": session.put(big)}
    assert session.call(message, 60)["outputs"]


def test_a_blob_that_never_came_is_asked_for(session):
    message = {**request_for(session, "run"), "model": "0" * 64}
    with pytest.raises(BlobLost, match="0000 is not on the device"):
        session.call(message, 60)


def test_a_truncated_blob_is_noticed_and_sent_again(session, reached):
    message = request_for(session, "run")
    reached.truncate(message["model"])
    with pytest.raises(BlobLost, match="damaged"):
        session.call(message, 60)
    assert session.put(MODEL) == message["model"]
    assert session.call(message, 60)["outputs"]


def test_a_result_can_be_asked_for_again(session):
    message = request_for(session)
    reply = session.call(message, 60)
    assert session.call({"verb": "result", "job": message["job"]}, 60) == reply
    with pytest.raises(ControllerFault, match="no result"):
        session.call({"verb": "result", "job": "0" * 32}, 60)


@pytest.mark.parametrize("message", [{"verb": "fly"}, {"verb": "measure"}, {"verb": "probe", "extra": 1}])
def test_a_wrong_request_is_our_own_fault_and_the_session_lives(session, message):
    with pytest.raises(ControllerFault, match="expected"):
        session.call(message, 30)
    assert session.call({"verb": "probe"}, 30)["facts"]


def test_blobs_stay_for_the_next_session(reached):
    first = reached.open()
    message = request_for(first, "run")
    first.close()
    second = reached.open()
    assert second.call(message, 60)["outputs"]
    second.close()


def test_a_device_is_held_by_one_session(reached, session):
    with pytest.raises(DeviceBusy, match="Another agent"):
        reached.open()
    session.close()
    reached.open().close()


def test_a_closed_session_says_so_and_closing_again_is_fine(session):
    session.close()
    session.close()
    with pytest.raises(DeviceUnreachable):
        session.call({"verb": "probe"}, 30)


def test_nothing_is_answered_after_bye(session):
    assert session.call({"verb": "bye"}, 30) == {}
    with pytest.raises(DeviceUnreachable):
        session.call({"verb": "probe"}, 30)
