package api_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func (f *fake) Notifications(_ context.Context, project string) ([]steady.Delivery, error) {
	f.note(project)
	return []steady.Delivery{{ID: 3, Name: "slack hooks.slack.com"}}, f.err
}

func (f *fake) TestNotify(_ context.Context, project string, receivers []steady.Receiver) ([]steady.Delivery, error) {
	f.note(project, receivers)
	return []steady.Delivery{{ID: 4, Tries: 1}}, f.err
}

func TestNotifications_CrossTheSocket(t *testing.T) {
	f := &fake{}
	c := pair(t, f)
	all, err := c.Notifications(t.Context(), "shop")
	if err != nil || len(all) != 1 || all[0].Name != "slack hooks.slack.com" {
		t.Errorf("%+v, %v", all, err)
	}
	want := []steady.Receiver{{Webhook: "http://127.0.0.1:9", SecretEnv: "S"}}
	if all, err = c.TestNotify(t.Context(), "shop", want); err != nil || len(all) != 1 || all[0].ID != 4 {
		t.Errorf("%+v, %v", all, err)
	}
	if d := cmp.Diff([]any{"shop", "shop", want}, f.asked); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
}
