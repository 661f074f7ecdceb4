// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

const (
	meshName   = "demo"
	meshIstiod = "istiod-demo-1-31-0"
	demoMesh   = `
version: "1.31"
namespace: istio-demo
members: {namespaceSelector: {matchLabels: {mesh: demo}}, restartWorkloads: true}
`
)

// mesh makes a Mesh.
func (d *demo) mesh(ctx context.Context) error {
	m := &v1alpha1.Mesh{ObjectMeta: metav1.ObjectMeta{Name: meshName}}
	if err := yaml.UnmarshalStrict([]byte(demoMesh), &m.Spec); err != nil {
		return err
	}
	d.say("kind: Mesh, Istio 1.31 for the namespaces with the label mesh=demo")
	start := time.Now()
	if err := client.IgnoreAlreadyExists(d.client.Create(ctx, m)); err != nil {
		return err
	}
	found, err := d.awaitMesh(ctx, func(m *v1alpha1.Mesh) bool { return len(m.Status.Revisions) > 0 })
	if err != nil {
		return err
	}
	istiod := &appsv1.Deployment{}
	if err := d.waitFor(ctx, func(ctx context.Context) (bool, error) {
		err := d.client.Get(ctx, types.NamespacedName{Namespace: string(m.Spec.Namespace), Name: meshIstiod}, istiod)
		return err == nil, client.IgnoreNotFound(err)
	}); err != nil {
		return fmt.Errorf("wait for istiod's Deployment: %w", err)
	}
	d.say("revision %s of Istio %s, with its definitions, roles and webhooks, is there after %s",
		found.Status.Revisions[0].Name, found.Status.DesiredVersion, time.Since(start).Round(100*time.Millisecond))
	d.say("members name it when it injects, and not before; docs/mesh.md has the steps of an upgrade")
	return nil
}

// meshDrift adds to what the Mesh made, which a merge would leave.
func (d *demo) meshDrift(ctx context.Context) error {
	istiod := &appsv1.Deployment{}
	if err := d.client.Get(ctx, types.NamespacedName{Namespace: "istio-demo", Name: meshIstiod}, istiod); err != nil {
		return err
	}
	body := []byte(`[{"op":"add","path":"/spec/template/spec/containers/0/env/-","value":{"name":"PILOT_TRACE_SAMPLING","value":"99"}}]`)
	if err := d.client.Patch(ctx, istiod, client.RawPatch(types.JSONPatchType, body), client.FieldOwner("kubectl-edit")); err != nil {
		return err
	}
	object := "Deployment istio-demo/" + meshIstiod
	ours := func(r v1alpha1.RepairRecord) bool { return r.Object == object }
	found, err := d.awaitMesh(ctx, func(m *v1alpha1.Mesh) bool { return slices.ContainsFunc(m.Status.Repairs, ours) })
	if err != nil {
		return err
	}
	for _, r := range found.Status.Repairs {
		if ours(r) {
			d.say("%s: %s; repaired", object, changeText(r))
		}
	}
	return nil
}

// awaitMesh waits until the mesh is as asked.
func (d *demo) awaitMesh(ctx context.Context, enough func(*v1alpha1.Mesh) bool) (*v1alpha1.Mesh, error) {
	found := &v1alpha1.Mesh{}
	err := d.waitFor(ctx, func(ctx context.Context) (bool, error) {
		err := d.client.Get(ctx, types.NamespacedName{Name: meshName}, found)
		return err == nil && enough(found), err
	})
	if err != nil {
		return nil, fmt.Errorf("mesh %s: %w; its status is %+v", meshName, err, found.Status)
	}
	return found, nil
}

// removeMesh deletes the mesh, waits until what it made is gone, and deletes its namespace, which a mesh leaves.
func (d *demo) removeMesh(ctx context.Context) error {
	m := &v1alpha1.Mesh{ObjectMeta: metav1.ObjectMeta{Name: meshName}}
	if err := client.IgnoreNotFound(d.client.Delete(ctx, m)); err != nil {
		return err
	}
	if err := d.waitFor(ctx, func(ctx context.Context) (bool, error) {
		err := d.client.Get(ctx, client.ObjectKeyFromObject(m), m)
		return client.IgnoreNotFound(err) == nil && err != nil, client.IgnoreNotFound(err)
	}); err != nil {
		return fmt.Errorf("wait until the mesh is gone: %w", err)
	}
	return client.IgnoreNotFound(d.client.Delete(ctx, namespace("istio-demo")))
}
