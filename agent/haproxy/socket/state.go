// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Admin is why a server is in maintenance or drains: bits of HAProxy's srv_admin_state.
type Admin int

// Bits of Admin.
const (
	// ForcedMaint was asked for over the socket; servers that were added start so.
	ForcedMaint Admin = 0x01
	// InheritedMaint comes from the server that it tracks.
	InheritedMaint Admin = 0x02
	// ConfiguredMaint is "disabled" of the configuration.
	ConfiguredMaint Admin = 0x04
	// ForcedDrain was asked for over the socket.
	ForcedDrain Admin = 0x08
	// InheritedDrain comes from the server that it tracks.
	InheritedDrain Admin = 0x10
	// ResolverMaint is of a name that does not resolve.
	ResolverMaint Admin = 0x20
)

// State is the one that SetState gives.
func (a Admin) State() State {
	switch {
	case a&(ForcedMaint|InheritedMaint|ConfiguredMaint|ResolverMaint) != 0:
		return Maint
	case a&(ForcedDrain|InheritedDrain) != 0:
		return Drain
	}
	return Ready
}

// Operation is whether a server takes traffic: HAProxy's srv_op_state.
type Operation int

// Values of Operation.
const (
	Stopped Operation = iota
	Starting
	Running
	Stopping
)

// CheckConfigured and CheckEnabled are bits of ServerState.CheckState.
const (
	CheckInProgress = 0x01
	CheckConfigured = 0x02
	CheckEnabled    = 0x04
	CheckPaused     = 0x08
)

// ServerState is one line of "show servers state".
type ServerState struct {
	Backend, Name string
	// ID is HAProxy's number of it.
	ID int
	// Addr is the IP address without a port; empty for Unix sockets and names.
	Addr string
	Port int
	// FQDN is the name of which Addr comes, if it does.
	FQDN      string
	Operation Operation
	Admin     Admin
	// Weight is the one in force, InitialWeight that of the configuration.
	Weight, InitialWeight int
	// CheckStatus and CheckResult are HAProxy's numbers of the last check's status and result.
	CheckStatus, CheckResult int
	// CheckHealth counts up to rise plus fall minus one.
	CheckHealth int
	// CheckState is of the bits CheckConfigured and so on.
	CheckState int
	TLS        bool
	// SinceChange is the time in that state, in seconds.
	SinceChange int
}

// ServersState is the state of all servers, or of those of one backend: ErrNotFound if there is none.
func (c *Client) ServersState(ctx context.Context, backend ...string) ([]ServerState, error) {
	if len(backend) > 1 {
		return nil, fmt.Errorf("show servers state: %w: more than one backend", ErrValue)
	}
	answer, err := c.show(ctx, "show servers state", says("1\n#"), backend...)
	if err != nil {
		return nil, err
	}
	return parseServersState(answer)
}

func parseServersState(answer string) ([]ServerState, error) {
	lines := strings.Split(strings.TrimRight(answer, "\n"), "\n")
	if len(lines) < 2 || lines[0] != "1" || !strings.HasPrefix(lines[1], "# ") {
		return nil, fmt.Errorf("%w: states of servers in an unknown format", ErrProtocol)
	}
	// Versions add columns at the end.
	r := record{header: strings.Fields(lines[1])[1:]}
	var states []ServerState
	for _, l := range lines[2:] {
		if r.values = strings.Fields(l); len(r.values) == 0 {
			continue
		}
		states = append(states, ServerState{
			Backend: r.text("be_name"), Name: r.text("srv_name"), ID: r.number("srv_id"),
			Addr: r.optional("srv_addr"), Port: r.number("srv_port"), FQDN: r.optional("srv_fqdn"),
			Operation: Operation(r.number("srv_op_state")), Admin: Admin(r.number("srv_admin_state")),
			Weight: r.number("srv_uweight"), InitialWeight: r.number("srv_iweight"),
			CheckStatus: r.number("srv_check_status"), CheckResult: r.number("srv_check_result"),
			CheckHealth: r.number("srv_check_health"), CheckState: r.number("srv_check_state"),
			TLS: r.number("srv_use_ssl") == 1, SinceChange: r.number("srv_time_since_last_change"),
		})
	}
	return states, r.err
}

// record reads values by the names of their columns, and keeps the first error.
type record struct {
	header, values []string
	err            error
}

func (r *record) text(column string) string {
	i := slices.Index(r.header, column)
	if i < 0 || i >= len(r.values) {
		if r.err == nil {
			r.err = fmt.Errorf("%w: no column %s", ErrProtocol, column)
		}
		return ""
	}
	return r.values[i]
}

// optional is text where "-" stands for nothing.
func (r *record) optional(column string) string {
	if s := r.text(column); s != "-" {
		return s
	}
	return ""
}

// number is 0 where there is none.
func (r *record) number(column string) int {
	s := r.text(column)
	if s == "" || s == "-" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%w: column %s is no number", ErrProtocol, column)
	}
	return n
}
