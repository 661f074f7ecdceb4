// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"math"
	"slices"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/model"
)

const (
	// maxWeight is the most that HAProxy knows.
	maxWeight = 256
	// fullWeight is that of servers with equal shares. It is not 1 because consistent hashes place a server by its weight
	// times 16 points, and a slow start climbs in as many steps.
	fullWeight = 64
	// shareError is how far a share in a group may be off.
	shareError = 0.005
)

// scaleWeights gives HAProxy's weights for shares: equal for equal ones, 0 only for 0, at most maxWeight.
func scaleWeights(weights []int32) []int {
	out := make([]int, len(weights))
	if len(weights) == 0 {
		return out
	}
	most := slices.Max(weights)
	for i, weight := range weights {
		switch {
		case weight <= 0:
		case most <= fullWeight:
			out[i] = int(weight) * (fullWeight / int(most))
		case most <= maxWeight:
			out[i] = int(weight)
		default:
			out[i] = max(1, int(math.Round(float64(weight)*maxWeight/float64(most))))
		}
	}
	return out
}

// sharesFit reports whether scaleWeights keeps every share within shareError.
func sharesFit(weights []int32) bool {
	scaled := scaleWeights(weights)
	var sum, scaledSum float64
	for i := range weights {
		sum += float64(weights[i])
		scaledSum += float64(scaled[i])
	}
	if sum == 0 {
		return true
	}
	for i := range weights {
		if math.Abs(float64(weights[i])/sum-float64(scaled[i])/scaledSum) > shareError {
			return false
		}
	}
	return true
}

// balance writes how a backend picks a server. The hashes are consistent, which is also what lets servers come and go at
// run time. Random draws once: HAProxy's own default of two draws takes the less loaded one, and so no longer keeps to weights.
func (b *builder) balance(w *config.Writer, t *target) {
	switch t.algorithm {
	case model.LeastConnections:
		w.Line("balance leastconn")
	case model.Random:
		w.Line("balance random(1)")
	case model.SourceHash:
		w.Line("balance source")
	case model.URIHash:
		// Only the path: HTTP/1.1 and HTTP/2 write the rest of a URI in different ways.
		w.Line("balance uri path-only")
	case model.HeaderHash:
		w.Line("balance", config.Raw("hdr("+t.pool.HashHeader+")"))
	default:
		w.Line("balance roundrobin")
	}
	if t.hashes() {
		w.Line("hash-type consistent sdbm avalanche")
	}
}

// hashes reports whether the same client, path or header shall get the same member.
func (t *target) hashes() bool {
	return t.algorithm == model.SourceHash || t.algorithm == model.URIHash || t.algorithm == model.HeaderHash
}

// algorithm is that of the pool, or RoundRobin where it cannot be: what a stream has not, it cannot be balanced by.
func (b *builder) algorithm(pool *model.Pool, tcp bool) model.Algorithm {
	field := "pools[" + pool.Name + "].algorithm"
	switch {
	case tcp && (pool.Algorithm == model.URIHash || pool.Algorithm == model.HeaderHash):
		b.refuse(field, "NeedsHTTP", "a TCP or TLS listener uses the pool, and its streams have no path or headers; they are balanced by RoundRobin")
	case pool.Algorithm == model.HeaderHash && !isToken(pool.HashHeader):
		b.refuse("pools["+pool.Name+"].hashHeader", "InvalidName", "the name of a header has letters, digits, - and _ only; the pool is balanced by RoundRobin")
	default:
		return pool.Algorithm
	}
	return model.RoundRobin
}

// isToken reports whether a value can be the name of a header or cookie, here. The letters that HTTP allows beyond these
// are in nobody's names, and some of them mean something to HAProxy within parentheses.
func isToken(name string) bool {
	if name == "" || len(name) > 256 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
