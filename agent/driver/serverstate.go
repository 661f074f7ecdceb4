// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"bytes"
	"fmt"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
)

// serverStateHead is what HAProxy knows the file's format by.
const serverStateHead = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight " +
	"srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state " +
	"bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr " +
	"srv_agent_port\n"

// checksPassed is HAProxy's number of a result.
const checksPassed = 3

// serverStates is the file that HAProxy takes the states of servers from when it starts. What no word of a configuration
// says is in it: which servers drain, and which ones their monitor has found down, as known to the process before. Admin
// states and weights are those that are wanted, so nothing that somebody else set comes back with it.
func serverStates(servers map[string][]haproxy.Server, known []socket.ServerState) []byte {
	type name struct{ backend, server string }
	before := make(map[name]*socket.ServerState, len(known))
	for i := range known {
		before[name{known[i].Backend, known[i].Name}] = &known[i]
	}
	var text bytes.Buffer
	text.WriteString(serverStateHead)
	for _, backend := range sortedKeys(servers) {
		for _, server := range servers[backend] {
			was := before[name{backend, server.Name}]
			if was == nil || was.Admin.State() == socket.Maint {
				if server.State == socket.Ready {
					continue
				}
				was = &socket.ServerState{Operation: socket.Running, CheckResult: checksPassed, CheckHealth: 1}
			}
			admin := socket.Admin(0)
			if server.State == socket.Drain {
				admin = socket.ForcedDrain
			}
			fmt.Fprintf(&text, "0 %s 0 %s %s %d %d %d %d %d %d %d %d %d 0 0 0 - %d - 0 0 - - 0\n",
				backend, server.Name, server.Address, was.Operation, admin, server.Weight, server.Weight, was.SinceChange,
				was.CheckStatus, was.CheckResult, was.CheckHealth, was.CheckState&^socket.CheckInProgress, server.Port)
		}
	}
	return text.Bytes()
}
