package steady_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"github.com/google/go-cmp/cmp"
)

func TestDefaults_Table(t *testing.T) {
	const want = `
DefaultStopGrace      10s
DefaultDrainRequests  30s
DefaultDrainStreams   30s
DefaultDrainQuiet     2s
DefaultProbeInterval  50ms
DefaultExecInterval   250ms
DefaultProbeTimeout   2s
DefaultProbeRise      2
DefaultProbeDeadline  1m0s
DefaultSettle         1s
DefaultExposedSettle  5s
DefaultMonitor        0s
DefaultReplicas       1
DefaultFailureAction  rollback
`
	values := []struct {
		name  string
		value any
	}{
		{"DefaultStopGrace", steady.DefaultStopGrace},
		{"DefaultDrainRequests", steady.DefaultDrainRequests},
		{"DefaultDrainStreams", steady.DefaultDrainStreams},
		{"DefaultDrainQuiet", steady.DefaultDrainQuiet},
		{"DefaultProbeInterval", steady.DefaultProbeInterval},
		{"DefaultExecInterval", steady.DefaultExecInterval},
		{"DefaultProbeTimeout", steady.DefaultProbeTimeout},
		{"DefaultProbeRise", steady.DefaultProbeRise},
		{"DefaultProbeDeadline", steady.DefaultProbeDeadline},
		{"DefaultSettle", steady.DefaultSettle},
		{"DefaultExposedSettle", steady.DefaultExposedSettle},
		{"DefaultMonitor", steady.DefaultMonitor},
		{"DefaultReplicas", steady.DefaultReplicas},
		{"DefaultFailureAction", steady.DefaultFailureAction},
	}
	table, names := "\n", []string{}
	for _, v := range values {
		table += fmt.Sprintf("%-22s%v\n", v.name, v.value)
		names = append(names, v.name)
	}
	t.Log(table)
	if diff := cmp.Diff(want, table); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(declaredDefaults(t), names); diff != "" {
		t.Errorf("not every default of spec.go is in the table:\n%s", diff)
	}
}

// declaredDefaults lists the constants of spec.go that begin with Default, in order.
func declaredDefaults(t *testing.T) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "spec.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Default") {
			names = append(names, spec.Names[0].Name)
		}
		return true
	})
	return names
}

func whole() steady.Spec {
	return steady.Spec{
		Project: "shop", Service: "api", Image: "shop/api:1",
		Container: json.RawMessage("{\n  \"Env\": [\"A=<b>&c\"],\n  \"Labels\": {\"z\": \"1\", \"a\": \"2\"}\n}"),
		Build:     &steady.Build{Context: "/src", Args: map[string]string{"b": "1", "a": "2", "c": "3"}},
		StopGrace: 30 * time.Second, Replicas: 2,
		Probe: steady.Probe{Kind: steady.ProbeHTTP, Header: map[string]string{"X": "1", "A": "2"}},
	}
}

func TestDigest_IgnoresReplicas(t *testing.T) {
	one, many := whole(), whole()
	many.Replicas = 9
	if one.Digest() != many.Digest() {
		t.Error("scaling changes the digest")
	}
	if many.Replicas != 9 {
		t.Error("Digest changes the spec")
	}
}

func TestDigest_IsStable(t *testing.T) {
	want := whole().Digest()
	if len(want) != len("sha256:")+64 || !strings.HasPrefix(want, "sha256:") {
		t.Errorf("digest %q", want)
	}
	for range 50 { // maps are walked in another order each time
		if got := whole().Digest(); got != want {
			t.Fatalf("digest %s, before %s", got, want)
		}
	}
	stored, err := json.Marshal(whole())
	if err != nil {
		t.Fatal(err)
	}
	var read steady.Spec
	if err := json.Unmarshal(stored, &read); err != nil {
		t.Fatal(err)
	}
	if got := read.Digest(); got != want {
		t.Errorf("digest %s after being stored and read, before %s", got, want)
	}
}

func TestDigest_ChangesWithWhatMakesAnotherContainer(t *testing.T) {
	seen := map[string]string{whole().Digest(): "nothing"}
	for name, change := range map[string]func(*steady.Spec){
		"image":       func(s *steady.Spec) { s.Image = "shop/api:2" },
		"environment": func(s *steady.Spec) { s.Container = json.RawMessage(`{"Env":["A=d"]}`) },
		"malformed":   func(s *steady.Spec) { s.Container = json.RawMessage(`{`) },
		"malformed 2": func(s *steady.Spec) { s.Container = json.RawMessage(`{{`) },
		"grace":       func(s *steady.Spec) { s.StopGrace = time.Second },
		"probe":       func(s *steady.Spec) { s.Probe.Path = "/live" },
	} {
		s := whole()
		change(&s)
		if other, ok := seen[s.Digest()]; ok {
			t.Errorf("a change of %s gives the digest of a change of %s", name, other)
		}
		seen[s.Digest()] = name
	}
}

