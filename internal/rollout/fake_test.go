package rollout_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// place is a hand-written Runtime, Router, Prober and Journal in one, with the
// state that would survive a crash of the daemon. It notes every call.
type place struct {
	mu       sync.Mutex
	calls    []string
	replicas map[string]steady.Replica
	projects map[string]string   // container → project
	networks map[string]bool     // by name
	names    map[string][]string // container → its names in the project's network
	exit     map[string]int      // container or image → exit code of a job
	images   map[string]steady.Image
	taken    map[uint16]string           // port → foreign holder
	sick     map[string]error            // container → what the prober says
	deaf     map[string]string           // "container port 80" → why it does not accept there
	left     map[string][]steady.LogLine // by container: kept of its log
	wanted   []steady.Reach              // as asked of new replicas
	blocked  map[string]chan struct{}
	on       map[string]func()   // call → what happens at that moment, under the lock
	fails    map[string]error    // call → its error
	full     bool                // the store's disk
	fullIn   int                 // so many writes later; 0: never
	traffic  steady.Traffic      // what the proxy has counted
	open     map[int]steady.Open // by release
	proxy    time.Time           // when it began
	minute   map[string]steady.Stretch
	flows    func(service string) map[int]steady.Flow // what the proxy measures; nil: nothing
	kept     map[string]steady.Warm                   // by service
	callers  []steady.Caller                          // who has streams open

	aside    map[string]bool          // one-off containers, which are no replicas
	pulls    map[string]steady.Image  // what a registry has; nil: none has anything
	holders  map[string]steady.Holder // by container name
	routes   map[string]steady.Route  // as stored
	unstored map[string]steady.Route  // in force in the place of those
	held     []string                 // every route as it was put in force: its replicas, and whether it was held
	releases []steady.Release
	rollouts map[int64]steady.Rollout
	plans    map[int64]steady.Plan
	begun    map[int64]map[string]bool
	done     map[int64]map[string]bool
	events   map[int64][]steady.Event
	stages   map[int64]steady.Stage
	readings map[int64][]steady.Reading
	dropped  int // readings
	volumes  []steady.AnonymousVolume
	tags     map[string]string // of images of releases → image ID
}

func newPlace() *place {
	return &place{
		unstored: map[string]steady.Route{},
		kept:     map[string]steady.Warm{},
		tags:     map[string]string{},
		replicas: map[string]steady.Replica{}, projects: map[string]string{}, networks: map[string]bool{}, names: map[string][]string{},
		on: map[string]func(){}, fails: map[string]error{}, exit: map[string]int{}, images: map[string]steady.Image{}, taken: map[uint16]string{},
		sick: map[string]error{}, deaf: map[string]string{}, left: map[string][]steady.LogLine{}, blocked: map[string]chan struct{}{}, routes: map[string]steady.Route{}, holders: map[string]steady.Holder{}, aside: map[string]bool{}, rollouts: map[int64]steady.Rollout{},
		plans: map[int64]steady.Plan{}, begun: map[int64]map[string]bool{}, done: map[int64]map[string]bool{}, events: map[int64][]steady.Event{}, stages: map[int64]steady.Stage{}, readings: map[int64][]steady.Reading{},
	}
}

// note locks the place and writes the call down; the caller unlocks by defer.
func (p *place) note(format string, a ...any) func() {
	p.mu.Lock()
	call := fmt.Sprintf(format, a...)
	p.calls = append(p.calls, call)
	if do := p.on[call]; do != nil {
		do()
	}
	return p.mu.Unlock
}

func (p *place) Free(_ context.Context, routes []steady.Route) error {
	defer p.note("free")()
	for _, r := range routes {
		for _, port := range r.Ports {
			if who := p.taken[port.Published]; who != "" {
				return steady.ErrPortTaken.With(fmt.Sprintf("port %d is held by %s", port.Published, who), "stop it")
			}
		}
	}
	return nil
}

func (p *place) Route(_ context.Context, routes []steady.Route) error {
	defer p.note("route")()
	news := func(r steady.Route) bool {
		return !reflect.DeepEqual(p.routes[r.Service], r) && !(r.Gone && p.routes[r.Service].Service == "")
	}
	if slices.ContainsFunc(routes, news) {
		if err := p.store(); err != nil {
			return err
		}
	}
	if err := p.enforce(routes); err != nil {
		return err
	}
	for _, r := range routes {
		delete(p.unstored, r.Service)
		if p.routes[r.Service] = r; r.Gone {
			delete(p.routes, r.Service)
		}
	}
	return nil
}

