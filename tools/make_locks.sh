#!/usr/bin/env bash
# Resolve the dependencies of pyproject.toml anew and write the three lock files.
# Usage: tools/make_locks.sh [CONSTRAINTS]    (a pip constraints file, e.g. for one version)
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
constraints=()
[ $# -gt 0 ] && constraints=(--constraint "$1")

# Local labels such as +cpu name one build of a version; the lock names the version.
frozen() { "$work/bin/pip" freeze --exclude aegle | sed 's/+[a-z0-9.]*$//'; }
head="# Written by tools/make_locks.sh; do not edit."

python3 -m venv "$work"
# torch is pinned here: left open, pip takes the newest build with several GB of CUDA packages.
"$work/bin/pip" install --quiet "${constraints[@]}" torch==2.13.0 hatchling editables .
{ echo "$head"; frozen; } > requirements.lock
"$work/bin/pip" install --quiet "${constraints[@]}" '.[dev]'
{ echo "$head"; frozen | grep -vxFf requirements.lock; } > requirements-dev.lock
"$work/bin/pip" install --quiet "${constraints[@]}" '.[bench]'
{ echo "$head"; frozen | grep -vxFf requirements.lock -f requirements-dev.lock; } > requirements-bench.lock
