"""Fixtures that several rooms share."""

from beds.postgres import postgres
from sshd import fresh_sshd, sshd

__all__ = ["fresh_sshd", "postgres", "sshd"]
