#!/usr/bin/env bash
# Copyright The Fairlead Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests in test/e2e on the cluster that node.sh gives.
#
#   node.sh e2e.sh [FLAG OF GO TEST ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(./test/e2e)
if [[ -n ${FAIRLEAD_E2E_CLUSTER:-} ]]; then
  # The life of a cluster is tested with another one beside this one.
  packages+=(./test/cluster)
fi
hack/progress.sh "end-to-end tests" go test -tags e2e -count=1 -v -p 2 -timeout 60m "$@" "${packages[@]}"
