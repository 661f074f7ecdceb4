#!/usr/bin/env bash
# Copyright The Fairlead Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command, and says on stderr every 15 seconds that it still runs and for how long.
#
#   progress.sh LABEL COMMAND [ARGUMENT...]
set -uo pipefail

label=$1
shift
began=$SECONDS

# Ends when the other end of its standard input closes, however this script ends. The command itself
# stays in the foreground, so that Ctrl-C reaches it as ever.
tick() {
  until read -rt 15 || (($? <= 128)); do
    printf '%s: %d s\n' "$label" "$((SECONDS - began))" >&2
  done
}
exec 8> >(tick >/dev/null)
ticker=$!

"$@" 8>&-
status=$?
exec 8>&-
wait "$ticker"
if ((status == 0)); then
  printf '%s: done in %d s\n' "$label" "$((SECONDS - began))" >&2
else
  printf '%s: failed after %d s (exit %d)\n' "$label" "$((SECONDS - began))" "$status" >&2
fi
exit "$status"
