#!/bin/sh
# Many prompts over one load: a line of JSON per prompt, each with its own sampling; interrupted, it goes on where it was.
# examples/batch.sh [MODEL]
set -eu
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

cat > "$folder/prompts.jsonl" <<'END'
{"prompt": "Name a primary colour.", "temp": 0, "max_tokens": 8}
{"prompt": "Name a planet.", "temp": 0, "max_tokens": 8}
A plain line is a prompt too: name an animal.
END
localrun "${1:-smollm2-135m}" --max-tokens 8 --batch "$folder/prompts.jsonl" --out "$folder/answers.jsonl"
cat "$folder/answers.jsonl"
