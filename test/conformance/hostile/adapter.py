"""
Kernels through the adapter, right and wrong ones; needs numpy. Its first argument is the folder of the adapter; with
without-torch as another one it starts faster.
"""

import os
import sys

sys.path.insert(0, sys.argv[1])
import numpy as np  # noqa: E402
from matryoshka_kernels import kernel, serve  # noqa: E402

print("a print before serving")


@kernel("returns-its-input")
def returns_its_input(x):
    print("a print while called")
    return x


@kernel("python-number")
def python_number(x):
    return 0.1


@kernel("python-list")
def python_list(x):
    return [[0.1, 0.2], [0.3, 0.4]]


@kernel("numpy-double")
def numpy_double(x):
    return np.float64(0.1)


@kernel("transposed")
def transposed(x):
    return x.T


@kernel("strided")
def strided(x):
    return np.repeat(x, 2, axis=1)[:, ::-2]


@kernel("big-endian")
def big_endian(x):
    return x.astype(">f4")


@kernel("text")
def text(x):
    return np.array(["a"])


@kernel("nothing")
def nothing(x):
    return None


@kernel("another-name")
def another_name(x):
    return {"latent": x}


@kernel("one-of-two")
def one_of_two(x):
    return x


@kernel("changes-input")
def changes_input(x):
    y = x.copy()
    x[0, 0] = 9
    return y


@kernel("refuses")
def refuses(x):
    raise ValueError("x: too odd")


@kernel("not-yet")
def not_yet(x):
    raise NotImplementedError("for now")


@kernel("fails")
def fails(x):
    return x[7]


@kernel("exits")
def exits(x):
    sys.exit(3)


@kernel("interrupted")
def interrupted(x):
    raise KeyboardInterrupt


@kernel("reads-stdin")
def reads_stdin(x):
    if sys.stdin.read() != "":
        raise AssertionError("standard input was not at its end")
    return x


@kernel("child")
def child(x):
    os.system("echo a child's print")
    return x


@kernel("dtype")
def names_dtype(x, dtype):
    return {"y": x, "asked": np.zeros(len(dtype), x.dtype)}


@kernel("settings")
def settings(grad_W_enc, *, top_k):
    return grad_W_enc * grad_W_enc.dtype.type(top_k)


@kernel("everything")
def everything(**given):
    return given["x"] + given["top_k"]


@kernel("in-place", in_place=True)
def in_place(x, y):
    y[...] = x


@kernel("accumulates", in_place=True)
def accumulates(x, y):
    y += x


@kernel("past-the-end", in_place=True)
def past_the_end(x, y):
    y[...] = x
    whole = y.base if y.base.ndim == 1 else y.base.base
    whole[64 + y.size] = 0


@kernel("before-the-start", in_place=True)
def before_the_start(x, y):
    y[...] = x
    whole = y.base if y.base.ndim == 1 else y.base.base
    whole[:64] = np.nan


@kernel("in-place-returns", in_place=True)
def in_place_returns(x, y):
    return x


try:
    if "without-torch" in sys.argv:
        raise ImportError
    import torch
except ImportError:
    torch = None
else:

    @kernel("torch", tensors="torch")
    def on_torch(x):
        return (x * 2).T.contiguous().T.requires_grad_()

    @kernel("torch-in-place", tensors="torch", in_place=True)
    def torch_in_place(x, y):
        y.copy_(x)
        torch.as_strided(y, (1,), (1,), y.storage_offset() - 1).fill_(0)

    @kernel("torch-changes-input", tensors="torch")
    def torch_changes_input(x):
        return x.mul_(2)


serve(
    name="adapter",
    device="with torch" if torch else "without torch",
    dtypes=["float32", "float64", "tf32", "float16", "bfloat16"],
)
