package daemon

import (
	"context"

	"gesalpai.ch/steady"
)

// shownDeliveries is how many notifications are shown of a project.
const shownDeliveries = 50

// learn keeps whom the files name to be told, before the rollout is accepted: that is
// the first thing to tell.
func (b *backend) learn(ctx context.Context, specs []steady.Spec) error {
	return b.store.PutReceivers(ctx, specs[0].Project, specs[0].Notify)
}

// tell hands the notifier what may be told of an event.
func (b *backend) tell(ctx context.Context, e steady.Event) {
	if e.Kind != steady.EventAccepted && !e.Last() {
		return
	}
	r, err := b.store.Rollout(ctx, e.Rollout)
	if err != nil {
		b.notifier.Log.Error("notification lost", "project", e.Project, "rollout", e.Rollout, "err", err)
		return
	}
	b.notifier.Tell(ctx, r, e)
}

func (b *backend) Notifications(ctx context.Context, project string) ([]steady.Delivery, error) {
	if err := b.known(ctx, project); err != nil {
		return nil, err
	}
	all, err := b.store.Deliveries(ctx, project, shownDeliveries)
	return shown(all), err
}

func (b *backend) TestNotify(ctx context.Context, project string, receivers []steady.Receiver) ([]steady.Delivery, error) {
	all, err := b.notifier.Test(ctx, project, receivers)
	return shown(all), err
}

func shown(all []steady.Delivery) []steady.Delivery {
	out := []steady.Delivery{}
	for _, d := range all {
		out = append(out, d.Shown())
	}
	return out
}
