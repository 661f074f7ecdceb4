// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"slices"
)

// errPortTaken means that somebody else got a port between its choice and its use.
var errPortTaken = errors.New("a port is taken")

// Ports are chosen below the range that Linux gives to outgoing connections: one of those could take
// the port of a server while it restarts.
const (
	portFrom  = 20000
	portTo    = 32000
	portTries = 200
)

// ports are the ports on 127.0.0.1, kept over restarts.
type ports struct {
	Etcd              int `json:"etcd"`
	EtcdPeer          int `json:"etcdPeer"`
	APIServer         int `json:"apiServer"`
	ControllerManager int `json:"controllerManager"`
}

// settlePorts chooses the ports that are not chosen yet, or that are taken while their owner is down.
func (cp *ControlPlane) settlePorts() error {
	var wanted []*int
	if !cp.processes[Etcd].alive() {
		wanted = append(wanted, &cp.ports.Etcd, &cp.ports.EtcdPeer)
	}
	if !cp.processes[APIServer].alive() {
		wanted = append(wanted, &cp.ports.APIServer)
	}
	if !cp.processes[ControllerManager].alive() {
		wanted = append(wanted, &cp.ports.ControllerManager)
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
	return writeJSON(cp.path("ports.json"), cp.ports)
}

func (cp *ControlPlane) choosePort() (int, error) {
	for range portTries {
		port := portFrom + rand.IntN(portTo-portFrom)
		ours := []int{cp.ports.Etcd, cp.ports.EtcdPeer, cp.ports.APIServer, cp.ports.ControllerManager}
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

// readJSON leaves v as it is where there is no file.
func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFile(path, data)
}

// writeFile replaces a file as a whole: a crash leaves the old one or the new one.
func writeFile(path string, data []byte) error {
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
