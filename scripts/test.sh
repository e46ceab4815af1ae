#!/usr/bin/env bash
# Builds attn with all its tests in Release and runs them; installs Debian packages that are missing (root or sudo). Arguments go
# to ctest: scripts/test.sh -R cases
set -eu
cd "$(dirname "$0")/.."
. scripts/packages.sh

# shellcheck disable=SC2086 # lists of words
need_packages $build_packages $cluster_packages $test_packages

configure release
cmake --build --preset release --parallel "$cores"
exec ctest --preset release --parallel "$cores" "$@"
