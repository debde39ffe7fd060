"""What the scripts of this folder write for the TypeScript beside them: safetensors, and JSON about them."""

import json
import platform
import sys
from datetime import datetime, timezone

import torch
from safetensors.torch import save_file


def say(text):
    """Progress: standard output is left to results."""
    print(text, file=sys.stderr, flush=True)


def sparse(features, prefix=""):
    """Activations (rows, features) as their entries that are not 0: row and column of each, and value."""
    row, column = features.nonzero(as_tuple=True)
    return {
        f"{prefix}row": row.int(),
        f"{prefix}column": column.int(),
        f"{prefix}value": features[row, column].float(),
    }


def world_tensors(world):
    """directions (features, d_in), bias (d_in), edges (edges, 2): parent, child."""
    return {
        "directions": world.feature_dict.feature_vectors.detach().clone(),
        "bias": world.feature_dict.bias.detach().clone(),
        "edges": torch.tensor(world.edges, dtype=torch.int32).reshape(-1, 2),
    }


def write_tensors(path, tensors, metadata=None):
    save_file({name: values.contiguous() for name, values in tensors.items()}, path, metadata)


def write_json(path, data):
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def versions(**more):
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **more,
    }
