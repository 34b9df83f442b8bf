import numpy as np

from nas.data.drawings import drawings
from nas.data.split import Split


def test_the_drawn_series_differ_and_say_what_they_are_examples_of(panel):
    origin = Split.of(panel).test_origins[-1]
    forecast = np.ones((5, 14), np.float32)
    found = drawings(panel, origin, forecast)
    names = [drawn.series for drawn in found]
    assert found[0].why == "largest" and len(names) == len(set(names))
    for drawn in found:
        s = panel.ids.index(drawn.series)
        judged = panel.mask[s, origin : origin + 14] > 0
        assert drawn.first == str(panel.date(origin - 28)) and len(drawn.past) == 28
        assert drawn.target == tuple(
            float(y) if seen else None for y, seen in zip(panel.y[s, origin : origin + 14], judged, strict=True)
        )
        assert drawn.low == drawn.high == ()


def test_quantiles_are_drawn_from_the_lowest_to_the_highest(panel):
    forecast = np.tile(np.array([1, 2, 3], np.float32), (5, 14, 1))
    drawn = drawings(panel, 120, forecast, (0.1, 0.5, 0.9))[0]
    assert (drawn.low[0], drawn.forecast[0], drawn.high[0]) == (1, 2, 3)
