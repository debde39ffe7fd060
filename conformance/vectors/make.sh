#!/usr/bin/env bash
# Makes all golden vectors again: ./make.sh
#
# Runs the make.sh of each source, one after another. See each for what it needs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for source in dictionary-learning bussmann saelens nabeshima; do
  "$here/$source/make.sh"
done
