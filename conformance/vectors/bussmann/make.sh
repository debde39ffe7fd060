#!/usr/bin/env bash
# Makes the golden vectors again: ./make.sh
#
# Clones the published repository, unless BUSSMANN_REPO names an existing clone, and installs ../requirements.txt into
# a virtual environment, both under the user's cache folder. Then runs make.py, which reads the pinned commit and
# rewrites the *.safetensors and manifest.json beside it. See ../venv.sh for what it needs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../venv.sh"
commit=c7c57877bb81df67fdac611f9c31ffc10495db0b
repository=${BUSSMANN_REPO:-$(clone bussmann https://github.com/bartbussmann/matryoshka_sae "$commit")}
run_make "$here" "$repository" "$commit"
