"""Fixtures that several rooms share."""

from beds.board import _bed_is_possible, beds
from beds.postgres import postgres
from beds.proxy import link
from sshd import fresh_sshd, more_sshd, ssh_agent, sshd

__all__ = ["_bed_is_possible", "beds", "fresh_sshd", "link", "more_sshd", "postgres", "ssh_agent", "sshd"]
