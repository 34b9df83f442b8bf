"""Fixtures that several rooms share, and how hypothesis draws."""

from beds.board import _bed_is_possible, beds
from beds.postgres import postgres
from beds.proxy import link
from calm import calm_python
from hypothesis import HealthCheck, settings
from sshd import fresh_sshd, more_sshd, ssh_agent, sshd

__all__ = [
    "_bed_is_possible",
    "beds",
    "calm_python",
    "fresh_sshd",
    "link",
    "more_sshd",
    "postgres",
    "ssh_agent",
    "sshd",
]

# Neither a busy computer nor the draw decides whether a change may go in: the same examples in every run, however
# long one takes. To look further: pytest --hypothesis-profile=default.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")
