# shellcheck shell=bash
# What the scripts share. To be sourced; leaves the caller in the root of the repository.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

say() { printf '%s\n' "$@" >&2; }

die() {
  say "$(basename "$0"): $*"
  exit 1
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    command -v sudo >/dev/null || die "needs root for: $* (neither root nor sudo here)"
    sudo "$@"
  fi
}

# The names in scripts/packages/<list>.txt, for each list.
packages() {
  local list
  for list; do
    grep -v '^#' "scripts/packages/$list.txt"
  done
}

installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# Installs what is missing of the named lists, and says what. Touches nothing when all of it is there.
install_packages() {
  command -v dpkg-query >/dev/null || die "this script installs Debian packages; elsewhere install these: $(packages "$@" | xargs)"
  local package missing=()
  for package in $(packages "$@"); do
    installed "$package" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  say "Installing with apt: ${missing[*]}"
  as_root apt-get -q update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}"
}

# pip_of FOLDER ARGUMENT...: pip of a virtual environment, which soon gives up where PyPI does not answer.
pip_of() {
  local folder=$1
  shift
  "$folder/bin/python" -m pip --disable-pip-version-check --quiet --retries 2 --timeout 20 "$@"
}

# Makes build/python, a virtual environment with what scripts/packages/python.txt names, on top of Debian's own Python.
# A machine without a way to PyPI gets build/python.missing with the reason, and the tests that need it are skipped.
make_python() {
  local list=scripts/packages/python.txt
  ! cmp -s "$list" build/python/made_from || return 0
  rm -rf build/python build/python.missing
  mkdir -p build
  /usr/bin/python3 -m venv --system-site-packages build/python
  if pip_of build/python install --require-hashes --only-binary :all: --no-deps -r "$list"; then
    cp "$list" build/python/made_from
  elif pip_of build/python index versions safetensors >/dev/null 2>&1; then
    die "cannot install $list, although PyPI answers"
  else
    echo "PyPI cannot be reached from this machine" >build/python.missing
  fi
}

# Makes build/python_newest, a virtual environment by itself with the newest of what scripts/packages/python_newest.txt
# names. PyTorch's wheel on PyPI brings CUDA's libraries, some GiB; PIP_EXTRA_INDEX_URL names an index with smaller ones.
# A machine without a way to PyPI gets build/python_newest.missing with the reason, and the tests that need it are
# skipped; where PyPI answers and a package cannot be had, they fail.
make_newest_python() {
  local list=scripts/packages/python_newest.txt
  rm -f build/python_newest.missing
  [[ -x build/python_newest/bin/python ]] || /usr/bin/python3 -m venv build/python_newest
  if ! pip_of build/python_newest index versions safetensors >/dev/null 2>&1; then
    echo "PyPI cannot be reached from this machine" >build/python_newest.missing
  elif ! pip_of build/python_newest install --upgrade --only-binary :all: -r "$list"; then
    rm -rf build/python_newest
    say "cannot install $list, although PyPI answers"
  fi
}

# The folder of the CUDA toolkit to build with: the one that scripts/cuda_toolkit.sh makes, or one that is installed.
cuda_toolkit() {
  local nvcc
  for nvcc in "$PWD/build/cuda_toolkit/bin/nvcc" "$(command -v nvcc)" /usr/local/cuda/bin/nvcc; do
    if [[ -x $nvcc ]]; then
      dirname "$(dirname "$nvcc")"
      return
    fi
  done
}

# Brings cudnn_frontend, headers that no installed toolkit has, to build/cudnn_frontend: make_cudnn_frontend TOOLKIT FOLDER,
# that of the virtual environment whose pip does. A machine without a way to PyPI does not get them.
make_cudnn_frontend() {
  [[ ! -e $1/include/cudnn_frontend.h && ! -e build/cudnn_frontend/include/cudnn_frontend.h ]] || return 0
  pip_of "$2" install --no-compile --no-deps --require-hashes --only-binary :all: --target build/cudnn_frontend \
    -r <(grep '^nvidia-cudnn-frontend=' scripts/packages/cuda.txt) || rm -rf build/cudnn_frontend
}

# Looks for what the preset `cuda` needs: sets `toolkit`, and `lack`, why it cannot be built, or nothing. prepare_cuda FOLDER,
# as above.
prepare_cuda() {
  toolkit=$(cuda_toolkit)
  [[ -z $toolkit ]] || make_cudnn_frontend "$toolkit" "$1"
  lack=$(lack_of_cuda_toolkit "$toolkit")
  [[ -z $lack ]] || lack+=" (scripts/cuda_toolkit.sh brings all of it to build/cuda_toolkit)"
}

# Configures the preset `cuda` for that toolkit, anew where it was for another: configure_cuda TOOLKIT [OPTION]...
configure_cuda() {
  local cache=build/cuda/CMakeCache.txt fresh=()
  [[ ! -f $cache ]] || grep -qxF "LOCKSTEP_NVCC:FILEPATH=$1/bin/nvcc" "$cache" || fresh=(--fresh)
  cmake "${fresh[@]}" --preset cuda -DLOCKSTEP_CUDA_TOOLKIT="$1" "${@:2}"
}

# What such a folder lacks of what the preset `cuda` needs; nothing where all of it is there.
lack_of_cuda_toolkit() {
  [[ -n $1 ]] || {
    echo "there is no nvcc"
    return
  }
  local header release missing=()
  release=$("$1/bin/nvcc" --version | sed -n 's/.*release \([0-9]*\).*/\1/p')
  ((${release:-0} >= 13)) || missing+=("nvcc from CUDA 13 on")
  for header in cublas_v2.h cudnn.h cudnn_frontend.h nccl.h nvrtc.h; do
    [[ -e $1/include/$header || -e /usr/include/$header || -e build/cudnn_frontend/include/$header ]] || missing+=("$header")
  done
  ((${#missing[@]} == 0)) || echo "$1 has no ${missing[*]}"
}
