"""A plain timing loop: `plain_loop.py FOLDER THREADS WARMUPS RUNS [SECONDS]` prints median and mean in ms.

Deliberately without the project: it is what its numbers are held against.
"""

import statistics
import sys
import time

import numpy as np
import onnxruntime

folder, threads, warmups, runs = sys.argv[1], *map(int, sys.argv[2:5])
seconds = float(sys.argv[5]) if len(sys.argv) > 5 else 0.0
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])
inputs = dict(np.load(f"{folder}/inputs.npz"))
for _ in range(warmups):
    session.run(None, inputs)
samples = []
end = time.perf_counter() + seconds
while len(samples) < runs or time.perf_counter() < end:
    begin = time.perf_counter()
    session.run(None, inputs)
    samples.append((time.perf_counter() - begin) * 1e3)
print(statistics.median(samples), statistics.mean(samples))
