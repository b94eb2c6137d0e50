"""nnU-Net's resampling, timed in its own environment.

``python nnunet_resampling.py KIND FOLDER REPETITIONS`` reads ``values.npy`` (channel, slice, row,
column) and ``task.json``, writes ``result.npy`` and prints the shortest processor time [s].
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape


def main() -> None:
    torch.set_num_threads(1)
    kind, folder, repetitions = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    values = np.load(folder / "values.npy")
    task = json.loads((folder / "task.json").read_text())
    # Its defaults in 2.8.1: cubic for images, linear for scores.
    orders = {"image": {"order": 3}, "scores": {"order": 1}}[kind]
    times = []
    for _ in range(repetitions):
        start = time.process_time()
        result = resample_data_or_seg_to_shape(
            values,
            task["shape"],
            task["spacing_mm"],
            task["wanted_mm"],
            is_seg=False,
            order_z=0,
            force_separate_z=None,
            **orders,
        )
        times.append(time.process_time() - start)
    if kind == "image":
        np.save(folder / "result.npy", result)
    print(min(times))


if __name__ == "__main__":
    main()
