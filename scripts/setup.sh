#!/usr/bin/env bash
# Installs what building Martlet needs and this machine lacks. Says what it does; does nothing that is done already.
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }

packages=()
need() { # COMMAND-OR-FILE PACKAGE
    if [ -e "$1" ] || command -v "$1" >/dev/null 2>&1; then return; fi
    packages+=("$2")
}
need /usr/include/oneapi/dnnl/dnnl.h libdnnl-dev
need /usr/include/sentencepiece_processor.h libsentencepiece-dev
need python3 python3
need xz xz-utils
need git git
need curl curl
# Swift on Linux links with gcc's start files and C++ library.
need g++ g++
need pkg-config pkg-config
python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || packages+=(python3-venv)

if [ ${#packages[@]} -gt 0 ]; then
    sudo=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || {
            say "these packages are needed: ${packages[*]}. Install them as root, or install sudo, and run this again."
            exit 1
        }
        sudo="sudo"
    fi
    say "installing ${packages[*]}"
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${packages[@]}" >/dev/null
fi

# A Swift toolchain: 6.2 or newer on the path, one that was put into .toolchain before, or swift.org's.
swift_version() { "$1" --version 2>/dev/null | sed -nE 's/.*Swift version ([0-9]+)\.([0-9]+).*/\1 \2/p' | head -1; }
recent() { [ $# -eq 2 ] && { [ "$1" -gt 6 ] || { [ "$1" -eq 6 ] && [ "$2" -ge 2 ]; }; }; }

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck disable=SC2046
if command -v swift >/dev/null 2>&1 && recent $(swift_version swift); then
    exit 0
fi
if [ -x "$root/.toolchain/usr/bin/swift" ]; then exit 0; fi
version=6.3.1
case "$(uname -m)" in
x86_64) platform=debian12 ;;
aarch64) platform=debian12-aarch64 ;;
*)
    say "no Swift toolchain is known for $(uname -m): install Swift 6.2 or newer and run this again"
    exit 1
    ;;
esac
url="https://download.swift.org/swift-$version-release/${platform/-/}/swift-$version-RELEASE/swift-$version-RELEASE-$platform.tar.gz"
case "$platform" in debian12-aarch64) url="${url/debian12aarch64/debian12-aarch64}" ;; esac
say "no Swift 6.2 or newer on the path: fetching Swift $version (about 900 MB) into .toolchain"
rm -rf "$root/.toolchain.part"
mkdir -p "$root/.toolchain.part"
if ! curl -fsSL "$url" | tar -xz --strip-components=1 -C "$root/.toolchain.part"; then
    rm -rf "$root/.toolchain.part"
    say "could not fetch $url. Install Swift 6.2 or newer (swift.org/install/linux) and run this again."
    exit 1
fi
mv "$root/.toolchain.part" "$root/.toolchain"
