package plan_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// contained sets the body of the call that creates the service's container.
func contained(body map[string]any) change {
	return func(s *steady.Spec) {
		b, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		s.Container = b
	}
}

// planned is the plan of web from one spec to another, with the image unchanged.
func planned(t *testing.T, was, now change) steady.ServicePlan {
	t.Helper()
	w := new(world).wants("web", now).has("web", was)
	w.in.Targets[0].Release.Image.ID = "image-1"
	w.in.Routes[0].Rules = w.in.Serving["web"].Spec.Routes
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := p.Of("web")
	return v
}

func TestBuild_SaysWhatChangedAndNeverAValue(t *testing.T) {
	was := contained(map[string]any{
		"Env": []string{"KEEP=1", "LEVEL=hunter2", "OLD=hunter2", "BARE"}, "Cmd": []string{"serve", "--token", "hunter2"}, "User": "app",
		"Labels":     map[string]string{"tier": "hunter2", "com.docker.compose.config-hash": "a"},
		"HostConfig": map[string]any{"Memory": 256 << 20, "Binds": []string{"/srv/a:/a:rw", "/srv/b:/b:ro"}, "CapAdd": []string{"NET_ADMIN"}, "PortBindings": map[string]any{"80/tcp": 1}},
	})
	now := contained(map[string]any{
		"Env": []string{"KEEP=1", "LEVEL=hunter3", "NEW=hunter3", "BARE"}, "Cmd": []string{"serve", "--token", "hunter3"}, "User": "app",
		"Labels":     map[string]string{"tier": "hunter3", "com.docker.compose.config-hash": "b"},
		"HostConfig": map[string]any{"Memory": 512 << 20, "NanoCpus": 5e8, "Binds": []string{"/srv/a:/a:ro", "/srv/c:/c:rw"}, "ReadonlyRootfs": true},
	})
	v := planned(t,
		func(s *steady.Spec) {
			was(s)
			s.Image, s.WorkingDir = "app:1", "/srv/shop"
			s.Build = &steady.Build{Context: ".", Args: map[string]string{"TOKEN": "hunter2"}}
			s.Contents = []steady.Content{{Source: "/srv/shop/nginx.conf", Target: "/n", Sum: "sha256:1"}, {Source: "/run/key", Target: "/k", As: "secret key", Sum: "sha256:1"}}
		},
		func(s *steady.Spec) {
			now(s)
			s.Image, s.WorkingDir = "app:2", "/srv/shop"
			s.Build = &steady.Build{Context: ".", Args: map[string]string{"TOKEN": "hunter3"}}
			s.Contents = []steady.Content{{Source: "/srv/shop/nginx.conf", Target: "/n", Sum: "sha256:2"}, {Source: "/run/key", Target: "/k", As: "secret key", Sum: "sha256:2"}}
			s.Networks = append(s.Networks, steady.Network{Key: "back", Name: "shop_back"})
			s.StopGrace, s.Probe.Path = 1, "/health"
		})
	want := []string{
		"image app:1 → app:2", "content of ./nginx.conf changed", "content of secret key changed",
		"environment LEVEL changed", "environment OLD removed", "environment NEW added", "label tier changed",
		"mount /a changed", "mount /b removed", "mount /c added", "network back added", "command changed",
		"limit of memory 256 MiB → 512 MiB", "limit of cpus none → 0.5", "cap_add changed", "read_only changed", "build arg TOKEN changed",
		"healthcheck changed", "stop_grace_period changed",
	}
	if diff := cmp.Diff(want, v.Changes); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if b, _ := json.Marshal(v); strings.Contains(string(b), "hunter") {
		t.Errorf("the plan tells a value: %s", b)
	}
}

// TestBuild_SaysOfEveryFieldThatItChanged changes each field of a spec by itself: what
// makes another release must be told.
func TestBuild_SaysOfEveryFieldThatItChanged(t *testing.T) {
	base := func(s *steady.Spec) { s.Update = steady.Update{FailureAction: steady.Rollback} }
	fields := reflect.TypeFor[steady.Spec]()
	told := 0
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		if slices.Contains([]string{"Project", "Service", "Container"}, name) {
			continue
		}
		changed := func(s *steady.Spec) {
			base(s)
			fill(reflect.ValueOf(s).Elem().Field(i))
		}
		w := new(world).wants("web", changed).has("web", base)
		w.in.Targets[0].Release.Image.ID = "image-1"
		if w.in.Targets[0].Release.Same(w.in.Serving["web"]) {
			continue
		}
		p, err := plan.Build(w.in)
		if err != nil {
			continue // what is refused has no plan
		}
		told++
		if v, _ := p.Of("web"); len(v.Changes) == 0 {
			t.Errorf("%s changed, and the plan does not say so:\n%s", name, p)
		}
	}
	if told < 20 {
		t.Errorf("only %d fields were looked at", told)
	}
}

// fill sets a field to something else than it was.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("other")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint16:
		v.SetUint(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		one := reflect.New(v.Type().Elem()).Elem()
		fill(one)
		v.Set(reflect.Append(v, one))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
				return
			}
		}
	}
}

