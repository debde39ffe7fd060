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
name. Parameters it does not name are not passed; one named `dtype` gets the name of the number format under test. It
refuses a call by raising ValueError or NotImplementedError; any other exception is reported as an error, with its traceback
on standard error.

With `tensors="torch"` it gets and returns torch tensors; `device="cuda"` puts them there. With `in_place=True` it also gets
a buffer for each output, by name, writes its answer there and returns nothing: what lies around each buffer is then watched.
In bfloat16, numpy kernels get and return float32 arrays: numpy has no such numbers.

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
STORED = {"f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "u1": "U8", "b1": "U8"}
# What numpy computes in where a format has no numpy dtype of its own.
COMPUTED = {"float64": "float64", "float32": "float32", "tf32": "float32", "float16": "float16", "bfloat16": "float32"}

_kernels = {}


class _Kernel:
    def __init__(self, function, tensors, device, in_place):
        self.function = function
        self.tensors = tensors
        self.device = device
        self.in_place = in_place
        parameters = inspect.signature(function).parameters.values()
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        self.named = {parameter.name for parameter in parameters}
        self.accepted = None if takes_all else self.named


def kernel(operator, *, tensors="numpy", device="cpu", in_place=False):
    """Offers a function as the kernel of one operator, such as "batch-topk"."""
    if tensors not in ("numpy", "torch"):
        raise ValueError(f'tensors: expected "numpy" or "torch", got {tensors!r}')

    def offer(function):
        _kernels[operator] = _Kernel(function, tensors, device, in_place)
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
    processes=1,
    skip=None,
):
    """
    Answers calls until the suite hangs up. What it says of the kernels decides the bounds they are held to:

    dtypes              float64, float32, tf32, bfloat16, float16: what they compute in; the first is the default
    flushes_subnormals  whether subnormal numbers may be read or written as 0
    split_encode        whether the encoder computes x W - b_dec W rather than (x - b_dec) W
    truncates           whether sums are cut off rather than rounded to nearest, as some matrix units do
    deterministic       whether the same call always gives the same bits; say False of sums by atomics
    processes           how many of this program may run at once: 2 take less time, unless one takes all of a GPU's memory
    skip                why no kernel can run on this machine ("no CUDA device"), or None
    """
    if not _kernels and skip is None:
        raise ValueError("serve: no kernel was offered: put @kernel above a function")
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
        "processes": json.dumps(processes),
        **({} if skip is None else {"skip": skip}),
    }
    requests, answers = _take_pipes()
    try:
        while True:
            message = _receive(requests)
            if message is None:
                return
            asked, inputs = message
            if asked.get("operator") == "hello":
                _send(answers, {**hello, "id": asked.get("id", "")}, {})
            else:
                _send(answers, *_answered(asked, inputs))
    except (BrokenPipeError, KeyboardInterrupt):
        return  # the suite has hung up, or is being ended together with this process


