package docker

import (
	"context"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// restartNoMore makes sure that a container which is about to be stopped stays
// so, also when the Engine or the machine starts again. Ours carry their policy in
// a label and get "no". One that Compose made has no such label and none can be
// added, so what Start could not restore is not taken away: "unless-stopped" and
// "on-failure" hold a stop as well, "always" does not and becomes
// "unless-stopped".
func (e *Engine) restartNoMore(ctx context.Context, c container.InspectResponse) error {
	now := c.HostConfig.RestartPolicy
	if _, ours := c.Config.Labels[labelRestart]; ours {
		return e.setRestart(ctx, c, now, container.RestartPolicy{Name: container.RestartPolicyDisabled})
	}
	if now.IsAlways() {
		return e.setRestart(ctx, c, now, container.RestartPolicy{Name: container.RestartPolicyUnlessStopped})
	}
	return nil
}

// restartAsBefore undoes what restartNoMore did, as far as it must be undone.
func (e *Engine) restartAsBefore(ctx context.Context, c container.InspectResponse) error {
	label, ours := c.Config.Labels[labelRestart]
	if !ours {
		return nil
	}
	return e.setRestart(ctx, c, c.HostConfig.RestartPolicy, policyOf(label))
}

func (e *Engine) setRestart(ctx context.Context, c container.InspectResponse, now, want container.RestartPolicy) error {
	if policyText(now) == policyText(want) {
		return nil
	}
	_, err := e.api.ContainerUpdate(ctx, c.ID, client.ContainerUpdateOptions{RestartPolicy: &want})
	if gone(err) {
		return noReplica(strings.TrimPrefix(c.Name, "/"))
	}
	return e.fail("set the restart policy of "+strings.TrimPrefix(c.Name, "/"), err)
}

// policyText writes a policy as Compose files do: no, always, unless-stopped,
// on-failure or on-failure:3.
func policyText(p container.RestartPolicy) string {
	switch {
	case p.IsNone():
		return string(container.RestartPolicyDisabled)
	case p.IsOnFailure() && p.MaximumRetryCount > 0:
		return string(p.Name) + ":" + strconv.Itoa(p.MaximumRetryCount)
	}
	return string(p.Name)
}

func policyOf(text string) container.RestartPolicy {
	name, count, _ := strings.Cut(text, ":")
	most, _ := strconv.Atoi(count)
	return container.RestartPolicy{Name: container.RestartPolicyMode(name), MaximumRetryCount: most}
}
