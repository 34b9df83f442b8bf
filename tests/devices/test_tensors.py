"""Arrays keep their values, types and shapes on the way, and the same inputs have the same bytes."""

import io
import json
import zipfile

import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as hnp

from nas.devices.tensors import decode_outputs, encode_inputs, encode_output

arrays = hnp.arrays(
    hnp.floating_dtypes(endianness="=") | hnp.integer_dtypes(endianness="=") | hnp.boolean_dtypes(),
    hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
)


@given(arrays)
def test_inputs_are_an_npz_archive_that_numpy_reads(array):
    with np.load(io.BytesIO(encode_inputs({"x": array})), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["x"], array)
        assert archive["x"].dtype == array.dtype


@given(arrays)
def test_outputs_come_back_bit_for_bit(array):
    found = decode_outputs(json.loads(json.dumps({"y": encode_output(array)})))["y"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


def test_the_same_inputs_have_the_same_bytes_whatever_the_order_and_the_hour():
    x, y = np.arange(3), np.ones((2, 2), "float32")
    encoded = encode_inputs({"x": x, "y": y})
    assert encoded == encode_inputs({"y": np.asfortranarray(y), "x": x})
    with zipfile.ZipFile(io.BytesIO(encoded)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
