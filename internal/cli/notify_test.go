package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func (d *fakeDaemon) Notifications(_ context.Context, project string) ([]steady.Delivery, error) {
	d.note("notifications %s", project)
	return d.now().Told, nil
}

func (d *fakeDaemon) TestNotify(_ context.Context, project string, receivers []steady.Receiver) ([]steady.Delivery, error) {
	d.note("test %s %d", project, len(receivers))
	return d.now().Told, fails(d.now().Fail)
}

func TestDeliveryTable_TellsWhatBecameOfEach(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		d    steady.Delivery
		want string
	}{
		{steady.Delivery{}, "on its way"},
		{steady.Delivery{Tries: 1, Ended: now}, "delivered"},
		{steady.Delivery{Tries: 3, Ended: now}, "delivered after 3 tries"},
		{steady.Delivery{Tries: 9, Ended: now, Error: "it answered 404"}, "not delivered: it answered 404"},
		{steady.Delivery{Tries: 2, Due: now.Add(4 * time.Second), Error: "connection refused"}, "2 tries, again in 4s: connection refused"},
	} {
		if got := outcomeOf(tt.d, now); got != tt.want {
			t.Errorf("%+v is %q, want %q", tt.d, got, tt.want)
		}
	}
	got := deliveryTable([]steady.Delivery{{Notice: "done", Rollout: 17, Name: "webhook ops.example.ch", Tries: 1, Ended: now}}, now)
	if !strings.Contains(got, "webhook ops.example.ch") || !strings.Contains(got, "17") {
		t.Errorf("table:\n%s", got)
	}
}