func TestReplicaName_TellsProjectServiceReleaseAndNumber(t *testing.T) {
	r := steady.Release{Project: "shop", Service: "api", Number: 42}
	if got := r.ReplicaName(1); got != "shop-api-42-1" {
		t.Errorf("replica %q", got)
	}
	if got := r.Ref(); got != "shop/api release 42" {
		t.Errorf("reference %q", got)
	}
}

func TestRelease_SameNeedsSpecAndImage(t *testing.T) {
	a := steady.Release{Number: 1, Digest: "d", Image: steady.Image{ID: "i"}}
	b := a
	b.Number = 2
	if !a.Same(b) {
		t.Error("the number makes a difference")
	}
	b.Image.ID = "j"
	if a.Same(b) {
		t.Error("the image makes no difference")
	}
	b = a
	b.Digest, b.Spec.Image = "e", "other"
	if a.Same(b) {
		t.Error("the spec makes no difference")
	}
}

// TestRelease_SameAsOneOfAnOlderSteady: its digest counts words that are told otherwise
// now, and it knows nothing of the files that it mounts.
func TestRelease_SameAsOneOfAnOlderSteady(t *testing.T) {
	older := steady.Release{Digest: "of then", Spec: steady.Spec{Image: "app", Probe: steady.Probe{Kind: steady.ProbeExec, Cause: "healthcheck: (curl"}}}
	now := older
	now.Spec.Probe.Cause = "healthcheck: a command"
	now.Spec.Contents = []steady.Content{{Source: "/a", Target: "/b", Sum: "sha256:1"}}
	now.Digest = now.Spec.Digest()
	if !older.Same(now) {
		t.Error("an upgrade replaces what is unchanged")
	}
	then := now
	then.Spec.Contents = []steady.Content{{Source: "/a", Target: "/b", Sum: "sha256:2"}}
	if then.Same(now) || then.Spec.Digest() != now.Spec.Digest() {
		t.Error("contents make no difference, or are in the digest")
	}
	then.Spec.Contents[0].Sum = ""
	if !then.Same(now) {
		t.Error("a file that could not be read makes a difference")
	}
}

func TestListener_AddrIsWhatNetListenTakes(t *testing.T) {
	for host, want := range map[string]string{
		"":           ":8000",
		"127.0.0.1":  "127.0.0.1:8000",
		"::1":        "[::1]:8000",
		"[::1]":      "[::1]:8000",
		"fe80::1%e0": "[fe80::1%e0]:8000",
	} {
		if got := (steady.Listener{Host: host, Port: 8000}).Addr(); got != want {
			t.Errorf("host %q listens at %q, want %q", host, got, want)
		}
	}
}

func TestObserved_FindsReplicas(t *testing.T) {
	o := steady.Observed{Replicas: []steady.Replica{{Name: "a", Service: "api"}, {Name: "b", Service: "web"}, {Name: "c", Service: "api"}}}
	var names []string
	for _, r := range o.Of("api") {
		names = append(names, r.Name)
	}
	if !slices.Equal(names, []string{"a", "c"}) {
		t.Errorf("replicas of api: %v", names)
	}
	if r, ok := o.Named("b"); !ok || r.Service != "web" {
		t.Errorf("replica b: %v, %v", r, ok)
	}
	if _, ok := o.Named("d"); ok {
		t.Error("found a replica that is not there")
	}
}

func TestDrain_StreamsWaitForAQuietMomentNoLongerThanVisitorsCan(t *testing.T) {
	const second = time.Second
	for name, c := range map[string]struct {
		quiet, held time.Duration
		want, brief time.Duration // patience; while others wait
	}{
		"by default":      {0, 0, steady.DefaultDrainQuiet, steady.DefaultHoldFor / 10},
		"longer":          {10 * second, 0, 10 * second, steady.DefaultHoldFor / 10},
		"shorter":         {second, 0, second, second},
		"not held long":   {0, second, steady.DefaultDrainQuiet, second / 10},
		"not held at all": {0, 5, steady.DefaultDrainQuiet, 1},
		"none":            {-1, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := steady.Spec{Drain: steady.Drain{Requests: second, Streams: second, Quiet: c.quiet}, Holding: &steady.Holding{For: c.held}}
			if got := s.Drain.Patience(); got != c.want {
				t.Errorf("patience %s, want %s", got, c.want)
			}
			if b := s.BriefDrain(); b.Patience() != c.brief || b.Streams != 0 || b.Requests != second {
				t.Errorf("brief %+v, want patience %s", b, c.brief)
			}
		})
	}
}
