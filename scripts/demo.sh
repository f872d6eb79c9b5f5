#!/usr/bin/env bash
# From real text to a trained language model: what `make demo` does after it has built martlet.
# Text and tokens go to data/, the run to runs/demo. What is there already is used again; an unfinished run is resumed.
set -euo pipefail
cd "$(dirname "$0")/.."
martlet=.build/release/martlet
run=runs/demo
step() { printf '\n== %s\n' "$*"; }
shown() {
    printf '$ %s\n' "$*" >&2
    "$@"
}

step "Text"
scripts/fetch-text.sh data/text

step "Tokenizer: 4096 pieces of SentencePiece"
[ -e data/tokenizer.model ] ||
    shown $martlet tokenizer train --input data/text/train --vocabulary 4096 --output data/tokenizer.model
$martlet tokenizer encode --tokenizer data/tokenizer.model --pieces "To be, or not to be: that is the question."

step "Token files"
[ -e data/train.tokens ] || shown $martlet data prepare --tokenizer data/tokenizer.model --output data data/text/train
[ -e data/heldout/train.tokens ] ||
    shown $martlet data prepare --tokenizer data/tokenizer.model --output data/heldout data/text/heldout

step "Training"
if [ -e $run/checkpoints ]; then
    echo "$run holds a run: going on with it (remove $run to begin again)"
fi
shown $martlet train recipes/demo.yaml --resume

step "Held-out works (never trained on): $(cd data/text/heldout && echo *)"
cat data/text/heldout/* >data/heldout.txt
cat data/text/train/* >data/train.txt
shown $martlet evaluate --checkpoint $run --data data/text/heldout --sequence-length 256 --stride 128 | tee data/heldout.json
# xz -9e has a window of 64 MiB, so that all of the training text can serve as a dictionary.
text=$(wc -c <data/heldout.txt)
alone=$(xz -9e -T1 -c data/heldout.txt | wc -c)
prefix=$(xz -9e -T1 -c data/train.txt | wc -c)
both=$(cat data/train.txt data/heldout.txt | xz -9e -T1 -c | wc -c)
rm data/train.txt data/heldout.txt
python3 - "$text" "$alone" "$((both - prefix))" <<'PY'
import json, sys
text, alone, prefix = map(int, sys.argv[1:])
ours = json.load(open("data/heldout.json"))["bitsPerByte"]
print(f"""
bits per byte of {text:,} bytes of held-out text
  this model                                {ours:6.3f}
  xz -9e                                    {alone * 8 / text:6.3f}
  xz -9e, the training text as dictionary   {prefix * 8 / text:6.3f}""")
PY

step "Samples"
for prompt in "ROMEO." "Enter the King" "And it came to pass"; do
    shown $martlet generate --checkpoint $run --prompt "$prompt" --max-tokens 120 --temperature 0.8 --top-p 0.95 --seed 1
    echo
done

python3 - <<'PY'
import json
metrics = [json.loads(line) for line in open("runs/demo/metrics.jsonl")]
seconds = sum(json.loads(line)["seconds"] for line in open("runs/demo/timings.jsonl"))
last = metrics[-1]
ours = json.load(open("data/heldout.json"))["bitsPerByte"]
print(f"""
== Done
{last["step"]} steps and {last["tokens"]:,} tokens in {seconds / 60:.1f} minutes of training;
training loss {last["loss"]:.3f} nats a token, held-out works {ours:.3f} bits a byte.

In runs/demo: checkpoints/, metrics.jsonl, tensorboard/, loss.svg. What to type next:
  .build/release/martlet generate --checkpoint runs/demo --prompt "Enter HAMLET" --temperature 0.8
  .build/release/martlet train recipes/demo.yaml --set minutes=60 --set output=runs/longer
  .build/release/martlet info runs/demo
  .build/release/martlet --help""")
PY
