#!/usr/bin/env bash
# Installs the Debian packages in a Debian that has nothing else, and uses them there:
#   tests/install/clean_root.sh PACKAGES
# The root is mmdebstrap's, which takes it and its mounts away again however this ends. Needs Debian's registry; where
# that cannot be reached it ends with 77, for a test that was skipped.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
packages=$(realpath "$1")
debs=("$packages"/lockstep_*.deb "$packages"/lockstep-dev_*.deb) # a hook's copy-in knows no patterns
mirror=http://deb.debian.org/debian

scratch=$(mktemp -d -t lockstep_clean_root.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
/usr/lib/apt/apt-helper -o APT::Sandbox::User=root \
  download-file "$mirror/dists/bookworm/InRelease" "$scratch/release" >/dev/null || {
  echo "skipped: $mirror cannot be reached"
  exit 77
}
mmdebstrap --variant=apt --format=null \
  --customize-hook="copy-in ${debs[*]@Q} /root" \
  --customize-hook="copy-in ${here@Q}/consumer ${here@Q}/in_clean_root.sh /root" \
  --customize-hook="chroot \"\$1\" /root/in_clean_root.sh" \
  bookworm - "$mirror"