def _take_pipes():
    """The suite's pipes, kept from everybody else: prints (of libraries, too) go to standard error, and input() is at its end."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    if os.name == "nt":
        import msvcrt

        for descriptor in (requests, answers):
            msvcrt.setmode(descriptor, os.O_BINARY)
    return os.fdopen(requests, "rb"), answers


def _answered(asked, inputs):
    """Metadata and tensors of the answer to one call."""
    id = asked.get("id", "")
    try:
        outputs, notes = _call(asked, inputs)
        # Names and dtypes that no message holds are found here, not while it is sent.
        stored = {str(name): _as_stored(name, value, asked["dtype"]) for name, value in outputs.items()}
        return {"id": id, "status": "ok", "notes": json.dumps(notes)}, stored
    except (ValueError, NotImplementedError) as error:
        return {"id": id, "status": "refused", "message": f"{type(error).__name__}: {error}"}, {}
    except Exception as error:
        traceback.print_exc()
        if type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error):
            os._exit(1)  # every later call on this device would fail, too: the suite starts a new process
        return {"id": id, "status": "error", "message": f"{type(error).__name__}: {error}"}, {}


def call(operator, inputs, config, outputs, dtype="float32"):
    """
    Runs an offered kernel without the suite: what the programs of `--failures` do.

    inputs   float64 arrays by name, exact in `dtype`
    config   the settings
    outputs  output name -> shape
    """
    stored = {
        name: _narrowed(np.asarray(values, np.float32)) if dtype == "bfloat16" else np.asarray(values, COMPUTED[dtype])
        for name, values in inputs.items()
    }
    shapes = {name: list(shape) for name, shape in outputs.items()}
    asked = {"operator": operator, "dtype": dtype, "config": json.dumps(config), "outputs": json.dumps(shapes), "fill": "nan"}
    return _call(asked, stored)[0]


def _call(asked, inputs):
    operator = asked["operator"]
    if operator not in _kernels:
        raise NotImplementedError(f"no kernel for {operator}")
    kernel = _kernels[operator]
    dtype = asked["dtype"]
    shapes = json.loads(asked["outputs"])
    given = {name: _given(array, dtype, kernel) for name, array in inputs.items()}
    before = {name: _bytes(value) for name, value in given.items()}
    arguments = {_as_parameter(name): value for name, value in given.items()}
    arguments.update((_as_parameter(name), value) for name, value in json.loads(asked["config"]).items())
    if "dtype" in kernel.named:
        arguments["dtype"] = dtype

    buffers = {}
    if kernel.in_place:
        for name, shape in shapes.items():
            buffers[name] = _GuardedBuffer(shape, dtype, float(asked["fill"]), kernel)
            arguments[_as_parameter(name)] = buffers[name].inside
    if kernel.accepted is not None:
        arguments = {name: value for name, value in arguments.items() if name in kernel.accepted}
    returned = kernel.function(**arguments)

    notes = []
    if kernel.in_place:
        if returned is not None:
            raise TypeError("a kernel with in_place=True returns nothing: it writes into its buffers")
        outputs = {name: buffer.inside for name, buffer in buffers.items()}
        notes += [f"{name}: {note}" for name, buffer in buffers.items() for note in buffer.broken()]
    elif isinstance(returned, dict):
        outputs = returned
    elif returned is None:
        raise TypeError(f"the kernel returned nothing, expected {', '.join(shapes)}")
    elif len(shapes) == 1:
        outputs = {next(iter(shapes)): returned}
    else:
        raise TypeError(f"expected a dictionary with {', '.join(shapes)}, got {type(returned).__name__}")
    notes += [f"{name}: the input was changed" for name in given if _bytes(given[name]) != before[name]]
    return outputs, notes


_parameters = {}


def _as_parameter(name):
    if name not in _parameters:
        _parameters[name] = name.replace(".", "_").replace("-", "_")
    return _parameters[name]


def _given(array, dtype, kernel):
    """An input as the kernel wants it."""
    if kernel.tensors == "numpy":
        return _widened(array) if dtype == "bfloat16" else array
    import torch

    if dtype == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).to(kernel.device)
    return torch.from_numpy(array).to(kernel.device)


def _bytes(value):
    if not hasattr(value, "detach"):
        return value.tobytes()
    import torch

    return value.detach().contiguous().reshape(-1).view(torch.uint8).cpu().numpy().tobytes()


class _Bits:
    """bfloat16 values, as 16-bit numbers."""

    def __init__(self, array):
        self.array = array


def _as_stored(name, value, dtype):
    """An output as a numpy array of a dtype that messages hold; bfloat16 as its bits."""
    if hasattr(value, "detach"):
        import torch

        value = value.detach().cpu().contiguous()
        if value.dtype is torch.bfloat16:
            return _Bits(value.view(torch.int16).numpy().view(np.uint16))
        array = value.numpy()
    elif type(value) in (bool, int, float, list, tuple):  # not np.float64, which is a float, too
        array = np.asarray(value, COMPUTED[dtype])  # Python's own numbers have no format
    else:
        array = np.asarray(value)
    if dtype == "bfloat16" and array.dtype == np.float32:
        return _Bits(_narrowed(array))
    if array.dtype.str[1:] not in STORED:
        raise TypeError(f"output {name}: dtype {array.dtype}, expected {dtype}")
    return array


class _GuardedBuffer:
    """An output filled with `fill`, in the middle of memory that must not change."""

    def __init__(self, shape, dtype, fill, kernel):
        size = int(np.prod(shape, dtype=np.int64))
        self.size = size
        whole = np.full(size + 2 * GUARD, -1234.5, COMPUTED[dtype])
        whole[GUARD : GUARD + size] = fill
        if kernel.tensors == "torch":
            import torch

            self.whole = torch.from_numpy(whole).to(kernel.device)
            if dtype == "bfloat16":
                self.whole = self.whole.to(torch.bfloat16)
        else:
            self.whole = whole
        self.mark = float(self.whole[0])
        self.inside = self.whole[GUARD : GUARD + size].reshape(shape)

    def broken(self):
        whole = self.whole.detach().double().cpu().numpy() if hasattr(self.whole, "detach") else self.whole
        for place, part in (("before its start", whole[:GUARD]), ("past its end", whole[GUARD + self.size :])):
            count = int((part != self.mark).sum())
            if count:
                yield f"wrote {count} values {place}"


def _widened(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32).reshape(bits.shape)


def _narrowed(floats):
    """float32 to bfloat16 bits, to nearest even."""
    bits = np.ascontiguousarray(floats).view(np.uint32).reshape(floats.shape)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(floats), 0x7FC0, rounded).astype(np.uint16)


def _receive(stream):
    """(metadata, arrays by name) of the next message; None at the end of the stream."""
    head = stream.read(len(FRAME_START) + 8)
    if len(head) < len(FRAME_START) + 8:
        return None
    if not head.startswith(FRAME_START):
        raise SystemExit(f"expected a frame, got {head!r}")
    (length,) = struct.unpack_from("<Q", head, len(FRAME_START))
    message = stream.read(length)
    if len(message) < length:
        return None
    (header_length,) = struct.unpack_from("<Q", message)
    header = json.loads(message[8 : 8 + header_length])
    metadata = header.pop("__metadata__", {})
    start = 8 + header_length
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        dtype = np.dtype(NUMPY_DTYPES[entry["dtype"]])
        array = np.frombuffer(message, dtype, (end - begin) // dtype.itemsize, start + begin)
        arrays[name] = array.reshape(entry["shape"]).copy()
    return metadata, arrays


def _send(descriptor, metadata, arrays):
    header, parts, offset = {"__metadata__": metadata}, [], 0
    for name, value in arrays.items():
        bits = isinstance(value, _Bits)
        array = value.array if bits else value
        dtype = "BF16" if bits else STORED[array.dtype.str[1:]]
        part = array.astype(NUMPY_DTYPES[dtype], copy=False).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + len(part)]}
        parts.append(part)
        offset += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    message = struct.pack("<Q", len(text)) + text + b"".join(parts)
    # Unbuffered: nothing is left to be written, and to fail, when the interpreter ends.
    left = memoryview(FRAME_START + struct.pack("<Q", len(message)) + message)
    while left:
        left = left[os.write(descriptor, left) :]
