"""A training run in a process of its own, to be killed: ``python killed_training.py CONFIG.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    import torch

    from icd.offline.training.config import load_config
    from icd.offline.training.run import train

    torch.set_num_threads(1)
    config = load_config(None, json.loads(Path(sys.argv[1]).read_text("utf-8")))
    train(config, on_step=lambda now: print(now.step, flush=True))


if __name__ == "__main__":
    main()
