// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/fairlead/fairlead/test/daemon"
)

const (
	servingCert = "apiserver.crt"
	servingKey  = "apiserver.key"
	accountKey  = "service-account.key"
	tokenFile   = "tokens.csv"

	adminUser  = "admin"
	adminGroup = "system:masters"

	certificateAge = 10 * 365 * 24 * time.Hour
)

// credentials are what a client needs.
type credentials struct {
	// tokens are by the name of the user.
	tokens map[string]string
	// ca is the serving certificate with that of the CA that signed it.
	ca []byte
}

// settleCredentials reads the keys of an earlier run, or makes them.
func (cp *ControlPlane) settleCredentials() error {
	err := cp.readCredentials()
	if errors.Is(err, fs.ErrNotExist) {
		if err = cp.makeCredentials(); err == nil {
			err = cp.readCredentials()
		}
	}
	return err
}

func (cp *ControlPlane) readCredentials() error {
	ca, err := os.ReadFile(cp.path(servingCert))
	if err != nil {
		return err
	}
	// Written last: where it is, all the others are.
	tokens, err := os.ReadFile(cp.path(tokenFile))
	if err != nil {
		return err
	}
	rows, err := csv.NewReader(bytes.NewReader(tokens)).ReadAll()
	if err != nil {
		return fmt.Errorf("read %s: %w", tokenFile, err)
	}
	cp.keys = credentials{tokens: map[string]string{}, ca: ca}
	for _, row := range rows {
		cp.keys.tokens[row[1]] = row[0]
	}
	return nil
}

func (cp *ControlPlane) makeCredentials() error {
	certPEM, keyPEM, err := cert.GenerateSelfSignedCertKeyWithOptions(cert.SelfSignedCertKeyOptions{
		Host:         loopback,
		AlternateIPs: []net.IP{net.ParseIP(cp.opts.Address), net.ParseIP(serviceAddress)},
		AlternateDNS: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		MaxAge:       certificateAge,
	})
	if err != nil {
		return fmt.Errorf("make the serving certificate: %w", err)
	}
	account, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	accountPEM, err := keyutil.MarshalPrivateKeyToPEM(account)
	if err != nil {
		return err
	}
	var tokens bytes.Buffer
	rows := csv.NewWriter(&tokens)
	for _, u := range append([]User{{Name: adminUser, Groups: []string{adminGroup}}}, cp.opts.Users...) {
		if err := rows.Write([]string{rand.Text(), u.Name, u.Name, strings.Join(u.Groups, ",")}); err != nil {
			return err
		}
	}
	rows.Flush()
	for _, f := range []struct {
		name string
		data []byte
	}{
		{servingCert, certPEM}, {servingKey, keyPEM}, {accountKey, accountPEM}, {tokenFile, tokens.Bytes()},
	} {
		if err := daemon.WriteFile(cp.path(f.name), f.data); err != nil {
			return err
		}
	}
	return nil
}

func (cp *ControlPlane) config() *rest.Config {
	return &rest.Config{
		Host:            cp.url(),
		BearerToken:     cp.keys.tokens[adminUser],
		TLSClientConfig: rest.TLSClientConfig{CAData: cp.keys.ca},
		QPS:             -1,
	}
}

func (cp *ControlPlane) url() string {
	return fmt.Sprintf("https://%s:%d", cp.opts.Address, cp.ports.APIServer)
}

func (cp *ControlPlane) writeKubeconfig() error {
	return cp.WriteKubeconfig(cp.Kubeconfig(), adminUser)
}

// WriteKubeconfig writes a kubeconfig for one of the users of the first start.
func (cp *ControlPlane) WriteKubeconfig(path, user string) error {
	const name = "fairlead"
	token, ok := cp.keys.tokens[user]
	if !ok {
		return fmt.Errorf("the control plane has no user %s", user)
	}
	data, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: cp.url(), CertificateAuthorityData: cp.keys.ca}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{user: {Token: token}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: user}},
		CurrentContext: name,
	})
	if err != nil {
		return err
	}
	return daemon.WriteFile(path, data)
}
