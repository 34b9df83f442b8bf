"""Which network a student becomes when a teacher was heard."""

import pytest

from nas.search.distil import SEARCHED, WITH, WITHOUT, shipped_of

SURE = {"loss": -0.02, "low": -0.03, "high": -0.01}
UNSURE = {"loss": -0.001, "low": -0.004, "high": 0.002}
UNKNOWN = {"loss": -0.02, "low": None, "high": None}


@pytest.mark.parametrize(
    ("wapes", "gain", "shipped"),
    [
        ((0.30, 0.31, 0.32), SURE, WITH),
        ((0.30, 0.31, 0.32), UNSURE, WITHOUT),
        ((0.30, 0.32, 0.31), UNSURE, SEARCHED),
        ((0.30, 0.31, 0.32), UNKNOWN, WITH),  # one series has no interval
        ((0.32, 0.31, 0.30), SURE, SEARCHED),
    ],
)
def test_a_teacher_has_to_earn_its_part(wapes, gain, shipped):
    assert shipped_of(dict(zip((WITH, WITHOUT, SEARCHED), wapes, strict=True)), gain)[0] == shipped
