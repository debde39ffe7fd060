"""
Kernels in Python, certified by `matryoshka conformance --kernel "python3 my_kernels.py"`.

    from matryoshka_kernels import kernel, serve

    @kernel("batch-topk")
    def batch_topk(acts, *, k):
        ...
        return latents

    serve(name="my kernels")

A kernel's parameters are named like the operator's tensors and settings (`matryoshka conformance --list` shows them; a dot
in a name becomes an underscore: `grad.W_enc` is `grad_W_enc`). It returns one array, or a dictionary of arrays by output
name. Parameters it does not name are not passed. It refuses a call by raising; say why.

With `tensors="torch"` it gets and returns torch tensors; `device="cuda"` puts them there. With `in_place=True` it also gets
a buffer for each output, by name, and writes its answer there: what lies around each buffer is then watched.

One file, needs only numpy (and torch where asked for). Copy it, or put its folder on PYTHONPATH. The protocol it speaks is
described in docs/certify.md, for those who write their own.
"""

import inspect
import json
import os
import struct
import sys
import traceback

import numpy as np

FRAME_START = b"\x93SAEk1\r\n"
PROTOCOL = "1"
GUARD = 64  # values watched on either side of an output buffer

NUMPY_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
STORED = {"float64": "F64", "float32": "F32", "tf32": "F32", "float16": "F16", "bfloat16": "BF16"}

_kernels = {}


def kernel(operator, *, tensors="numpy", device="cpu", in_place=False):
    """Offers a function as the kernel of one operator, such as "batch-topk"."""
    if tensors not in ("numpy", "torch"):
        raise ValueError(f'tensors: expected "numpy" or "torch", got {tensors!r}')

    def offer(function):
        _kernels[operator] = (function, tensors, device, in_place)
        return function

    return offer


def serve(
    name,
    *,
    dtypes=("float32",),
    dialects=("dictionary_learning",),
    device="cpu",
    flushes_subnormals=False,
    split_encode=False,
    truncates=False,
    deterministic=True,
):
    """
    Answers calls until the suite hangs up. What it says of the kernels decides the bounds they are held to:

    dtypes              float64, float32, tf32, bfloat16, float16: what they compute in
    flushes_subnormals  whether subnormal numbers may be read or written as 0
    split_encode        whether the encoder computes x W - b_dec W rather than (x - b_dec) W
    truncates           whether sums are cut off rather than rounded to nearest, as some matrix units do
    deterministic       whether the same call always gives the same bits; say False of sums by atomics
    """
    # The suite listens on standard output, so prints (of libraries, too) go to standard error from now on.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    hello = {
        "protocol": PROTOCOL,
        "name": name,
        "device": device,
        "operators": json.dumps(list(_kernels)),
        "dtypes": json.dumps(list(dtypes)),
        "dialects": json.dumps(list(dialects)),
        "flushes_subnormals": json.dumps(flushes_subnormals),
        "split_encode": json.dumps(split_encode),
        "truncates": json.dumps(truncates),
        "deterministic": json.dumps(deterministic),
    }
    while True:
        message = _receive(sys.stdin.buffer)
        if message is None:
            return
        asked, inputs = message
        if asked.get("operator") == "hello":
            _send(answers, {**hello, "id": asked.get("id", "")}, {})
            continue
        try:
            outputs, notes = _call(asked, inputs)
            _send(answers, {"id": asked["id"], "status": "ok", "notes": json.dumps(notes)}, outputs)
        except Exception as error:
            traceback.print_exc()
            status = "refused" if isinstance(error, (ValueError, NotImplementedError)) else "error"
            reason = f"{type(error).__name__}: {error}"
            _send(answers, {"id": asked.get("id", ""), "status": status, "message": reason}, {})


def _call(asked, inputs):
    operator = asked["operator"]
    if operator not in _kernels:
        raise NotImplementedError(f"no kernel for {operator}")
    function, tensors, device, in_place = _kernels[operator]
    settings = json.loads(asked["config"])
    shapes = json.loads(asked["outputs"])
    dtype = asked["dtype"]
    before = {name: array.tobytes() for name, array in inputs.items()}
    arguments = {_as_parameter(name): _given(array, dtype, tensors, device) for name, array in inputs.items()}
    arguments.update({_as_parameter(name): value for name, value in settings.items()})

    buffers = {}
    if in_place:
        fill = float(asked["fill"])
        for name, shape in shapes.items():
            buffers[name] = _GuardedBuffer(shape, dtype, fill, tensors, device)
            arguments[_as_parameter(name)] = buffers[name].inside
    returned = function(**_accepted(function, arguments))

    notes = []
    if in_place:
        outputs = {name: _taken(buffer.inside, dtype) for name, buffer in buffers.items()}
        notes += [f"{name}: {note}" for name, buffer in buffers.items() for note in buffer.broken()]
    elif isinstance(returned, dict):
        outputs = {name: _taken(value, dtype) for name, value in returned.items()}
    elif len(shapes) == 1:
        outputs = {next(iter(shapes)): _taken(returned, dtype)}
    else:
        raise TypeError(f"expected a dictionary with {', '.join(shapes)}, got {type(returned).__name__}")
    for name, array in inputs.items():
        if array.tobytes() != before[name]:
            notes.append(f"{name}: the input was changed")
    return outputs, notes


