// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

// Seen is the version of a workload in the cache.
func (c *Cache) Seen(kind, key string) string {
	for _, i := range []*informer{c.deployments, c.statefulSets, c.daemonSets} {
		if found, ok, _ := i.shared.GetStore().GetByKey(key); ok && found.(*workload).kind == kind {
			return found.(*workload).version
		}
	}
	return ""
}
