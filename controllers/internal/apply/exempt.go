// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// exemptions are the fields of a kind that the repair treats apart. Paths are dotted; "[]" stands for
// each element of a list, elements being paired by name, or by port and protocol.
type exemptions struct {
	// ignored fields belong to others; what stands there stays.
	ignored []string
	// firstWins fields are allocated by the server once, then kept, and restored if they are changed.
	firstWins []string
	// scaled is the field that a HorizontalPodAutoscaler owns while one targets the object.
	scaled string
	// locked lists hold fields of the server's beside ours: a patch that replaces one needs the resourceVersion.
	locked []string
	// recreate fields cannot be changed in place; the kind is safe to delete and create.
	recreate []string
	// secret top-level fields are never told in an event, a status or a log.
	secret []string
}

var podOwner = exemptions{
	ignored: []string{
		"spec.template.metadata.annotations.kubectl~kubernetes~io/restartedAt",
		// A mesh restarts what is a member of it, whoever made it.
		"spec.template.metadata.annotations.fleet~fairlead~io/restarted-for",
	},
	scaled: "spec.replicas",
}

var webhooks = exemptions{
	ignored: []string{"webhooks.[].clientConfig.caBundle"},
	locked:  []string{"webhooks"},
}

// exemptionTable is the one place where exemptions are named.
var exemptionTable = map[schema.GroupKind]exemptions{
	{Kind: "ServiceAccount"}: {ignored: []string{"secrets", "imagePullSecrets"}},
	{Kind: "Service"}: {
		firstWins: []string{
			"spec.clusterIP", "spec.clusterIPs", "spec.ipFamilies", "spec.ipFamilyPolicy",
			"spec.healthCheckNodePort", "spec.ports.[].nodePort",
		},
		locked: []string{"spec.ports"},
	},
	{Kind: "Secret"}:        {secret: []string{"data", "stringData"}},
	{Kind: "ResourceQuota"}: {recreate: []string{"spec.scopes", "spec.scopeSelector"}},

	{Group: "apps", Kind: "Deployment"}:  podOwner,
	{Group: "apps", Kind: "StatefulSet"}: podOwner,
	{Group: "apps", Kind: "DaemonSet"}:   {ignored: podOwner.ignored},

	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:        {recreate: []string{"roleRef"}},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: {recreate: []string{"roleRef"}},

	{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}: webhooks,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}: {
		// istiod lets everything pass until it can answer, and nothing from then on.
		ignored: append([]string{"webhooks.[].failurePolicy"}, webhooks.ignored...),
		locked:  webhooks.locked,
	},
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: {
		ignored: []string{"spec.conversion.webhook.clientConfig.caBundle"},
	},
}

// carry makes target agree with live in everything that is not ours: ignored fields, foreign labels,
// annotations and owner references, and the replicas while they are scaled.
func (k Kind) carry(live, target, rendered fields, scaled bool) {
	ex := k.exemptions()
	for _, field := range ex.ignored {
		copyPath(live, target, split(field))
	}
	if scaled && ex.scaled != "" {
		copyPath(live, target, split(ex.scaled))
	}
	carryMetadata(live, target, rendered)
}

// keep fills allocated fields that target leaves open from what was allocated before.
func (k Kind) keep(before, target fields) {
	for _, field := range k.exemptions().firstWins {
		fillPath(before, target, split(field))
	}
}

// carryMetadata keeps of target's labels and annotations only the keys that we render, and adds live's others.
func carryMetadata(live, target, rendered fields) {
	liveMeta, _ := live["metadata"].(fields)
	renderedMeta, _ := rendered["metadata"].(fields)
	meta, _ := target["metadata"].(fields)
	if meta == nil {
		meta = fields{}
	}
	for _, name := range []string{"labels", "annotations"} {
		ours, _ := renderedMeta[name].(fields)
		found, _ := liveMeta[name].(fields)
		want, _ := meta[name].(fields)
		set(meta, name, mergeKeys(found, want, ours))
	}
	if refs := mergeReferences(liveMeta["ownerReferences"], meta["ownerReferences"]); len(refs) > 0 {
		meta["ownerReferences"] = refs
	} else {
		delete(meta, "ownerReferences")
	}
	set(target, "metadata", meta)
}