func TestBuild_NamesThePortsThatCloseOpenAndMove(t *testing.T) {
	ports := func(ps ...steady.Port) change { return func(s *steady.Spec) { s.Ports = ps } }
	at := func(published, target uint16) steady.Port {
		return steady.Port{Published: published, Target: target, Transport: "tcp", Protocol: steady.HTTP}
	}
	local := at(8080, 80)
	local.HostIP = "127.0.0.1"
	media := func(first, target uint16) change {
		return func(s *steady.Spec) {
			for i := range uint16(101) {
				s.Ports = append(s.Ports, steady.Port{Published: first + i, Target: target + i, Transport: "udp", Protocol: steady.TCP})
			}
		}
	}
	routes := func(names ...string) change {
		return func(s *steady.Spec) {
			for _, n := range names {
				host, path, _ := strings.Cut(n, "/")
				s.Routes = append(s.Routes, steady.Rule{Host: host, Path: "/" + path, Port: 80, HTTP: ":80"})
			}
		}
	}
	for _, c := range []struct {
		name     string
		was, now change
		want     string
	}{
		{"the same", ports(at(8080, 80)), ports(at(8080, 80)), "nothing"},
		{"one closes", ports(at(8080, 80), at(9090, 90)), ports(at(8080, 80)), "port 9090 closes: visitors get connection refused"},
		{"the only one closes", ports(at(8080, 80)), ports(), "port 8080 closes: visitors get connection refused"},
		{"it moves", ports(at(8080, 80)), ports(at(8081, 80)), "port 8080 closes: visitors get connection refused; port 8081 opens"},
		{"it leads elsewhere", ports(at(8080, 80)), ports(at(8080, 81)), "port 8080 leads to 81 in the container, was 80"},
		{"fewer addresses", ports(at(8080, 80)), ports(local), "port 8080 closes but for 127.0.0.1:8080: visitors at other addresses get connection refused; port 127.0.0.1:8080 opens"},
		{"a range moves", media(10000, 10000), media(20000, 10000), "port 10000-10100/udp closes: visitors get no answer; port 20000-20100/udp opens"},
		{"a range leads elsewhere", media(10000, 10000), media(10000, 10001), "port 10000-10100/udp leads to 10001-10101 in the container, was 10000-10100"},
		{"a range is one of several", ports(at(8080, 80), at(8081, 81), at(8090, 90)), ports(at(8080, 80)), "port 8081 closes: visitors get connection refused; port 8090 closes: visitors get connection refused"},
		{"a host goes", routes("api.example.ch/v1", "example.ch/"), routes("example.ch/"), "api.example.ch/v1 is not routed to it any more"},
	} {
		env := func(value string, more change) change {
			return func(s *steady.Spec) {
				more(s)
				contained(map[string]any{"Env": []string{"V=" + value}})(s)
			}
		}
		if v := planned(t, env("1", c.was), env("2", c.now)); v.Notice != c.want {
			t.Errorf("%s: notice %q, want %q", c.name, v.Notice, c.want)
		}
	}
	w := new(world).wants("web").has("web", port(8080)).wants("api", port(8080)).has("api")
	if p, err := plan.Build(w.in); err != nil || p.Services[0].Notice != "port 8080 moves to api" {
		t.Errorf("handed over: %v, %v", p.Services, err)
	}
}

func TestBuild_ContentsOfMountedFilesMakeARelease(t *testing.T) {
	with := func(sum, unseen string) change {
		return func(s *steady.Spec) {
			s.WorkingDir = "/srv/shop"
			s.Contents = []steady.Content{{Source: "/srv/shop/nginx.conf", Target: "/etc/nginx/nginx.conf", Sum: sum, Unseen: unseen}}
		}
	}
	older := func(s *steady.Spec) { s.WorkingDir = "/srv/shop" }
	for _, c := range []struct {
		was, now change
		cause    string
	}{
		{with("sha256:1", ""), with("sha256:1", ""), "same files, same environment, same image, same mounted files"},
		{with("sha256:1", ""), with("sha256:2", ""), "no published port: old and new overlap, the old one ends in its own time"},
		{older, with("sha256:2", ""), "same files, same environment, same image, same mounted files"},
		{with("sha256:1", ""), with("", "a directory"), "same files, same environment, same image; not looked at: ./nginx.conf (a directory)"},
	} {
		if v := planned(t, c.was, c.now); v.Cause != c.cause {
			t.Errorf("cause %q, want %q", v.Cause, c.cause)
		}
	}
}

func TestBuild_ARollbackSaysWhatItDoesNotBringBack(t *testing.T) {
	back := func(now change, stays ...string) steady.ServicePlan {
		w := new(world).wants("web", now).has("web")
		w.in.Kind = steady.KindRollback
		served := w.in.Serving["web"]
		served.Number = 2
		w.in.Serving["web"], w.in.Routes[0].Release = served, 2
		w.in.Routes[0].Replicas[0], w.in.Observed.Replicas[0].Name, w.in.Observed.Replicas[0].Release = served.ReplicaName(1), served.ReplicaName(1), 2
		w.in.Targets[0].Release.Number, w.in.Targets[0].Release.Image.ID, w.in.Targets[0].Stays = 1, "image-1", stays
		p, err := plan.Build(w.in)
		if err != nil {
			t.Fatal(err)
		}
		return p.Services[0]
	}
	if v := back(func(s *steady.Spec) { s.WorkingDir = "/old" }, "./nginx.conf"); v.Strategy != steady.StrategyOverlap || fmt.Sprint(v.Stays) != "[./nginx.conf]" || v.Same != 0 {
		t.Errorf("plan %+v", v)
	}
	v := back(func(*steady.Spec) {})
	if want := "release 1 is the same as release 2, which serves: same files, same environment, same image"; v.Strategy != steady.StrategyKeep || v.Cause != want || v.Same != 1 {
		t.Errorf("plan %+v, want cause %q", v, want)
	}
	if v := back(func(*steady.Spec) {}, "./nginx.conf"); v.Same != 1 || !strings.Contains(v.Cause, "in ./nginx.conf only, and a rollback does not bring that back") {
		t.Errorf("plan %+v", v)
	}
}
