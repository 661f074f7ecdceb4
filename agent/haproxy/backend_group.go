// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	"github.com/fairlead/fairlead/model"
)

// group is what one backend of a pool balances among: the endpoints of one Service, or addresses. A request picks a group
// by weight first (see split), then HAProxy picks the server within, so a member's share does not depend on how many
// endpoints it has.
type group struct {
	// name is the last part of the backend's name where the pool has several groups.
	name string
	// id stays the same for the same members whatever stands beside them; it is what clients' cookies hold.
	id uint32
	// level is 0 for the highest priority, 1 for the next.
	level int
	// members are indexes in the pool.
	members []int
	// weight is the sum of those of the members that take new requests.
	weight int64
}

// cookieValue is the group in cookies, maps and tables.
func (g *group) cookieValue() string { return strconv.FormatUint(uint64(g.id), 10) }

// groups divides a pool, in the order of its members. A pool without members has one group without any.
//
// A Service is a group of its own. Addresses of one priority share one, so that least connections and hashes work across
// them; only if HAProxy's weights (0 to 256) cannot give their shares within half a percent does each stand alone.
func groups(pool *model.Pool, drain model.Drain) []group {
	levels := priorities(pool)
	var out []group
	shared := map[int]int{}
	alone := map[int]bool{}
	for level, priority := range levels {
		alone[level] = !sharesFit(addressWeights(pool, priority))
	}
	for i, member := range pool.Members {
		level := slices.Index(levels, member.Priority)
		weight := int64(member.Weight)
		if member.Drain || member.Address != nil && drains(drain, member.Address.Host) {
			weight = 0
		}
		if at, ok := shared[level]; ok && member.Address != nil && !alone[level] {
			out[at].members = append(out[at].members, i)
			out[at].weight += weight
			continue
		}
		one := group{level: level, members: []int{i}, weight: weight}
		switch {
		case member.Service != nil:
			one.name = member.Service.Name
			one.id = groupID(member.Service.Namespace, member.Service.Name, member.Service.PortName, strconv.Itoa(int(member.Service.Port)))
		case alone[level]:
			one.name = "address"
			one.id = groupID(member.Address.Host, strconv.Itoa(int(member.Address.Port)))
		default:
			shared[level] = len(out)
			one.name = "addresses"
			one.id = groupID(strconv.Itoa(int(member.Priority)))
		}
		out = append(out, one)
	}
	if len(out) == 0 {
		return []group{{name: "addresses", id: groupID("0")}}
	}
	distinguish(out)
	return out
}

// distinguish makes ids and names distinct. The number 0 is no id: it is what an empty table entry holds.
func distinguish(all []group) {
	ids := map[uint32]bool{0: true}
	count := map[string]int{}
	for i := range all {
		for ids[all[i].id] {
			all[i].id++
		}
		ids[all[i].id] = true
		count[all[i].name]++
	}
	for i := range all {
		if count[all[i].name] > 1 {
			all[i].name = fmt.Sprintf("%s-%08x", all[i].name, all[i].id)
		}
	}
}

func groupID(words ...string) uint32 {
	hash := fnv.New32a()
	for _, word := range words {
		// A hash takes every write.
		_, _ = fmt.Fprintf(hash, "%q", word)
	}
	return hash.Sum32()
}

// priorities are those of the members, the highest first.
func priorities(pool *model.Pool) []int32 {
	var out []int32
	for _, member := range pool.Members {
		out = append(out, member.Priority)
	}
	slices.SortFunc(out, func(a, b int32) int { return cmp.Compare(b, a) })
	return slices.Compact(out)
}

func addressWeights(pool *model.Pool, priority int32) []int32 {
	var out []int32
	for _, member := range pool.Members {
		if member.Address != nil && member.Priority == priority {
			out = append(out, member.Weight)
		}
	}
	return out
}
