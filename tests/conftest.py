"""What all tests share: the source tree comes first, in this process and in those that tests start."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# One thread, because two on a busy core are many times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# PyTorch reads this once, at the first product on a GPU, whether or not that one was to be deterministic.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
