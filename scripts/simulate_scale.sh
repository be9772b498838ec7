#!/usr/bin/env bash
# How the cost of a training step's communication grows, up to 1,024 workers: runs it under SimGrid and writes a table,
# JSON and a picture: scripts/simulate_scale.sh [--quick | --workers N...] [--clusters fast slow] [--compute-ms T]
# [--out FOLDER] (--help lists all). scripts/simulate/README.md says what is simulated and what is not.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install_packages build simulate
[[ -f build/release/build.ninja ]] || cmake --preset release -DLOCKSTEP_TESTS=OFF >&2
cmake --build --preset release --target simulate_plan simulate_worker >&2
exec /usr/bin/python3 scripts/simulate/scale.py "$@"