def _as_parameter(name):
    return name.replace(".", "_").replace("-", "_")


def _accepted(function, arguments):
    """Only what the function names, or everything if it takes **others."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return arguments
    return {parameter.name: arguments[parameter.name] for parameter in parameters if parameter.name in arguments}


def _given(array, dtype, tensors, device):
    """An input as the kernel wants it. numpy has no bfloat16: such values come as float32, which holds them exactly."""
    if tensors == "numpy":
        return _widened(array) if dtype == "bfloat16" else array
    import torch

    if dtype == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).to(device)
    # numpy's memory on the CPU, so that a kernel which writes to its input is seen.
    return torch.from_numpy(array).to(device)


def _taken(value, dtype):
    """What the kernel returned, as a numpy array; bfloat16 as its bits."""
    if hasattr(value, "detach"):
        import torch

        value = value.detach().cpu().contiguous()
        if value.dtype is torch.bfloat16:
            return _Bits(value.view(torch.int16).numpy().view(np.uint16))
        return value.numpy()
    array = np.asarray(value)
    if dtype == "bfloat16" and array.dtype == np.float32:
        return _Bits(_narrowed(array))
    return array


class _Bits:
    """bfloat16 values, as 16-bit numbers."""

    def __init__(self, array):
        self.array = array


class _GuardedBuffer:
    """An output filled with `fill`, in the middle of memory that must not change."""

    def __init__(self, shape, dtype, fill, tensors, device):
        size = int(np.prod(shape, dtype=np.int64))
        self.size = size
        self.mark = -1234.5 if fill != -1234.5 else 2345.5  # exact in every dtype's neighbourhood
        whole = np.full(size + 2 * GUARD, self.mark, np.float32 if dtype in ("bfloat16", "tf32") else dtype)
        whole[GUARD : GUARD + size] = fill
        if tensors == "torch":
            import torch

            self.whole = torch.from_numpy(whole).to(device)
            if dtype == "bfloat16":
                self.whole = self.whole.to(torch.bfloat16)
            self.mark = float(self.whole[0])
        else:
            self.whole = whole
            self.mark = float(whole[0])
        self.inside = self.whole[GUARD : GUARD + size].reshape(shape)

    def broken(self):
        whole = self.whole.detach().float().cpu().numpy() if hasattr(self.whole, "detach") else self.whole
        for place, part in (("before its start", whole[:GUARD]), ("past its end", whole[GUARD + self.size :])):
            count = int((part != self.mark).sum())
            if count:
                yield f"wrote {count} values {place}"


def _widened(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _narrowed(floats):
    """float32 to bfloat16 bits, to nearest even."""
    bits = np.ascontiguousarray(floats).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(floats), 0x7FC0, rounded).astype(np.uint16)


def _receive(stream):
    """(metadata, arrays by name) of the next message; None at the end of the stream."""
    start = stream.read(len(FRAME_START))
    if len(start) < len(FRAME_START):
        return None
    if start != FRAME_START:
        raise SystemExit(f"expected a frame, got {start!r}")
    (length,) = struct.unpack("<Q", stream.read(8))
    message = stream.read(length)
    (header_length,) = struct.unpack("<Q", message[:8])
    header = json.loads(message[8 : 8 + header_length])
    metadata = header.pop("__metadata__", {})
    data = memoryview(message)[8 + header_length :]
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        array = np.frombuffer(data[begin:end], NUMPY_DTYPES[entry["dtype"]])
        arrays[name] = array.reshape(entry["shape"]).copy()
    return metadata, arrays


def _send(stream, metadata, arrays):
    header, parts, offset = {"__metadata__": metadata}, [], 0
    for name, value in arrays.items():
        bits = isinstance(value, _Bits)
        array = value.array if bits else value
        stored = "BF16" if bits else _stored(array)
        part = np.ascontiguousarray(array).astype(NUMPY_DTYPES[stored], copy=False).tobytes()
        header[name] = {"dtype": stored, "shape": list(array.shape), "data_offsets": [offset, offset + len(part)]}
        parts.append(part)
        offset += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    message = struct.pack("<Q", len(text)) + text + b"".join(parts)
    stream.write(FRAME_START + struct.pack("<Q", len(message)) + message)
    stream.flush()


def _stored(array):
    kinds = {"f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "u1": "U8", "b1": "U8"}
    kind = array.dtype.str[1:]
    if kind not in kinds:
        raise TypeError(f"an output has dtype {array.dtype}, which no message holds")
    return kinds[kind]
