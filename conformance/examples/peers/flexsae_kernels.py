"""
The decoder of FlexSAE (https://github.com/corl-team/flexsae), a Triton kernel for CUDA.

    pip install kernels triton
    matryoshka conformance --kernel "python3 flexsae_kernels.py" --only decode --runs 20 --time-limit 60

Each new shape is compiled, which takes seconds: hence few cases and a long time limit. Without CUDA the suite skips it.

Expected, from its source: all laws of decode hold. Not run by its authors' or our tests on shapes it does not take: it needs
a power of two latents a row and a width that is a multiple of 64, so rows are padded here with latents of value 0 and
columns of zeros. Its backward kernel is not among our operators: its levels are single latents, and it walks through them
by subtraction from the last reconstruction, so that rounding errors of the first levels grow with the size of the last.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
from matryoshka_kernels import kernel, serve  # noqa: E402


def skip(reason):
    serve(name="FlexSAE", skip=reason)
    sys.exit()


try:
    import torch
    import triton
except ImportError as error:
    skip(f"cannot import {error.name}")
if not torch.cuda.is_available():
    skip("no CUDA device")
try:
    from flex_sae import hierarchical_kernels
except ImportError:
    try:
        from kernels import get_kernel
    except ImportError as error:
        skip(f"cannot import {error.name}")
    hierarchical_kernels = get_kernel("t-tech/flex-sae").hierarchical_kernels


def power_of_two(size):
    return max(1, triton.next_power_of_2(size))


@kernel("decode", tensors="torch", device="cuda")
@torch.no_grad()
def decode(latents, W_dec, b_dec, prefixes):
    """The forward kernel's reconstruction from the latents of each prefix."""
    d_sae, d_in = W_dec.shape
    given = latents.reshape(-1, d_sae)
    width = 64 * triton.cdiv(d_in, 64)
    weight, bias = latents.new_zeros(d_sae, width), latents.new_zeros(width)
    weight[:, :d_in], bias[:d_in] = W_dec, b_dec
    levels = []
    for end in prefixes:
        # Rows are padded, too: the batch is compiled in.
        values = latents.new_zeros(power_of_two(given.shape[0]), power_of_two(end))
        indices = torch.zeros(values.shape, dtype=torch.long, device=latents.device)
        values[: given.shape[0], :end] = given[:, :end]
        indices[:, :end] = torch.arange(end, device=latents.device)
        target = latents.new_zeros(values.shape[0], width)
        _, level = hierarchical_kernels._hierarchical_sae_forward(indices, weight, values, bias, target)
        levels.append(level[: given.shape[0], :d_in])
    return torch.stack(levels).reshape(len(prefixes), *latents.shape[:-1], d_in)


if __name__ == "__main__":
    serve(name="FlexSAE", device=f"triton {triton.__version__}, {torch.cuda.get_device_name()}")
