#!/usr/bin/env bash
# Copyright The Fairlead Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Takes Fairlead out of a cluster: first the custom resources, while the operator still runs and removes
# what it made for them; then, when that is gone, the operator and the definitions.
#
#   KUBECTL=kubectl [FORCE=1] [TIMEOUT=300] undeploy.sh KUSTOMIZE
#
# A mesh whose members run proxies does not go, unless it says so itself. With FORCE=1 it does not count on an operator and
# removes what is labelled as made by it itself, meshes in use included. Definitions of Istio's kinds stay while there are
# objects of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kustomize=$1
timeout=${TIMEOUT:-300}
made=limitranges,resourcequotas,deployments,daemonsets,services,configmaps,poddisruptionbudgets,horizontalpodautoscalers,serviceaccounts
made+=,roles,rolebindings,clusterroles,clusterrolebindings,networkpolicies
made+=,validatingadmissionpolicies,validatingadmissionpolicybindings,validatingwebhookconfigurations,mutatingwebhookconfigurations
kinds=(limitpolicies loadbalancers meshes)
label=app.kubernetes.io/managed-by=fairlead
kubectl() { command ${KUBECTL:-kubectl} "$@"; }
exists() { kubectl get crd "$1" >/dev/null 2>&1; }

for kind in gateways.networking.istio.io virtualservices.networking.istio.io peerauthentications.security.istio.io; do
  ! exists "$kind" || made+=,$kind
done

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

# The definitions of Istio's kinds that were made and of which there are no objects.
unused_definitions() {
  local definition objects
  kubectl get crd -l "$label" -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}' | while read -r definition; do
    # It may go meanwhile; and of what cannot be listed, nobody knows that it is not used.
    objects=$(kubectl get "$definition" --all-namespaces -o name --ignore-not-found 2>/dev/null) || continue
    [[ -n $objects ]] || echo "$definition"
  done
}

wait_definitions() {
  local began=$SECONDS unused
  while unused=$(unused_definitions) && [[ -n $unused ]]; do
    if [[ -n ${FORCE:-} ]]; then
      xargs -r -n 20 ${KUBECTL:-kubectl} delete crd --ignore-not-found <<<"$unused"
    elif ((SECONDS - began >= timeout)); then
      printf 'these definitions are not used and still there after %s s:\n%s\n' "$timeout" "$unused" >&2
      return 1
    fi
    sleep 1
  done
  kubectl get crd -l "$label" -o jsonpath='{range .items[*]}{.metadata.name}{" stays: there are objects of it\n"}{end}'
}

for kind in "${kinds[@]}"; do
  exists "$kind.fleet.fairlead.io" || continue
  echo "== removing the $kind"
  if [[ -n ${FORCE:-} ]]; then
    # A finalizer waits for an operator.
    kubectl get "$kind.fleet.fairlead.io" --all-namespaces -o jsonpath='{range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}' |
      while read -r first second; do
        # A kind of cluster scope has no namespace in front.
        kubectl patch "$kind.fleet.fairlead.io" "${second:-$first}" ${second:+-n "$first"} --type=merge -p '{"metadata":{"finalizers":null}}'
      done
  fi
  if ! kubectl delete "$kind.fleet.fairlead.io" --all --all-namespaces --timeout="${timeout}s"; then
    kubectl get "$kind.fleet.fairlead.io" --all-namespaces \
      -o jsonpath='{range .items[*]}{.kind} {.metadata.name}: {.status.conditions[?(@.type=="Ready")].message}{"\n"}{end}' >&2
    exit 1
  fi
done
echo "== waiting for what they made to go"
if [[ -n ${FORCE:-} ]]; then
  kubectl delete "$made" --all-namespaces -l "$label" --timeout="${timeout}s"
  kubectl label namespaces -l fleet.fairlead.io/mesh,fleet.fairlead.io/mesh-revision istio.io/dataplane-mode- fleet.fairlead.io/mesh-revision- fleet.fairlead.io/mesh-
  kubectl label namespaces -l fleet.fairlead.io/mesh istio.io/rev- fleet.fairlead.io/mesh-
fi
wait_gone
wait_definitions
echo "== removing the operator and its definitions"
"$kustomize" build config/default | kubectl delete --ignore-not-found -f -
