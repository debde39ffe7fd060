"""
batch-topk as Triton kernels, for CUDA or, slowly, for Triton's interpreter on the CPU (TRITON_INTERPRET=1): all laws hold.

    matryoshka conformance --kernel "python3 triton_kernels.py"

Without Triton or a CUDA device it says so, and the suite skips it. The interpreter needs seconds where a GPU needs
microseconds: with --runs 5 it takes about a minute.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
from matryoshka_kernels import kernel, serve  # noqa: E402

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def skip(reason):
    serve(name="triton example", skip=reason)
    sys.exit()


try:
    import torch
    import triton
    import triton.language as tl
except ImportError as error:
    skip(f"cannot import {error.name}")
if not INTERPRETED and not torch.cuda.is_available():
    skip("no CUDA device")

DEVICE = "cpu" if INTERPRETED else "cuda"
BLOCK = 1024
TOP_BIT = 30  # of a float that is not negative, seen as an integer: it has the same order

# Each kernel sees the values in blocks; sums over blocks are of integers, so that their order does not matter.


@triton.jit
def bits_at(acts, offsets, n):
    """Values as integers, negative where there are none."""
    values = tl.load(acts + offsets, mask=offsets < n, other=-1.0)
    return values.to(tl.int32, bitcast=True)


@triton.jit
def cut_from(counts, K, lowest, TOP_BIT: tl.constexpr):
    """The bits found so far of the largest cut that at least K values reach."""
    cut = 0
    for bit in range(TOP_BIT, lowest - 1, -1):
        cut = tl.where(tl.load(counts + bit) >= K, cut | (1 << bit), cut)
    return cut


@triton.jit
def count_reaching(acts, counts, n, K, bit, BLOCK: tl.constexpr, TOP_BIT: tl.constexpr):
    """counts[bit] += how many values reach the cut with this bit set, too."""
    candidate = cut_from(counts, K, bit + 1, TOP_BIT) | (1 << bit)
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    reaching = bits_at(acts, offsets, n) >= candidate
    tl.atomic_add(counts + bit, tl.sum(reaching.to(tl.int32)))


@triton.jit
def count_ties(acts, counts, above, ties, n, K, BLOCK: tl.constexpr, TOP_BIT: tl.constexpr):
    """In each block: values above the cut, and equal to it."""
    cut = cut_from(counts, K, 0, TOP_BIT)
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    bits = bits_at(acts, offsets, n)
    tl.atomic_add(above, tl.sum((bits > cut).to(tl.int32)))
    tl.store(ties + tl.program_id(0), tl.sum((bits == cut).to(tl.int32)))


@triton.jit
def keep(acts, latents, counts, above, ties_before, n, K, BLOCK: tl.constexpr, TOP_BIT: tl.constexpr):
    """Values above the cut, and of those equal to it as many of the first as there is room for."""
    cut = cut_from(counts, K, 0, TOP_BIT)
    room = K - tl.load(above)
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    bits = bits_at(acts, offsets, n)
    tied = (bits == cut).to(tl.int32)
    place = tl.load(ties_before + tl.program_id(0)) + tl.cumsum(tied, 0) - tied
    kept = (bits > cut) | ((tied == 1) & (place < room))
    values = tl.load(acts + offsets, mask=offsets < n, other=0.0)
    tl.store(latents + offsets, tl.where(kept, values, 0.0), mask=offsets < n)


@kernel("batch-topk", tensors="torch", device=DEVICE, in_place=True)
def batch_topk(acts, k, latents):
    if not torch.isfinite(acts).all():
        raise ValueError("expected finite values")
    n, K = acts.numel(), int(k * (acts.numel() // acts.shape[-1]))
    if k < 0 or K > n:
        raise ValueError(f"k: expected 0 <= k <= {acts.shape[-1]}, got {k}")
    if K == 0:
        latents.zero_()
        return
    blocks = triton.cdiv(n, BLOCK)
    counts = torch.zeros(TOP_BIT + 1, dtype=torch.int32, device=acts.device)
    above = torch.zeros(1, dtype=torch.int32, device=acts.device)
    ties = torch.empty(blocks, dtype=torch.int32, device=acts.device)
    for bit in range(TOP_BIT, -1, -1):
        count_reaching[(blocks,)](acts, counts, n, K, bit, BLOCK, TOP_BIT)
    count_ties[(blocks,)](acts, counts, above, ties, n, K, BLOCK, TOP_BIT)
    ties_before = (ties.cumsum(0) - ties).to(torch.int32)
    keep[(blocks,)](acts, latents, counts, above, ties_before, n, K, BLOCK, TOP_BIT)


if __name__ == "__main__":
    where = "interpreter" if INTERPRETED else torch.cuda.get_device_name()
    serve(name="triton example", device=f"triton {triton.__version__}, {where}")
