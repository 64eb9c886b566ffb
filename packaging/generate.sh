#!/usr/bin/env bash
# Writes what a package needs and the program makes itself: completions and manual pages.
#
#     packaging/generate.sh PROGRAM FOLDER
set -euo pipefail

program=$1 folder=$2
mkdir -p "$folder/completions"
"$program" completions bash >"$folder/completions/clawhost"
"$program" completions zsh >"$folder/completions/_clawhost"
"$program" completions fish >"$folder/completions/clawhost.fish"
rm -rf "$folder/man"
"$program" man --dir "$folder/man"
