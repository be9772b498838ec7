#!/usr/bin/env bash
# lockstep against what else one would train with on this machine, PyTorch and Keras on TensorFlow, and infer with, ONNX
# Runtime. Measures them in turn and writes a table and a picture:
# scripts/bench_peers.sh [ROW]... [--rounds N] [--set KEY=VALUE]... [--out FOLDER]
# (--help lists the rows; those of a GPU are measured only where they are named, `gpu` means all of them). The peers come from
# PyPI into build/peers; PyTorch's wheel there brings CUDA's libraries, some GiB. PIP_EXTRA_INDEX_URL names an index with
# smaller ones. A peer that cannot be installed is skipped by name.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

python=build/peers/bin/python
has() { "$python" -c "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))" "$@"; }

# peer NAME MODULES PACKAGES: installs the packages unless the modules are there.
peer() {
  read -ra modules <<<"$2"
  read -ra packages <<<"$3"
  ! has "${modules[@]}" || return 0
  say "Installing $1"
  "$python" -m pip --disable-pip-version-check --quiet install "${packages[@]}" ||
    say "$1 cannot be installed here; what needs it is skipped"
}

install_packages build peers
[[ -x $python ]] || /usr/bin/python3 -m venv build/peers
trains=false predicts=false on_gpu=false
for word in "$@"; do
  case $word in
    resnet* | cnn-*) trains=true ;;
    predict-*) predicts=true ;;
    gpu | gpu-resnet*) on_gpu=true ;;
  esac
done
$trains || $predicts || $on_gpu || trains=true predicts=true # all but those of GPUs
if $trains || $on_gpu; then peer PyTorch "torch torchvision" "torch torchvision"; fi
if $trains; then peer "Keras on TensorFlow" "keras tensorflow" "tensorflow-cpu"; fi
if $predicts; then peer "ONNX Runtime" "onnxruntime numpy" "onnxruntime numpy"; fi
peer "Matplotlib, for the picture" matplotlib matplotlib

if $on_gpu; then
  prepare_cuda build/peers
  [[ -z $lack ]] || die "the GPU parts cannot be built: $lack"
  configure_cuda "$toolkit" -DLOCKSTEP_TESTS=OFF >&2
  cmake --build --preset cuda --target lockstep >&2
fi
if $trains || $predicts; then
  [[ -f build/release/build.ninja ]] || cmake --preset release -DLOCKSTEP_TESTS=OFF >&2
  cmake --build --preset release --target lockstep >&2
fi
exec "$python" scripts/peers/compare.py "$@"