// enforce has traffic go by the routes.
func (p *place) enforce(routes []steady.Route) error {
	for _, r := range routes {
		dead := func(name string) bool { return !p.replicas[name].Running() }
		if len(r.Replicas) > 0 && len(r.Ports) > 0 && !slices.ContainsFunc(r.Replicas, func(n string) bool { return !dead(n) }) {
			return fmt.Errorf("none of %v runs", r.Replicas)
		}
	}
	for _, r := range routes {
		if r.Gone {
			continue
		}
		how := fmt.Sprint(r.Replicas)
		if r.Hold != nil {
			how += " held"
		}
		p.held = append(p.held, how)
	}
	return nil
}

// ServeUnstored is Route on a full disk.
func (p *place) ServeUnstored(_ context.Context, routes []steady.Route) error {
	defer p.note("serve unstored")()
	for _, r := range routes {
		p.unstored[r.Service] = r
	}
	return p.enforce(routes)
}

// inForce gives the routes that traffic goes by.
func (p *place) inForce() map[string]steady.Route {
	out := maps.Clone(p.routes)
	for service, r := range p.unstored {
		if out[service] = r; r.Gone {
			delete(out, service)
		}
	}
	return out
}

func (p *place) Routes(context.Context, string) ([]steady.Route, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.inForce())), nil
}

func (p *place) Drain(ctx context.Context, names []string, _ steady.Drain) (steady.Drained, error) {
	unlock := p.note("drain %v", names)
	gate := p.blocked["drain "+names[0]]
	unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return steady.Drained{}, context.Cause(ctx)
		}
	}
	return steady.Drained{Requests: 3}, nil
}

func (p *place) Leave(_ context.Context, service, name string, clocks steady.Drain) (steady.Drained, error) {
	defer p.note("leave %s %s", name, clocks.Requests)()
	return steady.Drained{Streams: 1, StreamsCut: 1}, nil
}

func (p *place) Callers(context.Context, string) ([]steady.Caller, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.callers, p.fails["callers"]
}

func (p *place) Reading(context.Context, string, time.Time) (steady.Reading, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.fails["reading"]; err != nil {
		return steady.Reading{}, err
	}
	out := steady.Reading{At: time.Now(), Proxy: p.proxy, Services: map[string]map[int]steady.Measure{}, Minute: p.minute}
	for service, releases := range p.traffic {
		out.Services[service] = map[int]steady.Measure{}
		for n, c := range releases {
			out.Services[service][n] = steady.Measure{Counts: c, Open: p.open[n]}
		}
	}
	return out, nil
}

func (p *place) Flows(_ context.Context, _, service string) (map[int]steady.Flow, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flows == nil {
		return nil, p.fails["flows"]
	}
	return p.flows(service), p.fails["flows"]
}

func (p *place) KeepWarm(_ context.Context, w steady.Warm) error {
	defer p.note("keep %s release %d", w.Service, w.Release)()
	if err := p.store(); err != nil {
		return err
	}
	p.kept[w.Service] = w
	return nil
}

func (p *place) Cool(_ context.Context, w steady.Warm) error {
	defer p.note("cool %s release %d", w.Service, w.Release)()
	if err := p.store(); err != nil {
		return err
	}
	if p.kept[w.Service].Release == w.Release {
		delete(p.kept, w.Service)
	}
	return nil
}

func (p *place) Warm(context.Context, string) ([]steady.Warm, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.kept)), nil
}

func (p *place) Rollouts(_ context.Context, _ string, limit int) ([]steady.Rollout, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.SortedFunc(maps.Values(p.rollouts), func(a, b steady.Rollout) int { return int(b.ID - a.ID) })
	return all[:min(limit, len(all))], nil
}

func (p *place) Events(_ context.Context, id, after int64) ([]steady.Event, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events[id][after:]), nil
}

func (p *place) PutReading(_ context.Context, id int64, r steady.Reading) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.store(); err != nil {
		return err
	}
	p.readings[id] = append(p.readings[id], r)
	return nil
}

