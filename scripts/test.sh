#!/usr/bin/env bash
# Installs what the tests need, builds, and runs them; the last lines are ctest's own summary.
# --all goes on with what takes longer: sanitizers, mutations, every number of workers, the newest of PyPI.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

all=false
case ${1-} in
  '') ;;
  --all) all=true ;;
  *) die "usage: scripts/test.sh [--all]" ;;
esac

install_packages build test
make_python
skipped() { [[ -z $2 ]] || say "$1 skipped: $2"; }
reason() { [[ ! -f $1 ]] || cat "$1"; }
skipped "interop.safetensors, interop.weights_of_*, interop.onnx.*, interop.tensorboard and
binary.benches.peers_infer_with_onnx_runtime are" "$(reason build/python.missing)"
skipped "drill.two_hosts is" "$(python3 -B tests/cluster/hosts.py)"
skipped "cluster.over_ssh is" "$(python3 -B tests/cluster/over_ssh.py --missing)"
skipped "cluster.under_slurm is" "$(python3 -B tests/cluster/slurm.py)"
prepare_cuda build/python
if [[ -z $lack ]]; then
  configure_cuda "$toolkit" -DLOCKSTEP_TESTS=ON
  cmake --build --preset cuda --target lockstep mpi_suite mpi_faults gpu_operations gpu_networks
  ctest --preset cuda -L gpu
else
  say "the GPU parts are skipped: $lack"
fi
cmake --preset release -DLOCKSTEP_TESTS=ON
cmake --build --preset release
# Tests wait more than they compute.
ctest --preset release -j "$((2 * $(nproc)))"
if $all; then
  make_newest_python
  skipped "all.newest.* are" "$(reason build/python_newest.missing)"
  # A configuration of its own keeps these out of a plain ctest.
  ctest --preset release -C all -L all --verbose
  [[ -n $lack ]] || ctest --preset cuda -C all -L gpu -R sanitizer
fi
