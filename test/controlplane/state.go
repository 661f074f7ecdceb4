// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"

	"github.com/fairlead/fairlead/test/daemon"
)

// errPortTaken means that somebody else got a port between its choice and its use.
var errPortTaken = errors.New("a port is taken")

// Ports are chosen below the range that Linux gives to outgoing connections: one of those could take
// the port of a server while it restarts.
const (
	portFrom = 20000
	// Above are node ports.
	portTo    = 30000
	portTries = 200
)

// ports are kept over restarts.
type ports struct {
	Etcd              int `json:"etcd"`
	EtcdPeer          int `json:"etcdPeer"`
	APIServer         int `json:"apiServer"`
	ControllerManager int `json:"controllerManager"`
	Scheduler         int `json:"scheduler"`
}

// settlePorts chooses the ports that are not chosen yet, or that are taken while their owner is down.
func (cp *ControlPlane) settlePorts() error {
	var wanted []*int
	if !cp.processes[Etcd].Alive() {
		wanted = append(wanted, &cp.ports.Etcd, &cp.ports.EtcdPeer)
	}
	if !cp.processes[APIServer].Alive() {
		wanted = append(wanted, &cp.ports.APIServer)
	}
	if !cp.processes[ControllerManager].Alive() {
		wanted = append(wanted, &cp.ports.ControllerManager)
	}
	if !cp.processes[Scheduler].Alive() {
		wanted = append(wanted, &cp.ports.Scheduler)
	}
	for _, port := range wanted {
		if *port != 0 && portIsFree(*port) {
			continue
		}
		chosen, err := cp.choosePort()
		if err != nil {
			return err
		}
		*port = chosen
	}
	return daemon.WriteJSON(cp.path("ports.json"), cp.ports)
}

func (cp *ControlPlane) choosePort() (int, error) {
	for range portTries {
		port := portFrom + rand.IntN(portTo-portFrom)
		ours := []int{cp.ports.Etcd, cp.ports.EtcdPeer, cp.ports.APIServer, cp.ports.ControllerManager, cp.ports.Scheduler}
		if !slices.Contains(ours, port) && portIsFree(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port found between %d and %d", portFrom, portTo)
}

func portIsFree(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
