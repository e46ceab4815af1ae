# The Debian packages attn needs, in this one place, and the function that installs what is missing. Sourced by the other scripts.
# shellcheck shell=bash disable=SC2034

# To build the program and its tests.
build_packages="g++ cmake ninja-build pkg-config libcli11-dev libxtensor-dev libfmt-dev nlohmann-json3-dev libhwy-dev libtbb-dev
  zlib1g-dev libcsv-dev libfast-float-dev libopenblas-dev libpango1.0-dev nettle-dev libtomlplusplus-dev doctest-dev"
# For sweeps over the processes of a cluster (without them attn is built without mpirun), and to test them.
cluster_packages="libopenmpi-dev openmpi-bin"
# To build again faster.
test_packages="ccache"
# To measure single kernels (-DATTN_BENCH=ON).
bench_packages="libbenchmark-dev"
# To check it: the other compiler with its sanitizers and fuzzer, formatting and lint, and a browser for the pages that attn plot
# writes (their test is skipped where there is none).
check_packages="clang-16 libclang-rt-16-dev llvm-16 clang-format-16 clang-tidy-16 cppcheck shellcheck chromium"
# To check the build for 64-bit Arm: cross compiler and emulator. The libraries are build_packages' -dev packages, unpacked.
arm_packages="g++-aarch64-linux-gnu qemu-user"

say() { printf '\n==> %s\n' "$*"; }
fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Runs a command as root: at once, or through sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "installing packages needs root or sudo; as root, run: apt-get install --no-install-recommends ${missing[*]}"
  fi
}

# need_packages NAME...: installs those that are missing; asks no network and no rights when all are there.
need_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "This is not a Debian system; the following must be there already: $*" >&2
    return 0
  fi
  local name missing=()
  for name in "$@"; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0

  say "Installing ${#missing[@]} Debian packages: ${missing[*]}"
  local log
  log=$(mktemp)
  if ! { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
    -o DPkg::Lock::Timeout=120 "${missing[@]}"; } </dev/null >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    fail "the packages could not be installed (Debian 12 has all of them; is the network there?)"
  fi
  rm -f "$log"
}

# need_arm64_libraries FOLDER: unpacks the arm64 packages of the libraries in build_packages, and what they depend on, there. The
# system's own packages and architectures stay as they are: adding an architecture moves many of them to other versions.
need_arm64_libraries() {
  local folder=$1 name work options libraries=()
  for name in $build_packages; do
    case $name in *-dev) libraries+=("$name") ;; esac
  done
  [ "$(cat "$folder/unpacked" 2>/dev/null)" != "${libraries[*]}" ] || return 0
  say "Unpacking Debian's arm64 packages of the libraries"
  work=$(mktemp -d)
  mkdir -p "$work/lists/partial" "$work/archives/partial"
  : >"$work/status"
  options=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User= -o Debug::NoLocking=1
    -o Dir::State="$work" -o Dir::State::status="$work/status" -o Dir::Cache="$work")
  if ! { apt-get "${options[@]}" update && apt-get "${options[@]}" install --download-only --yes --no-install-recommends \
    "${libraries[@]}"; } </dev/null >"$work/log" 2>&1; then
    cat "$work/log" >&2
    rm -rf "$work"
    fail "the arm64 packages could not be fetched (Debian 12 has all of them; is the network there?)"
  fi
  rm -rf "$folder"
  mkdir -p "$folder/usr/lib"
  ln -s usr/lib "$folder/lib"
  for name in "$work"/archives/*.deb; do
    # What the cross compiler has its own of: the C and C++ libraries.
    case ${name##*/} in libc6* | libc-* | linux-libc-* | libcrypt* | libgcc* | libstdc++* | gcc-*) continue ;; esac
    dpkg-deb --fsys-tarfile "$name" | tar -x --keep-directory-symlink --no-same-owner -C "$folder"
  done
  # A link to an absolute path would lead to the system's own file.
  find "$folder" -lname '/*' | while read -r name; do
    ln -sfn "$(realpath --relative-to="${name%/*}" "$folder$(readlink "$name")")" "$name"
  done
  echo "${libraries[*]}" >"$folder/unpacked"
  rm -rf "$work"
}

# configure PRESET [OPTION...]: a build folder with Ninja and, where it is there, ccache, whose files are compiled several at once
# (half the time from nothing; who changes files one by one configures with cmake --preset). A folder that exists stays as it is.
configure() {
  export CMAKE_GENERATOR="${CMAKE_GENERATOR:-Ninja}"
  local log preset=$1 options=()
  shift
  # Only at first: what appears later would build everything again.
  if [ ! -e "build/$preset/CMakeCache.txt" ]; then
    options=(-DCMAKE_UNITY_BUILD=ON "$@")
    if [ -z "${CMAKE_CXX_COMPILER_LAUNCHER:-}" ] && command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
  fi
  if ! log=$(cmake --preset "$preset" "${options[@]}" 2>&1); then
    printf '%s\n' "$log" >&2
    fail "cmake could not configure the preset $preset"
  fi
}

# Compilers tell what they read (Ninja asks them to), so that ccache need not preprocess every file before it is compiled.
export CCACHE_DEPEND="${CCACHE_DEPEND:-1}"

cores=$(nproc 2>/dev/null || echo 2)
