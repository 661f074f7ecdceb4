#!/usr/bin/env bash
# Copyright The Fairlead Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Regenerates everything that is generated, and fails where that changes a file. It compares with the
# files as they were, so that it tells the same in a work tree with other changes as in a clean one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

generated=(api config/crd/bases docs/reference)
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
failed=0

step() { printf '== %s\n' "$*" >&2; }

for path in "${generated[@]}"; do
  mkdir -p "$before/$path"
  [[ ! -d $path ]] || cp -a "$path/." "$before/$path/"
done

step "generating deep copies, custom resource definitions and docs/reference/api.md"
make generate manifests docs
for path in "${generated[@]}"; do
  diff -ruN "$before/$path" "$path" || failed=1
done
((failed == 0)) || echo "The files above were out of date; they are regenerated now: commit them." >&2

step "go.mod is tidy"
if ! go mod tidy -diff; then
  echo "go.mod or go.sum is not tidy: run go mod tidy" >&2
  failed=1
fi

step "the manifests build"
for dir in crd default manifests network-policy prometheus rbac samples scorecard; do
  bin/kustomize build "config/$dir" >/dev/null || failed=1
done

step "Go files are formatted"
unformatted=$(gofmt -l agent api cmd controllers hack main.go main_test.go model test)
if [[ -n $unformatted ]]; then
  printf 'not formatted; run make fmt:\n%s\n' "$unformatted" >&2
  failed=1
fi

((failed == 0)) && step "all is up to date"
exit "$failed"
