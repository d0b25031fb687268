package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// Relist is the Change that says: look at everything again. Events alone are never
// the truth, some may be missed.
const Relist = "relist"

// HolderChange is the Change that says: the holder of Service has started, has died
// or was removed. One that died comes back by itself, in another network namespace.
const HolderChange = "holder"

// NetworkChange is the Change that says: the container whose ID Replica is has
// joined or left a network, or, where that is empty, a network was removed.
const NetworkChange = "network"

const (
	relistEvery  = 30 * time.Second
	retryFirst   = 100 * time.Millisecond
	retryAtMost  = 5 * time.Second
	healthStatus = "health_status"
)

// watched are the events that change what a replica is, or where it is found.
var watched = []string{"connect", "disconnect", "create", "start", "die", "stop", "kill", "restart", "destroy", "oom", "pause", "unpause", "rename", healthStatus}

// Change is something that happened to a container of a project.
type Change struct {
	Project string
	Service string
	Replica string    // container name
	What    string    // the Engine's word: start, die, oom, health_status: healthy, …; or HolderChange, or NetworkChange; or Relist, and all else is empty
	Time    time.Time // by the Engine's clock
}

// Watch tells what happens to the containers of all projects until ctx ends; its
// error is then ctx's. It begins with a Relist and gives one more every 30 s and
// whenever it had to connect again, from the event on that it saw last; an event
// may be told twice. While no Engine answers it keeps trying. say is called from
// one goroutine and holds up the events while it runs.
func (e *Engine) Watch(ctx context.Context, say func(Change)) error {
	var since string
	pause := retryFirst
	for {
		began := time.Now()
		err := e.watch(ctx, &since, say)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Since(began) > retryAtMost {
			pause = retryFirst
		}
		e.log.Warn("the Engine's events broke off", "again_in", pause, "err", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause = min(2*pause, retryAtMost)
	}
}

// watch follows one connection's events and notes where to go on.
func (e *Engine) watch(ctx context.Context, since *string, say func(Change)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Not by label: networks' events have none.
	of := client.Filters{}.Add("type", "container", "network").Add("event", watched...)
	got := e.api.Events(ctx, client.EventsListOptions{Since: *since, Filters: of})
	defer func() { // its goroutine ends with ctx, and says so
		cancel()
		for range got.Err {
		}
	}()
	select {
	case err := <-got.Err:
		return e.fail("follow the Engine's events", err)
	default:
		say(Change{What: Relist, Time: time.Now()})
	}
	tick := time.NewTicker(relistEvery)
	defer tick.Stop()
	for {
		select {
		case m := <-got.Messages:
			*since = fmt.Sprintf("%d.%09d", m.TimeNano/1e9, m.TimeNano%1e9)
			if c, ok := changeOf(m); ok {
				say(c)
			}
		case <-tick.C:
			say(Change{What: Relist, Time: time.Now()})
		case err := <-got.Err:
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return e.fail("follow the Engine's events", err)
		}
	}
}

// changeOf reads an event. Its attributes are the container's labels and its name.
func changeOf(m events.Message) (Change, bool) {
	c := Change{
		Project: m.Actor.Attributes[labelProject],
		Service: m.Actor.Attributes[labelService],
		Replica: strings.TrimPrefix(m.Actor.Attributes["name"], "/"),
		What:    string(m.Action),
		Time:    time.Unix(0, m.TimeNano),
	}
	if m.Type == events.NetworkEventType {
		return Change{What: NetworkChange, Replica: m.Actor.Attributes["container"], Time: c.Time}, true
	}
	if m.Actor.Attributes[steady.LabelHolder] != "" {
		told := m.Action == events.ActionStart || m.Action == events.ActionDie || m.Action == events.ActionDestroy
		c.What = HolderChange
		return c, told
	}
	return c, c.Project != "" && !aside(m.Actor.Attributes)
}
