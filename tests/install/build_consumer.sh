#!/usr/bin/env bash
# Installs what is built in BUILD, moves it, and builds the consumer's project on it:
#   tests/install/build_consumer.sh BUILD FOLDER [CMAKE OPTION]...
# leaves FOLDER/prefix and FOLDER/consumer, made anew.
set -euo pipefail
build=$1 folder=$(realpath -m "$2")
shift 2
consumer=$(cd "$(dirname "$0")" && pwd)/consumer

rm -rf "$folder"/{staged,prefix,consumer}
cmake --install "$build" --prefix "$folder/staged" >/dev/null
mv "$folder/staged" "$folder/prefix"
cmake -S "$consumer" -B "$folder/consumer" -G Ninja -D CMAKE_PREFIX_PATH="$folder/prefix" "$@"
cmake --build "$folder/consumer"
