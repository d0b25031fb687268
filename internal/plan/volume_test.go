package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// sourceless mounts volumes without a source at paths.
func sourceless(paths ...string) change {
	return func(s *steady.Spec) {
		var ms []map[string]string
		for _, at := range paths {
			ms = append(ms, map[string]string{"Type": "volume", "Target": at})
		}
		hosted(s, "Mounts", ms)
	}
}

func named(name, at string) change {
	return func(s *steady.Spec) {
		hosted(s, "Binds", []string{name + ":" + at})
	}
}

func ephemeral(paths ...string) change { return func(s *steady.Spec) { s.EphemeralVolumes = paths } }

// hexed is the name of an anonymous volume.
func hexed(digit string) string { return strings.Repeat(digit, 64) }

// mounted gives the service's containers volumes, one each, in the order of names.
func (w *world) mounted(service, at string, names ...string) *world {
	for i, c := range w.in.Observed.Replicas {
		if c.Service == service && len(names) > 0 {
			w.in.Observed.Replicas[i].Volumes = append(c.Volumes, steady.MountedVolume{Path: at, Name: names[0], Anonymous: steady.Unnamed(names[0])})
			names = names[1:]
		}
	}
	return w
}

// declares has the images of a service's releases declare volumes.
func (w *world) declares(paths ...string) *world {
	for _, n := range []int{1, 2} {
		w.in.Observed.Images[fmt.Sprint("ref-", n)] = steady.Image{ID: fmt.Sprint("image-", n), Volumes: paths}
	}
	return w
}

func (w *world) foreign(service string, number int) *world {
	w.in.Observed.Replicas = append(w.in.Observed.Replicas, steady.Replica{Name: fmt.Sprintf("shop-%s-%d", service, number), Service: service,
		Number: number, State: steady.StateRunning})
	return w
}

func (w *world) kind(k string) *world { w.in.Kind = k; return w }

func (w *world) remembers(service string, number int, at, name string) *world {
	w.in.Volumes = append(w.in.Volumes, steady.AnonymousVolume{Service: service, Number: number, Path: at, Name: name})
	return w
}

// Which volume each new replica gets, how the service is replaced, and what a person is
// told of it.
func TestBuild_CarriesAnonymousVolumesOver(t *testing.T) {
	a, b, c := hexed("a"), hexed("b"), hexed("c")
	fresh := func(n int) string { return steady.NewAnonymousVolume("shop", "db", n, "/data").Name }
	hold, stop, start, beside := steady.StrategyHold, steady.StrategyStopFirst, steady.StrategyStart, steady.StrategyStartNew
	for name, tt := range map[string]struct {
		w        *world
		strategy string
		cause    string
		mounts   []string // "replica path=name"
		told     []string
	}{
		"declared by the image": {new(world).moves("db", port(1)).declares("/data").mounted("db", "/data", a), hold, "one replica writes to the anonymous volume /data",
			[]string{"1 /data=" + a}, []string{"/data carried over"}},
		"mounted without a source": {new(world).moves("db", port(1), sourceless("/data")).mounted("db", "/data", a), hold, "", []string{"1 /data=" + a}, []string{"/data carried over"}},
		"two replicas, each its own": {new(world).moves("db", port(1), replicas(2)).declares("/data").mounted("db", "/data", a, b), hold, "each replica writes to an anonymous volume of its own, /data",
			[]string{"1 /data=" + a, "2 /data=" + b}, nil},
		"start-first": {new(world).moves("db", port(1), order(steady.StartFirst)).declares("/data").mounted("db", "/data", a), hold, "start-first would have two write to it at once",
			[]string{"1 /data=" + a}, nil},
		"a canary": {new(world).moves("db", port(1), canary(5)).declares("/data").mounted("db", "/data", a), hold, "no canary: it needs old and new side by side", []string{"1 /data=" + a}, nil},
		"ephemeral": {new(world).moves("db", port(1), ephemeral(steady.EphemeralAll)).declares("/data").mounted("db", "/data", a), beside, "", nil,
			[]string{"/data left: x-steady.ephemeral_volumes says so"}},
		"one of two is ephemeral": {new(world).moves("db", port(1), ephemeral("/cache")).declares("/cache", "/data").mounted("db", "/data", a), hold, "", []string{"1 /data=" + a}, nil},
		"something is mounted over it": {new(world).moves("db", port(1), named("shop_data", "/data")).declares("/data").mounted("db", "/data", a), beside, "", nil,
			[]string{"/data left: the file mounts something else there"}},
		"not declared any more": {new(world).moves("db", port(1)).declares().mounted("db", "/data", a), beside, "", nil, []string{"/data left: neither the file nor the image declares it any more"}},
		"newly declared":        {new(world).moves("db", port(1)).declares("/data"), hold, "", []string{"1 /data=" + fresh(1)}, []string{"/data new"}},
		"it had a name that the file dropped, as Compose has it": {new(world).moves("db", port(1)).declares("/data").mounted("db", "/data", "shop_data"), hold, "", []string{"1 /data=shop_data"}, nil},
		"back to a release that had one without a name": {new(world).moves("db", port(1)).declares("/data").mounted("db", "/data", "shop_data").
			remembers("db", 1, "/data", a).kind(steady.KindRollback), hold, "", []string{"1 /data=" + a}, nil},
		"the data as it is now, by a rollback":  {new(world).moves("db", port(1)).declares("/data").mounted("db", "/data", b).remembers("db", 1, "/data", a).kind(steady.KindRollback), hold, "", []string{"1 /data=" + b}, nil},
		"from Compose":                          {new(world).wants("db", port(1)).foreign("db", 1).declares("/data").mounted("db", "/data", a), stop, "", []string{"1 /data=" + a}, nil},
		"from Compose, whose numbers have gaps": {new(world).wants("db", port(1), replicas(2)).foreign("db", 1).foreign("db", 4).declares("/data").mounted("db", "/data", a, b), stop, "", []string{"1 /data=" + a, "2 /data=" + b}, nil},
		"after down":                            {new(world).wants("db", port(1)).declares("/data").remembers("db", 1, "/data", a).remembers("db", 1, "/data", b), start, "", []string{"1 /data=" + b}, nil},
		"for the first time":                    {new(world).wants("db", port(1)).declares("/data"), start, "", []string{"1 /data=" + fresh(1)}, []string{"/data new"}},
		"the image is still to come":            {unknown(new(world).moves("db", port(1)).mounted("db", "/data", a)), hold, "", []string{"1 /data=" + a}, nil},
		"more replicas than before, and once there were as many": {new(world).moves("db", port(1), replicas(3)).declares("/data").mounted("db", "/data", a, b).
			remembers("db", 3, "/data", c), hold, "", []string{"1 /data=" + a, "2 /data=" + b, "3 /data=" + c}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "more replicas than before, and once there were as many" {
				tt.w.in.Observed.Replicas = tt.w.in.Observed.Replicas[:2]
			}
			p, err := plan.Build(tt.w.in)
			if err != nil {
				t.Fatal(err)
			}
			s := p.Services[0]
			if s.Strategy != tt.strategy || !strings.Contains(s.Cause, tt.cause) {
				t.Errorf("%s (%s): want %s (%s)", s.Strategy, s.Cause, tt.strategy, tt.cause)
			}
			var mounts, told []string
			for _, st := range p.Steps {
				for _, v := range st.Mounts {
					mounts = append(mounts, fmt.Sprintf("%d %s=%s", st.Number, v.Path, v.Name))
				}
			}
			for _, v := range s.Volumes {
				told = append(told, strings.TrimSuffix(v.Path+" "+v.Change+": "+v.Cause, ": "))
			}
			if !slices.Equal(mounts, tt.mounts) {
				t.Errorf("mounts %v, want %v\n%s", mounts, tt.mounts, p)
			}
			if tt.told != nil && !slices.Equal(told, tt.told) {
				t.Errorf("told %v, want %v", told, tt.told)
			}
		})
	}
}

