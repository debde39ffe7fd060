#!/usr/bin/env bash
# All that is to be known of a machine with a GPU, by one command: ./gpu/bench/on-gpu.sh [FOLDER]
#
# Which backends run and on what; the whole conformance suite on webgpu; training steps on it beside dictionary_learning on
# the same GPU in float32, TF32 and bfloat16 (autocast), at 768/16384/4096/32 and at the paper's shape. Writes certificate,
# tables and JSON to FOLDER (runs/gpu). Needs Node 20 or later, the `webgpu` package, the GPU's Vulkan driver, libvulkan1,
# and Python with a CUDA build of torch, which the benchmark installs the first time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${1:-runs/gpu}
mkdir -p "$out"
matryoshka() { npm run --silent matryoshka -- "$@"; }

matryoshka doctor | tee "$out/doctor.txt"
if grep -q 'only a software adapter' "$out/doctor.txt"; then
  echo 'on-gpu: WebGPU finds a software adapter only: nothing of a GPU would be measured' >&2
  exit 1
fi
matryoshka conformance --backend webgpu --json "$out/conformance.json" --html "$out/conformance.html" | tail -n 3

# The paper's: Gemma-2-2B's residual stream, 65,536 latents, batch 2,048.
for precision in fp32 tf32 bf16; do
  matryoshka bench --backend webgpu --peers dictionary_learning --peer-device cuda --peer-precision "$precision" \
    --shape 768/16384/4096/32 2304/65536/2048/40 --rounds 5 --seconds 60 --json "$out/bench-$precision.json" |
    tee "$out/bench-$precision.md"
done
