#!/bin/sh
# Builds the agent in Go to .cache/agents/roaming-go (or the path given) and prints where it is.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
out=${1:-$root/.cache/agents/roaming-go}
mkdir -p "$(dirname -- "$out")"
cd "$root/agents/roaming-go"
# -mod=readonly: the versions are those of go.mod and go.sum, and nothing else.
go build -mod=readonly -trimpath -o "$out" .
echo "$out"
