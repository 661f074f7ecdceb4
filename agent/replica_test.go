// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/model"
	"github.com/fairlead/fairlead/test/controlplane"
	real "github.com/fairlead/fairlead/test/haproxy"
	"github.com/fairlead/fairlead/test/proxy"
)

const patience = 60 * time.Second

// plane is the control plane of all tests; it starts with the first that asks for it.
var plane = sync.OnceValues(func() (*controlplane.ControlPlane, error) {
	cp, err := controlplane.Start(context.Background(), controlplane.Options{})
	if err != nil {
		return nil, err
	}
	started = cp
	_, err = envtest.InstallCRDs(cp.Config(), envtest.CRDInstallOptions{Paths: []string{"../config/crd/bases"}, ErrorIfPathMissing: true})
	return cp, err
})

var started *controlplane.ControlPlane

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	code := m.Run()
	if started != nil {
		if err := started.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the control plane:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// replica is a pod of a load balancer: the agent in this process, HAProxy beside it, with a service account of its own.
type replica struct {
	*testing.T
	plane     *controlplane.ControlPlane
	admin     *kubernetes.Clientset
	namespace string
	account   *rest.Config
	container *proxy.Container
	options   options
	stop      func()

	port    int32
	client  http.Client
	address string
	members map[int]int32
}

// rules are those of the ClusterRole fairlead-agent.
var rules = []rbacv1.PolicyRule{
	{APIGroups: []string{""}, Resources: []string{"configmaps", "secrets"}, Verbs: []string{"get", "list", "watch"}},
	{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"get", "list", "watch"}},
	{APIGroups: []string{"fleet.fairlead.io"}, Resources: []string{"agentreports"}, Verbs: []string{"get", "create", "update"}},
}

func newReplica(t *testing.T, v real.Version) *replica {
	t.Helper()
	cp, err := plane()
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{T: t, plane: cp, port: proxy.FreePort(t), address: ownAddress(t), members: map[int]int32{}}
	r.client = http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if r.admin, err = kubernetes.NewForConfig(cp.Config()); err != nil {
		t.Fatal(err)
	}
	r.namespace = r.newNamespace("shop")
	if _, err := r.admin.CoreV1().ServiceAccounts(r.namespace).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "front-lb"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.grant(r.namespace, rules)
	token, err := r.admin.CoreV1().ServiceAccounts(r.namespace).CreateToken(t.Context(), "front-lb", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.account = rest.AnonymousClientConfig(cp.Config())
	r.account.BearerToken = token.Status.Token
	r.options = options{
		dir: v.Dir(t), loadBalancer: "front", address: fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(t)), verify: 100 * time.Millisecond,
		threads: 1, healthPort: int(proxy.FreePort(t)), peersPort: int(proxy.FreePort(t)),
		pod: pod{namespace: r.namespace, name: "front-lb-1", uid: "5fd8-1", ip: "127.0.0.1"},
	}
	r.container = proxy.Start(t, v, r.options.dir)
	r.start()
	return r
}

func (r *replica) newNamespace(prefix string) string {
	r.Helper()
	ns, err := r.admin.CoreV1().Namespaces().Create(r.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}, metav1.CreateOptions{})
	if err != nil {
		r.Fatal(err)
	}
	return ns.Name
}

// grant gives the replica's account rights in a namespace.
func (r *replica) grant(namespace string, rules []rbacv1.PolicyRule) {
	r.Helper()
	_, err := r.admin.RbacV1().Roles(namespace).Create(r.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "agent"}, Rules: rules}, metav1.CreateOptions{})
	if err != nil {
		r.Fatal(err)
	}
	_, err = r.admin.RbacV1().RoleBindings(namespace).Create(r.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: r.namespace, Name: "front-lb"}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "agent"},
	}, metav1.CreateOptions{})
	if err != nil {
		r.Fatal(err)
	}
}

// start starts the agent, as its container does.
func (r *replica) start() {
	r.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, r.options, r.account, testr.NewWithInterface(quiet{r.T}, testr.Options{})) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.Error(err)
		}
	})
	r.Cleanup(r.stop)
}

// quiet takes lines also after the end of the test.
type quiet struct{ *testing.T }

func (q quiet) Log(args ...any) {
	defer func() { _ = recover() }()
	q.T.Log(args...)
}

func (r *replica) eventually(what string, ask func() error) {
	r.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("not in time: %s: %v", what, err)
		}
	}
}

// config is a load balancer with a pool of the service web.
func (r *replica) config(generation int64) *model.Config {
	const second = model.Duration(time.Second)
	return &model.Config{
		Version: model.Version, Name: r.namespace + "/front", Generation: generation, DrainTimeout: 2 * second,
		Listeners: []model.Listener{{
			Name: "http", Port: 80, BindPort: r.port, Protocol: model.HTTP,
			Timeouts: model.ListenerTimeouts{Idle: 30 * second, Request: 10 * second, KeepAlive: 10 * second, Tunnel: 60 * second},
		}},
		Routes: []model.Route{{Name: "all", Listeners: []string{"http"}, Action: model.Action{Pools: []model.WeightedPool{{Pool: "web", Weight: 1}}}}},
		Pools: []model.Pool{{
			Name: "web", Algorithm: model.RoundRobin, MinActive: 1,
			Members:  []model.Member{{Service: &model.ServiceRef{Namespace: r.namespace, Name: "web", PortName: "http"}, Weight: 1}},
			Timeouts: model.PoolTimeouts{Connect: 2 * second, Response: 30 * second, Tunnel: 60 * second},
		}},
	}
}