// unknown has the new image still to be pulled.
func unknown(w *world) *world {
	w.in.Targets[0].Release.Image = steady.Image{}
	return w
}

func TestDown_RemovesAnonymousVolumesWhenAskedAndRemembersThemElse(t *testing.T) {
	w := new(world).moves("db", port(1)).mounted("db", "/data", hexed("a")).remembers("db", 2, "/data", hexed("b")).remembers("db", 1, "/data", hexed("a")).
		moves("named", port(2)).mounted("named", "/data", "shop_data")
	for _, asked := range []bool{false, true} {
		p := plan.Down(w.in, asked)
		var removed []string
		for _, v := range p.Steps[len(p.Steps)-1].Mounts {
			removed = append(removed, v.Name)
		}
		slices.Sort(removed)
		if want := []string{hexed("a"), hexed("b")}; asked && !slices.Equal(removed, want) || !asked && removed != nil {
			t.Errorf("asked %v: removes %v", asked, removed)
		}
		if len(p.Volumes) != 1 || p.Volumes[0].Name != hexed("a") {
			t.Errorf("remembers %v: want what is there now", p.Volumes)
		}
	}
}

// mounts are the anonymous volumes of containers.
type mounts map[string][]steady.AnonymousVolume

func mountsOf(seen steady.Observed) mounts {
	out := mounts{}
	for _, r := range seen.Replicas {
		for _, v := range r.Volumes {
			out[r.Name] = append(out[r.Name], steady.AnonymousVolume{Name: v.Name})
		}
	}
	return out
}

// alone checks that what starts has its anonymous volumes for itself, whatever the plan
// and however it is undone.
func (s *sim) alone(t *rapid.T, p steady.Plan, st steady.Step) {
	for name, has := range s.mounts {
		for _, v := range has {
			shared := slices.ContainsFunc(s.mounts[st.Replica], func(o steady.AnonymousVolume) bool { return o.Name == v.Name })
			if name != st.Replica && s.run[name] && shared {
				t.Fatalf("%s: %s runs on its anonymous volume\n%s", st.ID, name, p)
			}
		}
	}
}

// anonymously draws which services have an anonymous volume, of those that are there and
// of those that are wanted.
func anonymously(t *rapid.T, w *world) {
	for i, tg := range w.in.Targets {
		service := tg.Release.Service
		if rapid.IntRange(0, 2).Draw(t, "anonymous volume") > 0 {
			continue
		}
		sourceless("/data")(&w.in.Targets[i].Release.Spec)
		if rapid.IntRange(0, 3).Draw(t, "ephemeral") == 0 {
			w.in.Targets[i].Release.Spec.EphemeralVolumes = []string{"/data"}
		}
		for j, c := range w.in.Observed.Replicas {
			if c.Service == service && rapid.IntRange(0, 3).Draw(t, "had none") > 0 {
				w.in.Observed.Replicas[j].Volumes = []steady.MountedVolume{{Path: "/data", Anonymous: true, Name: steady.NewAnonymousVolume("was", service, j, "/data").Name}}
			}
		}
	}
}
