#!/usr/bin/env bash
# The check finds every disorder of the fixture, nothing else, and then fails.
set -euo pipefail
cd "$(dirname "$0")"

code=0
found=$(./check_includes.py fixture) || code=$?
diff expected.txt - <<<"$found"
((code == 1))
