#!/usr/bin/env bash
# Makes the golden vectors again: ./make.sh
#
# Clones the published repository, unless NABESHIMA_REPO names an existing clone, and installs ../requirements.txt into
# a virtual environment, both under the user's cache folder. Then runs make.py, which reads the pinned commit and
# rewrites the *.safetensors and manifest.json beside it. See ../venv.sh for what it needs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../venv.sh"
commit=7b80f5fe36598f43f3181c5466a0365c7ce07807
repository=${NABESHIMA_REPO:-$(clone nabeshima https://github.com/noanabeshima/matryoshka-saes "$commit")}
run_make "$here" "$repository" "$commit"
