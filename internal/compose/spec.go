package compose

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"

	"gesalpai.ch/steady"
)

// specOf brings together the service's model, its captured calls and x-steady.
func specOf(ctx context.Context, model *types.Project, s types.ServiceConfig, c calls, hash func(context.Context, string) (string, error)) (steady.Spec, error) {
	body := c.containers[s.Name]
	if hash != nil {
		// The SDK's own hash stands where the plugin cannot be asked.
		if h, err := hash(ctx, s.Name); err == nil && h != "" {
			body.Labels[api.ConfigHashLabel] = h
		}
	}
	own, err := settingsOf(model, s)
	if err != nil {
		return steady.Spec{}, err
	}
	ports, rules, probe, err := waysOf(model, s, own)
	if err != nil {
		return steady.Spec{}, err
	}
	build, err := buildOf(model, s)
	if err != nil {
		return steady.Spec{}, err
	}
	networks, err := networksOf(model, s, body, c)
	if err != nil {
		return steady.Spec{}, err
	}
	ephemeral, err := ephemeralOf(model, s, own)
	if err != nil {
		return steady.Spec{}, err
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return steady.Spec{}, fmt.Errorf("write the container of %s: %w", s.Name, err)
	}
	return steady.Spec{
		Project:       model.Name,
		Service:       s.Name,
		WorkingDir:    model.WorkingDir,
		Files:         model.ComposeFiles,
		Image:         api.GetImageNameOrDefault(s, model.Name),
		Build:         build,
		PullPolicy:    s.PullPolicy,
		Platform:      cmp.Or(s.Platform, model.Environment["DOCKER_DEFAULT_PLATFORM"]),
		Container:     raw,
		Networks:      networks,
		Volumes:       volumesOf(model, s, c),
		ContainerName: s.ContainerName,
		NetworkMode:   s.NetworkMode,
		Restart:       restartOf(body.HostConfig.RestartPolicy),
		StopGrace:     graceOf(s),
		Ports:         ports,
		Routes:        rules,
		Internal:      setting(own, "internal", ""),
		State:         stateOf(model, s),
		Contents:      contentsOf(model, s),
		DependsOn:     dependenciesOf(model, s),
		Job:           isJob(model, s.Name),
		Replicas:      s.GetScale(),
		Probe:         probe,
		Update:        updateOf(s, own),
		Drain:         drainOf(own),
		Sticky:        stickyOf(own),
		Ingress:       ingressOf(own),
		Holding:       holdingOf(own),
		Rollback:      rollbackOf(s, own),
		Warm:          warmOf(own),
		Canary:        canaryOf(own),
		Assets:        setting[[]string](own, "assets", nil),
		Hooks:         own.hooks, ProjectHooks: own.projectHooks, Notify: own.receivers,

		EphemeralVolumes: ephemeral,
	}, nil
}

// waysOf are the ways by which requests come to the service, and the question that
// goes the same way.
func waysOf(model *types.Project, s types.ServiceConfig, own settings) ([]steady.Port, []steady.Rule, steady.Probe, error) {
	ports, err := portsOf(s, own)
	if err != nil {
		return nil, nil, steady.Probe{}, err
	}
	rules, err := rulesOf(model, s, own)
	if err != nil {
		return nil, nil, steady.Probe{}, err
	}
	probe, err := probeOf(s, asked(ports, rules), own)
	if err != nil {
		return nil, nil, steady.Probe{}, err
	}
	if len(ports) == 0 && len(rules) > 0 { // the words are part of the release's digest: those of published ports stay
		probe.Cause = strings.Replace(probe.Cause, "published port", "routed port", 1)
	}
	return ports, rules, probe, nil
}

// restartOf writes the policy as the files do.
func restartOf(p container.RestartPolicy) string {
	switch {
	case p.Name == "":
		return string(container.RestartPolicyDisabled)
	case p.MaximumRetryCount > 0:
		return fmt.Sprintf("%s:%d", p.Name, p.MaximumRetryCount)
	}
	return string(p.Name)
}

func graceOf(s types.ServiceConfig) time.Duration {
	if s.StopGracePeriod == nil {
		return steady.DefaultStopGrace
	}
	return time.Duration(*s.StopGracePeriod)
}

// dependenciesOf includes those that Compose infers from links, volumes_from and
// shared namespaces, and those whose container is named there.
func dependenciesOf(model *types.Project, s types.ServiceConfig) []steady.Dependency {
	var out []steady.Dependency
	for _, name := range sortedKeys(s.DependsOn) {
		d := s.DependsOn[name]
		out = append(out, steady.Dependency{Service: name, Condition: d.Condition, Required: d.Required})
	}
	for _, name := range sharedByName(model, s) {
		if _, stands := s.DependsOn[name]; !stands {
			out = append(out, steady.Dependency{Service: name, Condition: types.ServiceConditionStarted, Required: true})
		}
	}
	return out
}

func isJob(model *types.Project, name string) bool {
	for _, s := range model.Services {
		if s.DependsOn[name].Condition == types.ServiceConditionCompletedSuccessfully {
			return true
		}
	}
	return false
}

func sortedKeys[M ~map[string]V, V any](m M) []string {
	return slices.Sorted(maps.Keys(m))
}
