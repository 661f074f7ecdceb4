// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// State is what an operator wants of a server.
type State string

// States of SetState.
const (
	// Ready ends maintenance and drain.
	Ready State = "ready"
	// Drain gives the server nothing new but what persistence sends there.
	Drain State = "drain"
	// Maint gives it nothing and stops its checks.
	Maint State = "maint"
)

// MaxWeight is HAProxy's limit.
const MaxWeight = 256

// AddServer adds a server, which starts in maintenance and with its checks off: follow it by EnableHealth, if params
// has "check", and SetState(Ready). addr is IP:port, [IPv6]:port or unix@/path. params are keywords and their values,
// one word each; the package comment says which. Nothing is inherited from default-server, and a reload forgets
// the server. ErrExists if the name is taken, ErrNotFound if there is no such backend.
func AddServer(backend, name, addr string, params ...string) Command {
	const what = "add server"
	id, err := qualified(backend, name)
	if err != nil {
		return failed(what, err)
	}
	// HAProxy would take a name, and never resolve it.
	if _, err := netip.ParseAddrPort(addr); err != nil && !strings.HasPrefix(addr, "unix@/") {
		return failed(what, fmt.Errorf("%w: %q is not IP:port", ErrValue, addr))
	}
	return command(what, says("New server registered."), slices.Concat([]string{id, addr}, params)...)
}

// DelServer removes a server in maintenance that has no connections left, ErrBusy otherwise. Servers of the configuration
// can go too, unless rules or tracking name them.
func DelServer(backend, name string) Command {
	return ofServer("del server", says("Server deleted."), backend, name)
}

// SetState changes what an operator wants of a server.
func SetState(backend, name string, state State) Command {
	return ofServer("set server", nil, backend, name, "state", string(state))
}

// SetWeight sets the weight, 0 to MaxWeight. 0 gives the server nothing new but what persistence sends there.
func SetWeight(backend, name string, weight int) Command {
	return ofServer("set server", nil, backend, name, "weight", strconv.Itoa(weight))
}

// SetAddr changes the address, for new connections.
func SetAddr(backend, name string, addr netip.AddrPort) Command {
	ok := func(answer string) bool {
		return strings.Contains(answer, " changed from ") || strings.Contains(answer, "no need to change")
	}
	return ofServer("set server", ok, backend, name, "addr", addr.Addr().String(), "port", strconv.Itoa(int(addr.Port())))
}

// EnableHealth starts the health checks of a server that has "check".
func EnableHealth(backend, name string) Command {
	return ofServer("enable health", nil, backend, name)
}

// DisableHealth stops them; the server keeps the state that they left.
func DisableHealth(backend, name string) Command {
	return ofServer("disable health", nil, backend, name)
}

// ShutdownSessions ends all sessions of a server at once.
func ShutdownSessions(backend, name string) Command {
	return ofServer("shutdown sessions server", nil, backend, name)
}

func ofServer(what string, ok func(string) bool, backend, name string, args ...string) Command {
	id, err := qualified(backend, name)
	if err != nil {
		return failed(what, err)
	}
	return command(what, ok, append([]string{id}, args...)...)
}
