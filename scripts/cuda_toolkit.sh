#!/usr/bin/env bash
# Makes build/cuda_toolkit, a CUDA toolkit with cuBLAS, cuDNN and NCCL, of NVIDIA's packages on PyPI (1.4 GB to load, 2.5 GB
# there): what the preset `cuda` builds with. It needs no GPU. A toolkit that is installed will do as well: name it with
# `cmake --preset cuda -DLOCKSTEP_CUDA_TOOLKIT=/usr/local/cuda`.
#   scripts/cuda_toolkit.sh
# Exit code 1 where PyPI cannot be reached; the reason is in build/cuda_toolkit.missing too.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

list=scripts/packages/cuda.txt
root=build/cuda_toolkit
! cmp -s "$list" "$root/made_from" || exit 0

install_packages build peers
rm -rf "$root" "$root.missing"
mkdir -p "$root/lib64" "$root/include"
/usr/bin/python3 -m venv "$root/venv"
say "Loading CUDA from PyPI into $root"
pip_of "$root/venv" install --no-compile --no-deps --require-hashes --only-binary :all: --target "$root/packages" \
  -r "$list" || {
  rm -rf "$root"
  mkdir -p build
  echo "NVIDIA's packages cannot be had from PyPI on this machine" >"$root.missing"
  die "$(cat "$root.missing")"
}

# One folder as an installed toolkit has it, with the names that a linker looks for.
nvidia=$root/packages/nvidia
chmod -R a+rX,u+w "$nvidia"
chmod a+x "$nvidia"/cu13/bin/* "$nvidia"/cu13/nvvm/bin/*
for folder in bin nvvm; do ln -s "packages/nvidia/cu13/$folder" "$root/$folder"; done
for header in "$nvidia"/{cu13,cudnn,nccl}/include/* "$root"/packages/include/*; do
  ln -s "../${header#"$root/"}" "$root/include/"
done
for library in "$nvidia"/{cu13,cudnn,nccl}/lib/{*.a,*.so*}; do
  [[ -e $library ]] || continue
  name=$(basename "$library")
  ln -s "../${library#"$root/"}" "$root/lib64/$name"
  [[ $name != *.so.* ]] || ln -sf "$name" "$root/lib64/${name%%.so.*}.so"
done
rm -rf "$root/venv"
cp "$list" "$root/made_from"
