"""Fixtures that several rooms share."""

from sshd import fresh_sshd, sshd

__all__ = ["fresh_sshd", "sshd"]
