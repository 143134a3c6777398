#!/usr/bin/env bash
# From a bare Debian 12 or 13 to a running tnode: installs what is missing, builds, tests, shows.
# Works from any folder, as root or with sudo. Changes nothing outside build/ but the packages that it names before installing them.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

build_packages=(
  cmake ninja-build g++ ccache pkg-config git
  libtorrent-rasterbar-dev libboost-dev libssl-dev libsqlite3-dev libyaml-cpp-dev
  libseccomp-dev libcli11-dev nlohmann-json3-dev libfmt-dev
  musl-tools  # for the first process of a sandbox, which starts faster with it
  catch2      # the tests are part of the build; TNODE_TESTS=OFF by hand leaves them out
  bubblewrap  # what runs strangers' tasks
  python3     # what the examples are written in: `runtime: host` tasks find it in /usr
)
# Stock BitTorrent clients that the tests talk to, and what makes networks for them.
test_packages=(aria2 transmission-cli python3-libtorrent iproute2)

usage() {
  cat <<'HELP'
usage: ./bootstrap.sh COMMAND

  build         install what is missing, build build/tnode
  test          the same, then run every test
  bench [NAME]  the same as build, then measure; NAME is one of scripts/bench/, without it all run, one after the other:
                sandbox (how fast programs start), ledger (credits), main_job (a task on three nodes), cpu_share (a farmer beside its owner)
  demo          the same as build, then render a short animation on three farmers of this machine
  help          this text

Packages are installed by apt-get, as root or by sudo, and only those that are missing.
TNODE_SKIP_PACKAGES=1 installs nothing: for systems where the libraries come from elsewhere.
HELP
}

say() { printf 'bootstrap: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# Prints the given packages that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
  [ "${TNODE_SKIP_PACKAGES:-}" != 1 ] || return 0
  local id='' version='' missing
  if [ -r /etc/os-release ]; then
    id="$(. /etc/os-release && printf %s "${ID:-}")"
    version="$(. /etc/os-release && printf %s "${VERSION_ID:-}")"
  fi
  [ "$id" = debian ] || die "this is ${id:-an unknown system}, not Debian. Install by hand: ${*}. Then run with TNODE_SKIP_PACKAGES=1."
  case "$version" in
    12 | 13) ;;
    *) say "Debian ${version:-testing} is not among the tested ones (12, 13); going on" ;;
  esac
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0

  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    die "these packages are missing, and neither root nor sudo is at hand to install them. As root: apt-get install ${missing[*]}"
  fi
  say "installing ${missing[*]}"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  as_root "${apt[@]}" -o APT::Update::Error-Mode=any update ||
    die "apt-get update failed: check the network and /etc/apt/sources.list, then run this again"
  as_root "${apt[@]}" -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${missing[@]}" >&2 ||
    die "apt-get could not install ${missing[*]}: its own words are above"
}

build() {
  # A build folder that was made for another place cannot be configured again.
  local cache="$root/build/CMakeCache.txt"
  if [ -f "$cache" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$cache"; then
    say "build/ was configured elsewhere; making it anew"
    rm -rf "$root/build"
  fi
  # CMake and ninja tell much when nothing is wrong; their words are only wanted when something is.
  local words
  words="$(cd "$root" && cmake --preset release 2>&1)" || die "CMake could not configure the build:
$words"
  say "building in $root/build"
  ninja -C "$root/build" --quiet >&2 || die "the build failed: the first error is above"
}

# What each is told to measure.
bench() {
  local what="$root/build/tnode"
  case "$1" in
    sandbox) what="$root/build" ;;
    ledger) what="$root/build/tests/ledger_bench" ;;
  esac
  say "scripts/bench/$1.py"
  /usr/bin/python3 "$root/scripts/bench/$1.py" "$what"
}

case "${1:-help}" in
  build)
    install_packages "${build_packages[@]}"
    build
    say "built $root/build/tnode"
    ;;
  test)
    install_packages "${build_packages[@]}" "${test_packages[@]}"
    build
    cd "$root/build"
    exec ctest --output-on-failure --no-tests=error --parallel "$(nproc)"
    ;;
  bench)
    benches=(sandbox ledger main_job cpu_share)
    [ "$#" -lt 2 ] || benches=("${@:2}")
    for name in "${benches[@]}"; do
      [ -f "$root/scripts/bench/$name.py" ] || die "there is no bench '$name'; there are: $(cd "$root/scripts/bench" && printf '%s ' *.py | sed 's/\.py//g')"
    done
    install_packages "${build_packages[@]}" crun  # to compare with
    build
    status=0
    for name in "${benches[@]}"; do bench "$name" || status=$?; done
    exit "$status"
    ;;
  demo)
    install_packages "${build_packages[@]}"
    build
    exec "$root/build/tnode" devnet 3 "$root/examples/render/task.yaml"
    ;;
  help | -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
