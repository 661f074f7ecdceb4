#!/usr/bin/env bash
# Copyright The Fairlead Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Takes Fairlead out of a cluster: first the custom resources, while the operator still runs and removes
# what it made for them; then, when that is gone, the operator and the definitions.
#
#   KUBECTL=kubectl [FORCE=1] [TIMEOUT=300] undeploy.sh KUSTOMIZE
#
# With FORCE=1 it does not count on an operator and removes what is labelled as made by it itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kustomize=$1
timeout=${TIMEOUT:-300}
made=limitranges,resourcequotas,deployments,services,configmaps,poddisruptionbudgets,horizontalpodautoscalers,serviceaccounts,rolebindings,networkpolicies
kinds=(limitpolicies loadbalancers)
label=app.kubernetes.io/managed-by=fairlead
kubectl() { command ${KUBECTL:-kubectl} "$@"; }

remaining() { kubectl get "$made" --all-namespaces -l "$label" -o name | wc -l; }

# Waits for the deletions themselves in slices, between which it says how far it is.
wait_gone() {
  local began=$SECONDS left
  while left=$(remaining) && ((left > 0)); do
    if ((SECONDS - began >= timeout)); then
      echo "$left objects of the operator are still there after $timeout s:" >&2
      kubectl get "$made" --all-namespaces -l "$label" | head -20 >&2
      echo "If no operator runs any more, \"make undeploy FORCE=1\" removes them itself." >&2
      return 1
    fi
    echo "$left objects left after $((SECONDS - began)) s"
    kubectl wait --for=delete "$made" --all-namespaces -l "$label" --timeout=5s >/dev/null 2>&1 || true
  done
}

for kind in "${kinds[@]}"; do
  kubectl get crd "$kind.fleet.fairlead.io" >/dev/null 2>&1 || continue
  echo "== removing the $kind"
  if [[ -n ${FORCE:-} ]]; then
    # A finalizer waits for an operator.
    kubectl get "$kind.fleet.fairlead.io" --all-namespaces -o jsonpath='{range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}' |
      while read -r first second; do
        # A kind of cluster scope has no namespace in front.
        kubectl patch "$kind.fleet.fairlead.io" "${second:-$first}" ${second:+-n "$first"} --type=merge -p '{"metadata":{"finalizers":null}}'
      done
  fi
  kubectl delete "$kind.fleet.fairlead.io" --all --all-namespaces --timeout="${timeout}s"
done
echo "== waiting for what they made to go"
if [[ -n ${FORCE:-} ]]; then
  kubectl delete "$made" --all-namespaces -l "$label" --timeout="${timeout}s"
fi
wait_gone
echo "== removing the operator and its definitions"
"$kustomize" build config/default | kubectl delete --ignore-not-found -f -
