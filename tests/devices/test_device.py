"""A device is described completely or refused with what is wrong."""

import dataclasses

import pytest

from nas.devices.device import Device
from nas.errors import RequestError

PI = Device("pi4-kitchen", "ssh", host="10.0.0.7", user="pi", host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA")


def test_a_device_over_ssh_has_the_usual_defaults():
    assert (PI.port, PI.python, PI.root) == (22, "python3", ".nas-agent")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Pi 4"}, "small letters"),
        ({"name": "-pi"}, "small letters"),
        ({"name": "p" * 64}, "at most 63"),
        ({"name": "pi\n"}, "small letters"),
        ({"transport": "telnet"}, "expected one of local, ssh"),
        ({"port": 0}, "expected 1 to 65535"),
        ({"host": ""}, "needs a host and a user"),
        ({"user": ""}, "needs a host and a user"),
        ({"host_key": "SHA256:abc"}, "of the form"),
        ({"host": "-oProxyCommand=true"}, "no leading dash"),
        ({"root": "a\nb"}, "no control characters"),
        ({"python": ""}, "must not be empty"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(change, words):
    with pytest.raises(RequestError, match=words):
        dataclasses.replace(PI, **change)


def test_a_local_device_needs_only_a_name():
    assert Device("here", "local").transport == "local"
