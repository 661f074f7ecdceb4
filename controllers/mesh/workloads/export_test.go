// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

// Seen is the version of a pod or a workload in the cache.
func (c *Cache) Seen(kind, key string) string {
	i := map[string]*informer{"Pod": c.pods, "Deployment": c.deployments}[kind]
	if found, ok, _ := i.shared.GetStore().GetByKey(key); ok {
		return found.(entity).GetObjectMeta().GetResourceVersion()
	}
	return ""
}