func (p *place) DropReadings(_ context.Context, id int64, at []time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.store(); err != nil {
		return err
	}
	p.dropped += len(at)
	p.readings[id] = slices.DeleteFunc(p.readings[id], func(r steady.Reading) bool { return slices.ContainsFunc(at, r.At.Equal) })
	return nil
}

func (p *place) Readings(_ context.Context, id int64) ([]steady.Reading, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.readings[id]), nil
}

func (p *place) Ready(ctx context.Context, name string, _ steady.Probe) (string, error) {
	unlock := p.note("probe %s", name)
	gate, err := p.blocked[name], p.sick[name]
	unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	return "200 /health", err
}

// refuses says of each way by name on which a container does not accept.
func (p *place) refuses(name string, ways []steady.Way) (accepts []steady.Way, silent []string) {
	for _, w := range ways {
		if why := p.deaf[name+" "+w.Name]; why != "" {
			silent = append(silent, w.Name+": "+why)
			continue
		}
		accepts = append(accepts, w)
	}
	return accepts, silent
}

func (p *place) Reach(_ context.Context, name string, want steady.Reach, _ func(string)) (steady.Reached, error) {
	defer p.note("reach %s", name)()
	p.wanted = append(p.wanted, want)
	accepts, silent := p.refuses(name, want.Ways)
	for _, w := range want.Ways {
		if w.Need == steady.NeedMust && p.deaf[name+" "+w.Name] != "" || want.One && len(accepts) == 0 {
			return steady.Reached{}, steady.ErrUnreachable.With(name+" cannot be reached at "+strings.Join(silent, "; "), "")
		}
	}
	return steady.Reached{Accepts: accepts, Silent: silent}, nil
}

func (p *place) Accepts(_ context.Context, name string, ways []steady.Way) ([]steady.Way, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	accepts, _ := p.refuses(name, ways)
	return accepts, nil
}

func (p *place) StillAccepts(_ context.Context, name string, ways []steady.Way) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, silent := p.refuses(name, ways); len(silent) > 0 {
		return steady.ErrUnreachable.With(name+" accepts no more at "+strings.Join(silent, "; "), "")
	}
	return nil
}

func (p *place) store() error {
	if p.fullIn > 0 {
		p.fullIn--
		p.full = p.full || p.fullIn == 0
	}
	if p.full {
		return steady.ErrStore.With("the store is full", "df -h")
	}
	return nil
}

func (p *place) Accept(_ context.Context, r *steady.Rollout, releases []steady.Release) error {
	defer p.note("accept")()
	if err := p.store(); err != nil {
		return err
	}
	r.ID = int64(len(p.rollouts) + 1)
	r.Number = max(r.Number, 1)
	for _, x := range p.releases {
		r.Number = max(r.Number, x.Number+1)
	}
	for i := range releases {
		releases[i].Number, releases[i].Rollout = r.Number, r.ID
		p.releases = append(p.releases, releases[i])
	}
	p.rollouts[r.ID] = *r
	p.begun[r.ID], p.done[r.ID] = map[string]bool{}, map[string]bool{}
	return nil
}

func (p *place) journalImage(service string, number int, img steady.Image) {
	for i := range p.releases {
		if p.releases[i].Service == service && p.releases[i].Number == number {
			p.releases[i].Image = img
		}
	}
}

func (p *place) Contents(_ context.Context, r steady.Release) error {
	defer p.note("contents %s", r.Service)()
	if err := p.store(); err != nil {
		return err
	}
	for i := range p.releases {
		if p.releases[i].Service == r.Service && p.releases[i].Number == r.Number {
			p.releases[i].Spec.Contents, p.releases[i].Spec.Original = r.Spec.Contents, r.Spec.Original
		}
	}
	return nil
}

func (p *place) Planned(_ context.Context, id int64, pl steady.Plan) error {
	defer p.note("planned")()
	if err := p.store(); err != nil {
		return err
	}
	p.plans[id] = pl
	p.volumes = append(p.volumes, pl.Volumes...)
	return nil
}

func (p *place) Volumes(context.Context, string) ([]steady.AnonymousVolume, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.volumes), nil
}

