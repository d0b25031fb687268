package compose

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// hookCommand is a command as it stands in a file: a line for a shell, or words.
type hookCommand struct {
	argv  []string
	shell bool
}

// hookPlaces are where a hook may run, by its moment; the first is the default.
var hookPlaces = map[string][]string{
	steady.HookBefore: {steady.HookContainer, steady.HookHost},
	steady.HookStop:   {steady.HookExec, steady.HookContainer, steady.HookHost},
	steady.HookAfter:  {steady.HookExec, steady.HookContainer, steady.HookHost},
}

// hooks reads those of a service, or those at the top, which have no image: they
// run on the host.
func (s section) hooks(said map[string]any) (*steady.Hooks, error) {
	var out steady.Hooks
	for moment, to := range map[string]**steady.Hook{steady.HookBefore: &out.Before, steady.HookStop: &out.Stop, steady.HookAfter: &out.After} {
		h, err := s.hook(said, moment)
		if err != nil {
			return nil, err
		}
		*to = h
	}
	if out == (steady.Hooks{}) {
		return nil, nil
	}
	return &out, nil
}

// hook reads the hook of one moment; nil where nothing is said of it.
func (s section) hook(said map[string]any, moment string) (*steady.Hook, error) {
	prefix := "hooks." + moment + "."
	any := false
	for key := range said {
		any = any || strings.HasPrefix(key, prefix)
	}
	if !any {
		return nil, nil
	}
	command, ok := said[prefix+"command"].(hookCommand)
	if !ok {
		return nil, s.refuse("hooks."+moment, "says no command", `command: ["python", "manage.py", "migrate"]`)
	}
	places := hookPlaces[moment]
	if s.top {
		places = []string{steady.HookHost}
	}
	on, _ := said[prefix+"on"].(string)
	if err := s.placed(moment, cmp.Or(on, places[0]), places); err != nil {
		return nil, err
	}
	h := &steady.Hook{Command: command.argv, Shell: command.shell, On: cmp.Or(on, places[0]), Timeout: steady.DefaultHookTimeout}
	if d, ok := said[prefix+"timeout"].(time.Duration); ok {
		h.Timeout = d
	}
	h.OnRollback, _ = said[prefix+"on_rollback"].(bool)
	return h, nil
}

// placed refuses a place where the hook cannot run, and says why.
func (s section) placed(moment, on string, places []string) error {
	for _, p := range places {
		if p == on {
			return nil
		}
	}
	key := "hooks." + moment + ".on"
	if s.top {
		return s.refuse(key, "hooks of the project run on the host", "set it within the service whose image it needs")
	}
	return s.refuse(key, "there is no replica of the new release yet", "on: container runs it in the new image, on: host on this machine")
}

// words reads a command: a text is a line for /bin/sh -c, a list is its words.
func words(v any) (any, error) {
	switch c := v.(type) {
	case string:
		if strings.TrimSpace(c) != "" {
			return hookCommand{argv: []string{"/bin/sh", "-c", c}, shell: true}, nil
		}
	case []any:
		var out hookCommand
		for _, w := range c {
			out.argv = append(out.argv, fmt.Sprint(w))
		}
		if len(out.argv) > 0 && out.argv[0] != "" {
			return out, nil
		}
	}
	return nil, fmt.Errorf("%v is neither a line nor a list of words", v)
}

func span(v any) (any, error) {
	d, err := duration(v)
	if err == nil && (d == time.Duration(0) || d == any(Forever)) {
		return nil, fmt.Errorf("%v is no time after which a hook could be stopped", v)
	}
	return d, err
}

// hookKeys are the settings of hooks.
func hookKeys() []Key {
	return []Key{
		hookKey(steady.HookBefore, "Runs once per rollout that makes a new release, before any replica of it is created, when the services it depends on are ready: for migrations. If it fails, the rollout ends with nothing changed."),
		hookOn(steady.HookBefore, "container | host", "Where it runs: container is a one-off container of the new image, with the service's environment, volumes and networks, as docker compose run makes it."),
		hookTimeout(steady.HookBefore),
		{Name: "hooks.before.on_rollback", Type: "true | false", Default: "false", parse: boolean,
			Doc: "Whether it runs in a rollback too, from the older image."},
		hookKey(steady.HookStop, "Runs before each old replica is stopped, after its drain; the old release's own hook is used. If it fails, the rollout is undone. It does not run for replicas that were kept warm."),
		hookOn(steady.HookStop, "exec | container | host", "Where it runs: exec is in the old replica, container a one-off container of the old image."),
		hookTimeout(steady.HookStop),
		hookKey(steady.HookAfter, "Runs after everything else. If it fails, that is reported and changes nothing."),
		hookOn(steady.HookAfter, "exec | container | host", "Where it runs: exec is in the first new replica, container a one-off container of the new image."),
		hookTimeout(steady.HookAfter),
	}
}

func hookKey(moment, doc string) Key {
	form := " A string runs with /bin/sh -c; a list is passed to the entrypoint in a container, as with docker compose run, and run as it is elsewhere."
	return Key{Name: "hooks." + moment + ".command", Type: "text | list", Default: "none", ServiceOnly: moment == steady.HookStop, parse: words, Doc: doc + form}
}

func hookOn(moment, kinds, doc string) Key {
	where := hookPlaces[moment][0]
	if moment != steady.HookStop {
		where += ", at the top host"
	}
	return Key{Name: "hooks." + moment + ".on", Type: kinds, Default: where, ServiceOnly: moment == steady.HookStop,
		parse: choice(steady.HookContainer, steady.HookExec, steady.HookHost), Doc: doc}
}

func hookTimeout(moment string) Key {
	return Key{Name: "hooks." + moment + ".timeout", Type: "duration", Default: steady.DefaultHookTimeout.String(), ServiceOnly: moment == steady.HookStop, parse: span,
		Doc: "After that it is stopped, first by its stop signal and then by SIGKILL, and counts as failed."}
}
