#!/usr/bin/env bash
# Fetches scikit-learn's 1,797 handwritten digits (8x8 pixels, BSD-3 licence) from its PyPI wheel into data/digits.csv:
# a row a digit, 64 pixels of 0 to 16 and the label. Nothing is installed outside the folder data.
# usage: ./fetch-digits.sh
set -euo pipefail
data=$(cd "$(dirname "$0")" && pwd)/data
if [ -s "$data/digits.csv" ]; then exit 0; fi
say() { printf 'digits: %s\n' "$*" >&2; }

mkdir -p "$data"
work=$(mktemp -d "$data/digits.XXXXXX")
trap 'rm -rf "$work"' EXIT

say "scikit-learn's wheel, from PyPI (9 MB)"
python3 -m venv "$work/venv" || {
    say "python3 with the module venv is needed (Debian: python3-venv)"
    exit 1
}
"$work/venv/bin/pip" download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$work" scikit-learn
"$work/venv/bin/python" - "$work" <<'PYTHON'
import glob, gzip, sys, zipfile

work = sys.argv[1]
wheel, = glob.glob(work + "/scikit_learn-*.whl")
with zipfile.ZipFile(wheel) as archive:
    text = gzip.decompress(archive.read("sklearn/datasets/data/digits.csv.gz"))
with open(work + "/digits.csv", "wb") as file:
    file.write(text)
PYTHON
mv "$work/digits.csv" "$data/digits.csv"
say "$(wc -l <"$data/digits.csv") digits in $data/digits.csv"
