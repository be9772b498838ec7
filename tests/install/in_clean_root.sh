#!/usr/bin/env bash
# What clean_root.sh does inside: installs, trains as somebody who is not root, builds the consumer's project, removes.
set -euxo pipefail
cd /root
export DEBIAN_FRONTEND=noninteractive
add() { apt-get -q -y install --no-install-recommends "$@"; }

add ./lockstep_*.deb
useradd --create-home somebody
as_somebody() { su somebody --shell /bin/bash --command "cd && $*"; }
settings='--overwrite --set run_dir=run --set data.dataset=synthetic --set schedule.steps=4'
train="train /usr/share/lockstep/configs/fashion_mnist.yaml $settings"
final_of() {
  as_somebody "$@" >&2
  sha256sum <~somebody/run/final.safetensors
}

alone=$(final_of "lockstep $train")
[[ $(final_of "lockstep $train --workers 3") == "$alone" ]]
[[ $(final_of "lockstep-launch -n 2 --oversubscribe lockstep $train") == "$alone" ]]
as_somebody lockstep evaluate run/final.safetensors --json
# A processor without AVX-512, as far as oneDNN can see. Its bits are its own, but as independent of the workers.
cap='ONEDNN_MAX_CPU_ISA=AVX2 DNNL_MAX_CPU_ISA=AVX2'
capped=$(final_of "$cap lockstep $train")
[[ $(final_of "$cap lockstep $train --workers 2") == "$capped" ]]

add ./lockstep-dev_*.deb cmake g++ ninja-build
cmake -S consumer -B consumer_build -G Ninja -D CMAKE_BUILD_TYPE=Release
cmake --build consumer_build
consumer_build/check_prelu
consumer_build/my_lockstep train consumer/config.yaml --workers 2

apt-get -q -y purge lockstep lockstep-dev
# Boost has a header of this name.
left=$(find / -xdev -iname '*lockstep*' -not -path '/root/*' -not -path '/home/*' -not -path '/tmp/*' \
  -not -path '/usr/include/boost/*')
[[ -z $left ]]
