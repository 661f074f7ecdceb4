// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// requestTimeout is the default of Config.RequestTimeout.
const requestTimeout = 15 * time.Second

// writeOption changes how a write is sent.
type writeOption int

const (
	// dryRun asks what the answer would be.
	dryRun writeOption = 1 << iota
	// locked refuses the write if the object is no longer the version it was computed from.
	locked
)

func (o writeOption) dryRun() []string {
	if o&dryRun != 0 {
		return []string{metav1.DryRunAll}
	}
	return nil
}

func (e *Engine) resource(kind Kind, ref Ref) dynamic.ResourceInterface {
	resource := e.client.Resource(kind.gvr())
	if ref.Namespace == "" {
		return resource
	}
	return resource.Namespace(ref.Namespace)
}

func (e *Engine) get(ctx context.Context, kind Kind, ref Ref) (*Object, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	return answer(e.resource(kind, ref).Get(ctx, ref.Name, metav1.GetOptions{}))
}

// create makes the object from its fields; generated gives it a name of its own, for dry runs beside an existing one.
func (e *Engine) create(ctx context.Context, kind Kind, ref Ref, tree fields, generated bool) (*Object, error) {
	body := &unstructured.Unstructured{Object: cloneFields(tree)}
	body.SetGroupVersionKind(kind.GVK)
	body.SetNamespace(ref.Namespace)
	options := metav1.CreateOptions{FieldManager: v1alpha1.ManagedBy}
	if generated {
		body.SetGenerateName(ref.Name + "-")
		options.DryRun = dryRun.dryRun()
	} else {
		body.SetName(ref.Name)
	}
	logWrite(ctx, "create", ref, generated)
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	return answer(e.resource(kind, ref).Create(ctx, body, options))
}

// patch sends a merge patch that holds only for the object with live's UID. The error is a conflict where
// the object of that name is another one.
func (e *Engine) patch(ctx context.Context, kind Kind, ref Ref, live *Object, patch fields, how writeOption) (*Object, error) {
	body := cloneFields(patch)
	meta, ok := body["metadata"].(fields)
	if !ok {
		meta = fields{}
		body["metadata"] = meta
	}
	meta["uid"] = string(live.UID)
	if how&locked != 0 {
		meta["resourceVersion"] = live.ResourceVersion
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	logWrite(ctx, "patch", ref, how&dryRun != 0)
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	got, err := answer(e.resource(kind, ref).Patch(ctx, ref.Name, types.MergePatchType, text,
		metav1.PatchOptions{FieldManager: v1alpha1.ManagedBy, DryRun: how.dryRun()}))
	if otherUID(err) {
		return nil, apierrors.NewConflict(kind.gvr().GroupResource(), ref.Name, err)
	}
	return got, err
}

// otherUID reports whether the API server refused a patch because of its UID. Unlike a PUT's, a patch's UID
// is no precondition to it but a field that cannot be changed.
func otherUID(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	return slices.ContainsFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool { return c.Field == "metadata.uid" })
}

// remove deletes the very object that live is.
func (e *Engine) remove(ctx context.Context, kind Kind, ref Ref, live *Object) error {
	background := metav1.DeletePropagationBackground
	logWrite(ctx, "delete", ref, false)
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	return e.resource(kind, ref).Delete(ctx, ref.Name, metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &live.UID},
		PropagationPolicy: &background,
	})
}

// logWrite tells of a request for who debugs; what it holds may be secret.
func logWrite(ctx context.Context, verb string, ref Ref, dry bool) {
	if logger := log.FromContext(ctx).V(1); logger.Enabled() {
		logger.Info("write", "verb", verb, "kind", ref.Kind, "namespace", ref.Namespace, "name", ref.Name, "dryRun", dry)
	}
}

func answer(u *unstructured.Unstructured, err error) (*Object, error) {
	if err != nil {
		return nil, err
	}
	return compact(u)
}
