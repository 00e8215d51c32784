"""Training from a store that does not fit into memory: `python -m benchmarks.streaming`.

A store of random samples, four times as large as what the process may use, is read by a process
with that limit (RLIMIT_DATA), and by one without a limit that keeps it in memory. A third tries to
keep it in memory in spite of the limit, and must fail. The network is one linear layer for each
modality: the less a step computes, the more reading costs. Weights must end the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mimo_sim._files import replacing
from mimo_sim.datasets import _store as store

# A spectrogram and a picture as CREMA-D has them, half as large.
ARRAYS = {"audio": ("float32", (1, 128, 94)), "video": ("uint8", (3, 1, 112, 112))}
BYTES = 4 * 128 * 94 + 3 * 112 * 112
TIMES = 4  # as large as the limit
BATCH = 16


def make(sample: store.Sample) -> store.Arrays:
    generator = np.random.default_rng(int(sample.id))
    return {
        "audio": generator.normal(size=ARRAYS["audio"][1]).astype(np.float32),
        "video": generator.integers(256, size=ARRAYS["video"][1], dtype=np.uint8),
    }


def plan(root: Path, samples: int) -> store.Plan:
    entries = [
        store.Sample(str(i), "test" if i % 50 == 0 else "train", i % 3) for i in range(samples)
    ]
    return store.Plan("streamed", root, {"samples": samples}, ARRAYS, entries, make)


def in_use() -> int:
    """Bytes of data of this process (VmData), which the limit counts."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmData:")[2].split()[0]) * 1024


def train(folder: Path, stream: bool, limit: int, epochs: int) -> dict[str, Any]:
    """Epochs of training in this process."""
    import torch

    from mimo_sim.datasets._data import Modality
    from mimo_sim.datasets._stored import dataset_of
    from mimo_sim.methods.vanilla import Vanilla
    from mimo_sim.training import Settings, TrainingRun

    torch.set_num_threads(1)
    if limit:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    modalities = [
        Modality("audio", ARRAYS["audio"][1]),
        Modality("video", ARRAYS["video"][1], scale=1 / 255, mean=0.5, std=0.3),
    ]
    manifest = store.opened(folder, "")
    data = dataset_of(folder, manifest, 0, modalities, ("a", "b", "c"), stream)
    settings = Settings(epochs, BATCH, accelerator="cpu", encoder="linear", lr=1e-5, probes=False)
    run = TrainingRun(Vanilla(), data, settings)
    run.method.setup(run)
    run.optimizer = run.new_optimizer([run.model, run.method])
    rates, of_processor, most = [], [], []
    for epoch in range(epochs):
        start, used = time.perf_counter(), time.process_time()
        run.train_epoch(epoch)
        rates.append(len(run.train) / (time.perf_counter() - start))
        of_processor.append(len(run.train) / (time.process_time() - used))
        most.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    weights = b"".join(value.numpy().tobytes() for value in run.model.state_dict().values())
    return {
        "samples_per_second": rates,
        "samples_per_processor_second": of_processor,
        "most_resident_MiB_after_each_epoch": most,
        "weights": hashlib.sha256(weights).hexdigest(),
    }


def child(folder: Path, stream: bool, limit: int, epochs: int) -> dict[str, Any]:
    """:func:`train` in a process of its own; what it says if it runs out of memory."""
    words = [sys.executable, "-m", "benchmarks.streaming", "--child", str(folder)]
    words += ["--stream"] * stream + ["--limit", str(limit), "--epochs", str(epochs)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:200]}
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--stream", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=int, default=0, help="Bytes that the process may use.")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/streaming.json"))
    given = parser.parse_args()
    if given.child:
        print(json.dumps(train(given.child, given.stream, given.limit, given.epochs)))
        return
    limit = given.limit or _least_limit()
    samples = TIMES * limit // BYTES + 1
    with tempfile.TemporaryDirectory() as place:
        wanted = plan(Path(place), samples)
        store.prepare(wanted)
        streamed = child(wanted.folder, True, limit, given.epochs)
        in_memory = child(wanted.folder, False, 0, given.epochs)
        refused = child(wanted.folder, False, limit, given.epochs)
    found = {
        "store_MiB": samples * BYTES >> 20,
        "limit_MiB": limit >> 20,
        "samples": samples,
        "streamed": streamed,
        "in_memory": in_memory,
        "in_memory_with_the_limit": refused,
        "same_weights": "weights" in streamed and streamed["weights"] == in_memory.get("weights"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load": os.getloadavg()[0],
    }
    if "failed" not in streamed:
        for name in ("samples_per_second", "samples_per_processor_second"):
            rates = [max(one[name]) for one in (streamed, in_memory)]
            found[f"ratio_of_{name}"] = rates[0] / rates[1]
    with replacing(given.out) as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


def _least_limit() -> int:
    """What a process with torch takes before it has any data, and 320 MiB more.

    That is for the network, its gradients, the batches that are read ahead, and for gaps between
    freed pieces, which the C library keeps. It does not grow with the store.
    """
    words = (
        "import torch, mimo_sim.training.loop, benchmarks.streaming as b; torch.set_num_threads(1);"
        "from mimo_sim.training import Settings; from mimo_sim.training._build import make_fabric;"
        "make_fabric(Settings(1, accelerator='cpu')); print(b.in_use())"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    return int(done.stdout) + 5 * 2**26


if __name__ == "__main__":
    main()