func (p *place) Releases(context.Context, string) ([]steady.Release, map[string]int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	serving := map[string]int{}
	for service, r := range p.routes {
		serving[service] = r.Release
	}
	newest := slices.Clone(p.releases)
	slices.Reverse(newest)
	for i, r := range newest {
		if made := p.rollouts[r.Rollout]; made.State == steady.RolloutDone {
			newest[i].Served = made.Ended
		}
	}
	return newest, serving, nil
}

func (p *place) Projects(context.Context) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.releases) == 0 {
		return nil, nil
	}
	return []string{p.releases[0].Project}, nil
}

func (p *place) ForgetVolumes(context.Context, string, string) error {
	defer p.note("forget volumes")()
	if err := p.store(); err != nil {
		return err
	}
	p.volumes = nil
	return nil
}

func (p *place) Begin(_ context.Context, id int64, step string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.store(); err != nil {
		return err
	}
	p.begun[id][step] = true
	return nil
}

func (p *place) End(_ context.Context, id int64, step string, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.store(); err != nil {
		return err
	}
	if err == nil {
		p.done[id][step] = true
	}
	return nil
}

func (p *place) Progress(_ context.Context, id int64) (steady.Plan, map[string]bool, map[string]bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.plans[id], maps.Clone(p.begun[id]), maps.Clone(p.done[id]), nil
}

func (p *place) Event(_ context.Context, e *steady.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.store(); err != nil {
		return err
	}
	e.Seq = int64(len(p.events[e.Rollout]) + 1)
	p.events[e.Rollout] = append(p.events[e.Rollout], *e)
	return nil
}

func (p *place) Update(_ context.Context, r steady.Rollout) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.store(); err != nil {
		return err
	}
	p.rollouts[r.ID] = r
	return nil
}

func (p *place) Serving(context.Context, string) (map[string]steady.Release, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]steady.Release{}
	for s, r := range p.routes {
		if x, ok := p.find(s, r.Release); ok {
			out[s] = x
		}
	}
	return out, nil
}

func (p *place) find(service string, number int) (steady.Release, bool) {
	for _, r := range p.releases {
		if r.Service == service && r.Number == number {
			return r, true
		}
	}
	return steady.Release{}, false
}

func (p *place) Release(_ context.Context, _, service string, number int) (steady.Release, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r, ok := p.find(service, number); ok {
		return r, nil
	}
	return steady.Release{}, steady.ErrNoRelease
}

func (p *place) KeepLog(_ context.Context, id int64, c steady.Replica, lines []steady.LogLine) error {
	defer p.note("keep the log of %s", c.Name)()
	if err := p.store(); err != nil {
		return err
	}
	p.left[c.Name] = lines
	return nil
}

func (p *place) Completed(_ context.Context, _, service string, number int, at time.Time) error {
	defer p.note("completed %s release %d", service, number)()
	if err := p.store(); err != nil {
		return err
	}
	for i, r := range p.releases {
		if r.Service == service && r.Number == number {
			p.releases[i].Done = at
		}
	}
	return nil
}

func (p *place) Unfinished(context.Context) ([]steady.Rollout, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []steady.Rollout
	for _, r := range p.rollouts {
		if !r.Final() {
			out = append(out, r)
		}
	}
	return out, nil
}

// journal gives the place the Journal's Image, which Runtime's of the same name
// hides.
type journal struct{ *place }

func (j journal) Image(_ context.Context, _, service string, number int, img steady.Image) error {
	defer j.note("journal image")()
	if err := j.store(); err != nil {
		return err
	}
	j.journalImage(service, number, img)
	return nil
}

func (p *place) state(id int64) steady.Rollout {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rollouts[id]
}

// containers lists the containers, "+" for those that run.
func (p *place) containers() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, n := range slices.Sorted(maps.Keys(p.replicas)) {
		if r := p.replicas[n]; r.Running() {
			n += "+"
		}
		out = append(out, n)
	}
	return out
}

func (p *place) route(service string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.inForce()[service]
	if !ok {
		return "none"
	}
	return fmt.Sprint(r.Release, r.Replicas)
}

const soon = 10 * time.Second

func (p *place) Stage(_ context.Context, id int64) (steady.Stage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stages[id], nil
}

func (p *place) PutStage(_ context.Context, id int64, s steady.Stage) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.store(); err != nil {
		return err
	}
	p.stages[id] = s
	return nil
}
