"""What a training costs: time, tokens, memory and an estimate of its arithmetic."""

from __future__ import annotations

import platform
import resource
import sys
from importlib import metadata
from typing import Any

LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "numpy", "polars")


def flops(trainable: int, total: int, embedding: int, tokens: int) -> float:
    """Floating-point operations of a training, estimated as 2 a weight and token for each product with a matrix.

    A forward pass is one product a weight. The way back is one product more a weight, since every method has something
    to train near the input, and one more for every weight that is trained: so 6 in full tuning, a little over 4 with an
    adapter. Attention between tokens is left out, as in arXiv 2001.08361.

    Args:
        trainable: trained numbers.
        total: all numbers.
        embedding: those of the input embeddings, which are looked up and not multiplied, if they are no output too.
        tokens: tokens that went through the model, padding included.
    """
    multiplied = total - embedding
    return 2.0 * tokens * (2 * multiplied + min(trainable, multiplied))


def peak_memory(device: Any) -> int:
    """Bytes: what the GPU held at most, or what the process did where there is none."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def environment(device: Any) -> dict[str, Any]:
    """Where a run happened: versions, device, threads. No names of people, machines or folders."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
        "libraries": {library: metadata.version(library) for library in LIBRARIES},
    }