func set(parent fields, key string, value fields) {
	if len(value) == 0 {
		delete(parent, key)
		return
	}
	parent[key] = value
}

func mergeKeys(found, want, ours fields) fields {
	out := fields{}
	for key, value := range found {
		if _, mine := ours[key]; !mine {
			out[key] = value
		}
	}
	for key := range ours {
		if value, ok := want[key]; ok {
			out[key] = value
		}
	}
	return out
}

// mergeReferences joins foreign owner references of live with our own of target. The order of live is
// kept, so that an order that somebody else chose is no difference.
func mergeReferences(live, target any) []any {
	found, _ := live.([]any)
	want, _ := target.([]any)
	want = slices.DeleteFunc(slices.Clone(want), func(ref any) bool { return !ourReference(ref) })
	var out []any
	for _, ref := range found {
		if !ourReference(ref) {
			out = append(out, ref)
			continue
		}
		if i := slices.IndexFunc(want, func(mine any) bool { return sameReference(mine, ref) }); i >= 0 {
			out = append(out, want[i])
			want = slices.Delete(want, i, i+1)
		}
	}
	return append(out, want...)
}

func ourReference(ref any) bool {
	r, _ := ref.(fields)
	version, _ := r["apiVersion"].(string)
	return strings.HasPrefix(version, v1alpha1.GroupVersion.Group+"/")
}

func sameReference(a, b any) bool {
	left, _ := a.(fields)
	right, _ := b.(fields)
	return left["uid"] == right["uid"]
}

// split cuts a dotted path; "~" stands for a dot within a key.
func split(dotted string) []string {
	parts := strings.Split(dotted, ".")
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], "~", ".")
	}
	return parts
}

// copyPath makes dst equal to src at the path, absence included.
func copyPath(src, dst fields, at []string) {
	if at[0] == "[]" {
		return
	}
	if len(at) == 1 {
		if value, ok := src[at[0]]; ok {
			dst[at[0]] = value
		} else {
			delete(dst, at[0])
		}
		return
	}
	if at[1] == "[]" {
		eachPair(src[at[0]], dst[at[0]], func(from, to fields) { copyPath(from, to, at[2:]) })
		return
	}
	from, _ := src[at[0]].(fields)
	to, ok := dst[at[0]].(fields)
	if !ok {
		if _, there := lookup(from, at[1:]); !there {
			return
		}
		to = fields{}
		dst[at[0]] = to
	}
	copyPath(from, to, at[1:])
	if _, there := src[at[0]]; len(to) == 0 && !there {
		// An annotation map that held nothing but the ignored key goes with it.
		delete(dst, at[0])
	}
}

// fillPath sets dst from src at the path where dst has nothing.
func fillPath(src, dst fields, at []string) {
	if len(at) == 1 {
		if _, ok := dst[at[0]]; !ok {
			if value, there := src[at[0]]; there {
				dst[at[0]] = value
			}
		}
		return
	}
	if at[1] == "[]" {
		eachPair(src[at[0]], dst[at[0]], func(from, to fields) { fillPath(from, to, at[2:]) })
		return
	}
	from, _ := src[at[0]].(fields)
	if to, ok := dst[at[0]].(fields); ok && from != nil {
		fillPath(from, to, at[1:])
	}
}

func lookup(tree fields, at []string) (any, bool) {
	value, ok := tree[at[0]]
	if len(at) == 1 || !ok {
		return value, ok
	}
	inner, _ := value.(fields)
	return lookup(inner, at[1:])
}

func eachPair(src, dst any, do func(from, to fields)) {
	from, _ := src.([]any)
	to, _ := dst.([]any)
	for _, item := range to {
		element, _ := item.(fields)
		if i := slices.IndexFunc(from, func(other any) bool { return sameElement(other, element) }); i >= 0 {
			do(from[i].(fields), element)
		}
	}
}

func sameElement(other any, element fields) bool {
	o, ok := other.(fields)
	if !ok {
		return false
	}
	if name, has := element["name"]; has {
		return o["name"] == name
	}
	return o["port"] == element["port"] && o["protocol"] == element["protocol"]
}
