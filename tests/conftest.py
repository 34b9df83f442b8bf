"""Fixtures that several rooms share."""

from sshd import fresh_sshd, more_sshd, ssh_agent, sshd

__all__ = ["fresh_sshd", "more_sshd", "ssh_agent", "sshd"]
