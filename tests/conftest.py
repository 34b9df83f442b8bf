"""Fixtures that several rooms share."""

from beds.board import _bed_is_possible, beds
from beds.postgres import postgres
from beds.proxy import link
from sshd import fresh_sshd, sshd

__all__ = ["_bed_is_possible", "beds", "fresh_sshd", "link", "postgres", "sshd"]
