"""A device is described completely or refused with what is wrong."""

import dataclasses

import pytest

from nas.devices.device import Device, Hop
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
        ({"root": "/"}, "a folder of its own"),
        ({"root": "../../etc"}, "a folder of its own"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(change, words):
    with pytest.raises(RequestError, match=words):
        dataclasses.replace(PI, **change)


def test_a_local_device_needs_only_a_name():
    assert Device("here", "local").transport == "local"


HOP = Hop("gate", 22, "ops", "~/.ssh/gate", PI.host_key)


@pytest.mark.parametrize("window", ["22:00-05:00", "00:00-23:59", "09:30-17:00"])
def test_a_window_of_the_day(window):
    assert dataclasses.replace(PI, measure_between=window).measure_between == window


@pytest.mark.parametrize("window", ["22:00", "22-05", "24:00-05:00", "22:60-05:00", "05:00-05:00", "22:00-05:00\n"])
def test_what_is_no_window_of_the_day(window):
    with pytest.raises(RequestError, match="two times such as 22:00-05:00"):
        dataclasses.replace(PI, measure_between=window)


def test_a_pool_is_named_like_a_device_and_unlike_this_one():
    assert dataclasses.replace(PI, pool="pi4").pool == "pi4"
    for pool, words in {"Pi 4": "pool is", "pi4-kitchen": "same name"}.items():
        with pytest.raises(RequestError, match=words):
            dataclasses.replace(PI, pool=pool)


def test_a_jump_may_come_as_a_row_has_it():
    assert dataclasses.replace(PI, jump=[dataclasses.asdict(HOP)]).jump == (HOP,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"host": ""}, "jump 2: a machine on the way needs"),
        ({"host_key": ""}, "jump 2: a machine on the way needs"),
        ({"host_key": "x"}, "jump 2: host_key is not of the form"),
        ({"port": 70000}, "jump 2: port is"),
        ({"user": "-oX"}, "jump 2: user is"),
        ({"certificate": "a\tb"}, "jump 2: certificate is"),
    ],
)
def test_what_is_wrong_on_the_way_is_said_by_its_place(change, words):
    with pytest.raises(RequestError, match=words):
        dataclasses.replace(PI, jump=(HOP, dataclasses.replace(HOP, **change)))
