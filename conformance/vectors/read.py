"""Reads the golden vectors from Python, with numpy alone; run, it lists them and checks two operators against them."""

import json
import sys
from pathlib import Path

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "I32": "<i4"}


def load(path):
    """(metadata, {name: array}) of one file; json.loads(metadata["config"]) has the sizes and settings."""
    data = Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    metadata, arrays = header.pop("__metadata__"), {}
    for name, entry in header.items():
        first, last = (start + offset for offset in entry["data_offsets"])
        arrays[name] = np.frombuffer(data[first:last], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return metadata, arrays


def batch_top_k(scores, k):
    acts = np.maximum(scores, 0)
    chosen = np.argsort(-acts, axis=None, kind="stable")[: int(k * acts[..., 0].size)]
    latents = np.zeros_like(acts)
    latents.flat[chosen] = acts.flat[chosen]
    return latents


def adam(parameter, gradient, m, v, t, lr, betas, eps):
    m, v = betas[0] * m + (1 - betas[0]) * gradient, betas[1] * v + (1 - betas[1]) * gradient**2
    return parameter - lr / (1 - betas[0] ** t) * m / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


def differences(config, arrays):
    """(what, largest difference) for what the example knows: batch_top_k, and Adam's updates of W_enc."""
    for case in config.get("batch_top_k", []):
        name = f"batch_top_k.{case['id']}"
        if "error" not in case:  # sorted, for any of equal scores may be chosen
            ours = batch_top_k(arrays.get(f"{name}.scores", arrays.get(f"{name}.acts")), case["k"])
            yield name, np.abs(np.sort(ours, axis=None) - np.sort(arrays[f"{name}.latents"], axis=None)).max()
    for t in range(config.get("steps", 0)):
        state = [arrays[name][t] for name in ("W_enc", "clipped.W_enc", "m.W_enc", "v.W_enc")]
        lr = arrays["lr"][t] if "lr" in arrays else config["lr"]
        ours = adam(*state, t + 1, lr, config["adam_betas"], config["adam_eps"])
        yield f"Adam, step {t}", np.abs(ours - arrays["W_enc"][t + 1]).max()


if __name__ == "__main__":
    failed = False
    for manifest in sorted(Path(sys.argv[1] if sys.argv[1:] else Path(__file__).parent).glob("*/manifest.json")):
        for vector in json.loads(manifest.read_text("utf-8"))["vectors"]:
            print(f"{manifest.parent.name}/{vector['file']}: {vector['comment']}")
            if vector["dtype"] == "float64" and manifest.parent.name in ("bussmann", "saelens"):
                errors = dict(differences(vector["config"], load(manifest.parent / vector["file"])[1]))
                failed |= not all(error <= 1e-12 for error in errors.values())
                print(f"  {len(errors)} comparisons, largest difference {max(errors.values()):.1e}")
    sys.exit(failed)
