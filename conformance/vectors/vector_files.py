"""Writing the *.safetensors and the manifest.json that describes them."""

import hashlib
import json
import re
import struct

import numpy as np
import torch
from published import Dialect
from safetensors import safe_open

SAFETENSORS_DTYPE = {"float64": "F64", "float32": "F32", "int32": "I32"}


def write_safetensors(path, tensors, metadata):
    """
    Writes the format by hand (8 bytes of header length, a JSON header, raw little-endian arrays), because the
    library puts the metadata in a different order at each call. The library reads the file back as a check.
    """
    # Widest first, so that every array is aligned to its element.
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, tensors[name].dtype.kind))
    header, offset = {"__metadata__": metadata}, 0
    for name in names:
        values = tensors[name]
        end = offset + values.nbytes
        dtype = SAFETENSORS_DTYPE[values.dtype.name]
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    data = b"".join(tensors[name].astype(tensors[name].dtype.newbyteorder("<")).tobytes() for name in names)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    with safe_open(path, framework="numpy") as file:
        assert file.metadata() == metadata
        for name, values in tensors.items():
            np.testing.assert_array_equal(file.get_tensor(name), values, strict=True)


def write_vector(folder, source, id, comment, dialect, tensors, config, flags=None):
    """Writes one file; returns its entry in the manifest. `source` is the published code's name and version."""
    path = folder / f"{id}.{dialect.name}.safetensors"
    metadata = {
        "id": f"{id}.{dialect.name}",
        "dtype": dialect.name,
        "source": source,
        "config": json.dumps(config),
    }
    write_safetensors(path, tensors, metadata)
    content = path.read_bytes()
    return {
        "id": metadata["id"],
        "file": path.name,
        "comment": comment,
        "dtype": dialect.name,
        "flags": flags or {},
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "config": config,
        "tensors": {
            name: [SAFETENSORS_DTYPE[values.dtype.name], *values.shape] for name, values in sorted(tensors.items())
        },
    }


def manifest_text(manifest):
    """Indented JSON with every list of plain values on one line."""

    def on_one_line(found):
        return "[" + re.sub(r"\s*\n\s*", " ", found[1]).strip() + "]"

    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    return re.sub(r"\[([^\[\]{}]*)\]", on_one_line, text) + "\n"


def make_vectors(folder, name, source, casts, flags, tensors, load, runs, record_operators):
    """
    Records every run and the operators in both dtypes, and writes the files and the manifest.

    name               of the published code, with its version
    load               load(lift) -> the code, with its float32 casts lifted if asked
    runs               (run, record): record(run, dialect, weights) -> tensors, config, flags
    record_operators   record_operators(dialect) -> tensors, config
    The others are as in write_manifest.
    """
    # One thread: the order of summation, and with it the last bits, must not depend on how many cores there are.
    torch.set_num_threads(1)
    float32, float64 = dialects = [Dialect(dtype, load) for dtype in (torch.float32, torch.float64)]
    vectors = []
    for run, record in runs:
        weights = run.initial_weights(float64)
        for dialect in dialects:
            recorded = record(run, dialect, weights)
            vectors.append(write_vector(folder, name, run.id, run.comment, dialect, *recorded))
    comment = "single operators, called one at a time"
    for dialect in dialects:
        vectors.append(write_vector(folder, name, "operators", comment, dialect, *record_operators(dialect)))
    write_manifest(folder, source, casts, flags, tensors, vectors)


def write_manifest(folder, source, casts, flags, tensors, vectors):
    """
    source    package or repository, version or commit, and the SHA-256 of each file loaded
    casts     (file, line, before, after)
    flags     name -> what it says about a step
    tensors   "run" and "operators": name -> what the tensor is
    vectors   entries returned by write_vector
    """
    manifest = {
        "source": source
        | {
            "torch": torch.__version__,
            "numpy": np.__version__,
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        },
        "dtypes": {
            "float32": "the published source, unedited",
            "float64": "float64 default dtype, and the casts below replaced",
        },
        "casts": [dict(zip(("file", "line", "before", "after"), cast)) for cast in casts],
        "flags": flags,
        "tensors": tensors,
        "vectors": vectors,
    }
    (folder / "manifest.json").write_text(manifest_text(manifest), encoding="utf-8")
    for vector in vectors:
        print(f"{vector['file']}: {len(vector['tensors'])} tensors, {vector['bytes']} bytes")