// set writes the ConfigMap as the operator does.
func (r *replica) set(cfg *model.Config) {
	r.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		r.Fatal(err)
	}
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "front-lb"}, Data: map[string]string{modelKey: string(text)}}
	maps := r.admin.CoreV1().ConfigMaps(r.namespace)
	if _, err = maps.Update(r.Context(), object, metav1.UpdateOptions{}); err != nil {
		_, err = maps.Create(r.Context(), object, metav1.CreateOptions{})
	}
	if err != nil {
		r.Fatal(err)
	}
}

const modelKey = "model.json"

// endpoints has exactly these members behind a service. Each is a slice with a port of its own: addresses of the
// loopback network are none for slices.
func (r *replica) endpoints(service string, numbers ...int) {
	r.Helper()
	api := r.admin.DiscoveryV1().EndpointSlices(r.namespace)
	have, err := api.List(r.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		r.Fatal(err)
	}
	name := func(n int) string { return fmt.Sprintf("%s-%d", service, n) }
	known := map[string]bool{}
	for i := range have.Items {
		known[have.Items[i].Name] = true
	}
	for _, n := range numbers {
		if known[name(n)] {
			delete(known, name(n))
			continue
		}
		_, err := api.Create(r.Context(), &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: name(n), Labels: map[string]string{discoveryv1.LabelServiceName: service}},
			AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(r.member(n))}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{r.address}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}},
		}, metav1.CreateOptions{})
		if err != nil {
			r.Fatal(err)
		}
	}
	for name := range known {
		if err := api.Delete(r.Context(), name, metav1.DeleteOptions{}); err != nil {
			r.Fatal(err)
		}
	}
}

// member gives the port of a member, which answers with its number.
func (r *replica) member(n int) int32 {
	r.Helper()
	if port := r.members[n]; port != 0 {
		return port
	}
	l, err := net.Listen("tcp4", r.address+":0")
	if err != nil {
		r.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, n)
	})}
	go func() { _ = server.Serve(l) }()
	r.Cleanup(func() { _ = server.Close() })
	r.members[n] = int32(l.Addr().(*net.TCPAddr).Port)
	return r.members[n]
}

// ownAddress is one of this machine that is not of the loopback network.
func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip, is := a.(*net.IPNet); is && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	t.Skip("this machine has no address but that of the loopback network, which is none for endpoints")
	return ""
}

// ask gives the answer of a URL of this machine.
func (r *replica) ask(port any, path string) (int, string, error) {
	resp, err := r.client.Get(fmt.Sprintf("http://127.0.0.1:%v%s", port, path))
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// own asks the agent.
func (r *replica) own(path string) (int, string, error) {
	_, port, err := net.SplitHostPort(r.options.address)
	if err != nil {
		r.Fatal(err)
	}
	return r.ask(port, path)
}

func (r *replica) serving(numbers ...int) {
	r.Helper()
	var want []string
	for _, n := range numbers {
		want = append(want, fmt.Sprint(n))
	}
	r.eventually(fmt.Sprint("served by ", want), func() error {
		var seen []string
		for range 3 * len(want) {
			code, who, err := r.ask(r.port, "/")
			if err != nil || code != 200 {
				return fmt.Errorf("answer %d %s, %w", code, who, err)
			}
			if !slices.Contains(seen, who) {
				seen = append(seen, who)
			}
		}
		slices.Sort(seen)
		if !slices.Equal(seen, want) {
			return fmt.Errorf("by %v", seen)
		}
		return nil
	})
}

func (r *replica) ready(want int) {
	r.Helper()
	r.eventually(fmt.Sprintf("/readyz is %d", want), func() error {
		if code, text, err := r.own("/readyz"); code != want {
			return fmt.Errorf("%d %s %w", code, text, err)
		}
		return nil
	})
}

// report waits for an AgentReport that is as it should be.
func (r *replica) report(what string, good func(v1alpha1.ReplicaReport) bool) *v1alpha1.AgentReport {
	r.Helper()
	c := r.controllerClient()
	report := &v1alpha1.AgentReport{}
	r.eventually("the report has "+what, func() error {
		err := c.Get(r.Context(), client.ObjectKey{Namespace: r.namespace, Name: "front-lb-1"}, report)
		if err == nil && !good(report.Report) {
			text, _ := json.Marshal(report.Report)
			err = fmt.Errorf("%s", text)
		}
		return err
	})
	return report
}

func (r *replica) controllerClient() client.Client {
	r.Helper()
	scheme := runtime.NewScheme()
	err := v1alpha1.AddToScheme(scheme)
	if err != nil {
		r.Fatal(err)
	}
	c, err := client.New(r.plane.Config(), client.Options{Scheme: scheme})
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// metric gives the value of a line of /metrics.
func (r *replica) metric(name string) string {
	r.Helper()
	_, text, err := r.own("/metrics")
	if err != nil {
		r.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if value, is := strings.CutPrefix(line, name+" "); is {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
