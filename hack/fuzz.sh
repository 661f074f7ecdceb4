#!/usr/bin/env bash
# Copyright The Fairlead Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Finds every fuzz target of some modules and runs each for a time.
#
#   fuzz.sh TIME MODULE...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fuzztime=$1
shift
targets=()
for module; do
  prune=()
  # The files of a nested module are not those of the module around it.
  while read -r nested; do
    prune+=(-path "$(dirname "$nested")" -prune -o)
  done < <(find "$module" -mindepth 2 -name go.mod)
  while IFS=: read -r file _ function; do
    function=${function#func }
    targets+=("$module $(dirname "${file#"$module/"}") ${function%%(*}")
  done < <(find "$module" "${prune[@]}" -name '*_test.go' -exec grep -nE '^func Fuzz[A-Z_0-9][A-Za-z0-9_]*\(' /dev/null {} + | sort)
done

number=0
failed=()
for target in "${targets[@]}"; do
  read -r module package function <<<"$target"
  number=$((number + 1))
  echo "== [$number/${#targets[@]}] $function in $module/$package for $fuzztime"
  hack/progress.sh "$function" go -C "$module" test -run '^$' -fuzz "^$function\$" -fuzztime "$fuzztime" "./$package" || failed+=("$function")
done
if ((${#failed[@]} > 0)); then
  echo "failed: ${failed[*]}; an input that made one fail is kept in testdata/fuzz beside it" >&2
  exit 1
fi
echo "${#targets[@]} fuzz targets found nothing"
