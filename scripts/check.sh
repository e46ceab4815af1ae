#!/usr/bin/env bash
# All checks beyond the tests: formatting, length of files, shell scripts, a clang build with warnings as errors, clang-tidy,
# cppcheck, all tests under AddressSanitizer and UndefinedBehaviorSanitizer, 20 seconds of each fuzz target; when asked for, kernels,
# engine and `attn run` built for 64-bit Arm and run under qemu. Installs Debian packages that are missing (root or sudo). Goes on after a
# failed check and names all that failed at the end. What was checked and has not changed is not checked again.
#
# Usage: scripts/check.sh [CHECK...]     CHECK: format length shell build tidy cppcheck sanitize fuzz arm (default: all but arm,
#                                        which builds everything once more; to be run when kernels or engine change)
#        ATTN_ANALYZE=1 scripts/check.sh tidy            with clang's static analyzer, too
#        ATTN_FUZZ_SECONDS=600 scripts/check.sh fuzz     fuzzes longer, and again
set -eu
cd "$(dirname "$0")/.."
. scripts/packages.sh

# shellcheck disable=SC2086 # lists of words
need_packages $build_packages $cluster_packages $test_packages $check_packages

memory=build/check # stamps of what was found clean
longest_file=450

# The sources below those of the given folders that exist.
sources() { find "$@" \( -name '*.cpp' -o -name '*.hpp' \) -type f 2>/dev/null | LC_ALL=C sort; }

check_format() {
  sources src include cli tests bench examples | xargs clang-format-16 --dry-run -Werror
}

check_length() {
  sources src include cli | xargs wc -l | awk -v most="$longest_file" '
    $2 != "total" && $1 > most { print $2 " has " $1 " lines (at most " most "): find the second thing it does"; bad = 1 }
    END { exit bad }'
}

check_shell() {
  find scripts .ci examples tests bench \( -name '*.sh' -o -path .ci/run \) -type f -print0 2>/dev/null | xargs -0 shellcheck -x
}

check_build() {
  configure asan && cmake --build --preset asan --parallel "$cores"
}

# tidy_one SOURCE: checks one file, or several that are compiled together, unless neither they nor any header have changed since
# they were found clean.
tidy_one() {
  local source=$1 key output
  key=$({
    echo "$tidy_rules $tidy_options"
    sed -n 's/^#include "\(\/.*\.cpp\)"$/\1/p' "$source" | xargs -r cat
    cat "$source"
  } | sha256sum | cut -c1-40)
  if [ -e "$memory/tidy/$key" ]; then return 0; fi
  # shellcheck disable=SC2086 # a list of words
  if ! output=$(clang-tidy-16 --quiet -p build/tidy $tidy_options "$source" 2>&1); then
    printf '%s\n' "$output"
    return 1
  fi
  : >"$memory/tidy/$key"
}
export -f tidy_one
export memory

# Nothing is built in build/tidy: it says how files are compiled.
check_tidy() {
  local together=ON
  # The files of a folder together take a fifth of the time, since the headers they share are read once. The static analyzer looks
  # at functions of the main file only and takes its time, but seldom finds what the other checks and the sanitizers do not.
  tidy_options='--checks=-clang-analyzer-*,-bugprone-suspicious-include --header-filter=/(src|include/attn|cli)/.*[.][ch]pp$'
  if [ -n "${ATTN_ANALYZE:-}" ]; then
    together=OFF
    tidy_options=
  fi
  rm -rf build/tidy # an earlier choice
  configure tidy -DCMAKE_UNITY_BUILD=$together
  mkdir -p "$memory/tidy"
  tidy_rules=$({ clang-tidy-16 --version; sources src include cli | grep '\.hpp$' | xargs cat .clang-tidy cmake/AttnCompiler.cmake; } | sha256sum)
  export tidy_rules tidy_options
  sed -n 's/^  "file": "\(.*\)",\{0,1\}$/\1/p' build/tidy/compile_commands.json |
    grep -E "^$PWD/(src|cli|build/tidy/CMakeFiles/attn\.dir/Unity)/" | LC_ALL=C sort -u |
    xargs -r -P "$cores" -L 1 bash -c 'tidy_one "$@"' tidy_one
}

check_cppcheck() {
  mkdir -p "$memory/cppcheck"
  cppcheck --quiet --error-exitcode=1 --std=c++20 --language=c++ --enable=warning,performance,portability --inline-suppr \
    --suppress=missingIncludeSystem --suppress=passedByValue --cppcheck-build-dir="$memory/cppcheck" -j "$cores" -I include -I src src cli
}

check_sanitize() {
  check_build && ctest --preset asan --parallel "$cores"
}

