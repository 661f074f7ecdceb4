// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
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
	token string
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
	row, err := csv.NewReader(strings.NewReader(string(tokens))).Read()
	if err != nil {
		return fmt.Errorf("read %s: %w", tokenFile, err)
	}
	cp.keys = credentials{token: row[0], ca: ca}
	return nil
}

func (cp *ControlPlane) makeCredentials() error {
	certPEM, keyPEM, err := cert.GenerateSelfSignedCertKeyWithOptions(cert.SelfSignedCertKeyOptions{
		Host:         "127.0.0.1",
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
	row := fmt.Sprintf("%s,%s,%s,%q\n", rand.Text(), adminUser, adminUser, adminGroup)
	for _, f := range []struct {
		name string
		data []byte
	}{
		{servingCert, certPEM}, {servingKey, keyPEM}, {accountKey, accountPEM}, {tokenFile, []byte(row)},
	} {
		if err := writeFile(cp.path(f.name), f.data); err != nil {
			return err
		}
	}
	return nil
}

func (cp *ControlPlane) config() *rest.Config {
	return &rest.Config{
		Host:            cp.url(),
		BearerToken:     cp.keys.token,
		TLSClientConfig: rest.TLSClientConfig{CAData: cp.keys.ca},
		QPS:             -1,
	}
}

func (cp *ControlPlane) url() string {
	return fmt.Sprintf("https://127.0.0.1:%d", cp.ports.APIServer)
}

func (cp *ControlPlane) writeKubeconfig() error {
	const name = "fairlead"
	data, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: cp.url(), CertificateAuthorityData: cp.keys.ca}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{adminUser: {Token: cp.keys.token}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: adminUser}},
		CurrentContext: name,
	})
	if err != nil {
		return err
	}
	return writeFile(cp.Kubeconfig(), data)
}
