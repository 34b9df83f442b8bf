"""Fixtures that several rooms share."""

from beds.postgres import own_postgres, postgres
from sshd import fresh_sshd, sshd

__all__ = ["fresh_sshd", "own_postgres", "postgres", "sshd"]
