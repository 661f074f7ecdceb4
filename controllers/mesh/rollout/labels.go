// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

// label says what each namespace has to name now.
func (m *machine) label(v *view) {
	var batch []*Namespace
	for i := range m.namespaces {
		ns := &m.namespaces[i]
		if !ns.Member {
			if Owns(m.spec.Mesh, ns.Revision) {
				v.labels[ns.Name] = ""
			}
			continue
		}
		v.labels[ns.Name] = m.stay(ns)
		if m.size(ns) > 0 {
			v.sized++
		}
		switch {
		case ns.Revision != m.progress.Target.Revision:
			v.unmoved++
			if _, ok := m.progress.known(ns.Revision); ok {
				batch = append(batch, ns)
			}
		case m.size(ns) > 0:
			v.moved++
		}
	}
	m.move(v, batch)
}

// stay is what a namespace names as long as it does not move. A revision that is not ours, or none, becomes the one
// that all newcomers get, as soon as that injects.
func (m *machine) stay(ns *Namespace) string {
	p := &m.progress
	if _, ok := p.known(ns.Revision); ok {
		return ns.Revision
	}
	base := p.Good
	if p.Phase == Moving {
		base = p.Target
	}
	if m.revisions[base.Revision].serves() {
		return base.Revision
	}
	return ns.Revision
}

// move takes the next batch to the target, when the last one is through. The way back is for all at once: nothing
// restarts by a label.
func (m *machine) move(v *view, behind []*Namespace) {
	p := &m.progress
	switch p.Phase {
	case Installing, Held:
		return
	case RollingBack:
		if m.fit(p.Target) {
			for _, ns := range behind {
				v.labels[ns.Name] = p.Target.Revision
			}
		}
		return
	}
	if !m.fit(p.Target) {
		return
	}
	room := m.spec.batch()
	for _, ns := range behind {
		switch {
		case v.urgent[ns.Name]:
		case v.inFlight():
			continue
		case m.size(ns) > 0:
			if room == 0 {
				continue
			}
			room--
		}
		v.labels[ns.Name] = p.Target.Revision
	}
}

// size is what there is to be careful about in a namespace.
func (m *machine) size(ns *Namespace) int {
	if ns.Contradiction != "" {
		return 0
	}
	return len(ns.Workloads)
}

// batches tells how far the members are.
func (m *machine) batches(d *Decision, v *view) {
	if p := m.progress.Phase; p != Moving && p != RollingBack {
		return
	}
	size := m.spec.batch()
	d.Batch, d.Batches = (v.moved+size-1)/size, (v.sized+size-1)/size
}