# Fuzzes one target and keeps what it learnt in the build folder; on a finding prints the input and how to repeat it.
fuzz_one() {
  local program=$1 name key seed log dictionary=()
  name=${program##*/attn_fuzz_}
  key=$(sha256sum <"$program" | cut -c1-40)
  if [ -e "$memory/fuzz/$key" ] && [ -z "${ATTN_FUZZ_SECONDS:-}" ]; then
    echo "fuzz $name: unchanged since it was found clean"
    return 0
  fi
  mkdir -p "$memory/fuzz" "build/fuzz/corpus/$name" "build/fuzz/found"
  seed=$((RANDOM * 32768 + RANDOM + 1))
  log=build/fuzz/$name.log
  echo "fuzz $name: ${ATTN_FUZZ_SECONDS:-20} seconds, seed $seed"
  if [ -e "tests/fuzz/dictionary/$name.dict" ]; then dictionary=("-dict=tests/fuzz/dictionary/$name.dict"); fi
  if ! "$program" "${dictionary[@]}" -seed="$seed" -max_total_time="${ATTN_FUZZ_SECONDS:-20}" -timeout=20 -rss_limit_mb=3072 -malloc_limit_mb=512 -max_len=4096 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/found/$name-" "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
    tail -n 60 "$log"
    echo "fuzz $name FAILED; repeat: $program build/fuzz/found/$name-..."
    return 1
  fi
  awk -v name="$name" '/stat::number_of_executed_units/ { print "fuzz " name ": " $2 " inputs, clean" }' "$log"
  : >"$memory/fuzz/$key"
}
export -f fuzz_one

check_fuzz() {
  check_build || return 1
  find build/asan/tests/fuzz -maxdepth 1 -name 'attn_fuzz_*' -type f -perm -u+x | LC_ALL=C sort |
    xargs -r -P "$cores" -L 1 bash -c 'fuzz_one "$@"' fuzz_one
}

# Builds for 64-bit Arm what depends on the processor and runs it under qemu: the kernels, the fast engine (whose bytes are the
# committed ones on NEON, too) and the cases of `attn run`.
check_arm() {
  if [ "$(uname -m)" = aarch64 ]; then
    echo "arm: skipped, this machine is one: scripts/test.sh has tested it"
    return 0
  fi
  # shellcheck disable=SC2086 # a list of words
  need_packages $arm_packages
  need_arm64_libraries build/arm64-root
  configure aarch64
  cmake --build --preset aarch64 --parallel "$cores" --target attn_program attn_test_kernels attn_test_engine_tiled attn_cases || return 1

  local folder=build/aarch64 emulator=(qemu-aarch64 -L /usr/aarch64-linux-gnu) pid failures=0 pids=() found
  # Left out are cases that take minutes under emulation, about what the others hold to portable's bits: how accurate the
  # polynomials are, and the walks on several threads and over many spans.
  "${emulator[@]}" $folder/tests/engine/attn_test_engine_tiled --test-case-exclude='*side observers*' &
  pids+=($!)
  "${emulator[@]}" $folder/tests/kernels/attn_test_kernels --test-case-exclude='exp2 is within*,tanh is accurate*,the logistic*' &
  pids+=($!)
  "${emulator[@]}" $folder/tests/cases/attn_cases --attn "$PWD/$folder/emulated/attn" --root "$PWD" --limit 300 tests/cases/run &
  pids+=($!)
  for pid in "${pids[@]}"; do wait "$pid" || failures=1; done

  found=$($folder/emulated/attn run tests/data/gen/normal_seed0.npy -o none --isa avx2 2>&1) || true
  case $found in
    *"no vector target 'avx2' (expected one of neon, portable)"*) ;;
    *)
      echo "arm: --isa avx2 should name neon and portable; it said: $found"
      failures=1
      ;;
  esac
  # Highway asks the compiler for NEON with the instructions for cryptography; not every processor has those.
  found=$(aarch64-linux-gnu-objdump -d --no-show-raw-insn $folder/attn | awk '$2 ~ /^(aes|sha1|sha256|sha512|pmull|eor3|bcax)/ { n++ } END { print n + 0 }')
  if [ "$found" != 0 ]; then
    echo "arm: $found instructions that a plain ARMv8-A processor lacks"
    failures=1
  fi
  return "$failures"
}

checks=${*:-format length shell build tidy cppcheck sanitize fuzz}
failed=""
for check in $checks; do
  declare -F "check_$check" >/dev/null || fail "no check is named $check"
done
for check in $checks; do
  say "check: $check"
  began=$SECONDS
  if ! "check_$check"; then failed="$failed $check"; fi
  echo "$check: $((SECONDS - began)) s"
done
[ -z "$failed" ] || fail "failed:$failed"
say "All checks passed: $checks"
