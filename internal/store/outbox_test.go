package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/store"
)

func TestReceivers_AreThoseOfTheLastDeploy(t *testing.T) {
	s := opened(t)
	is := func(want ...steady.Receiver) {
		t.Helper()
		got, err := s.Receivers(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("receivers (-want +got):\n%s", d)
		}
	}
	is()
	one := steady.Receiver{Webhook: "https://a", SecretEnv: "S", On: []string{"done"}}
	for _, all := range [][]steady.Receiver{{one, {Command: []string{"x"}, Dir: "/"}}, {one}, nil} {
		if err := s.PutReceivers(t.Context(), "shop", all); err != nil {
			t.Fatal(err)
		}
		is(all...)
	}
}

func TestOutbox_KeepsWhatIsOnItsWay(t *testing.T) {
	s := opened(t)
	at := time.Unix(7, 5).UTC()
	d := steady.Delivery{Project: "shop", Rollout: 17, Notice: "done", Receiver: steady.Receiver{Slack: "https://a"}, Name: "slack a", Body: []byte(`{"a":1}`), Made: at, Due: at}
	ds := []steady.Delivery{d, d}
	if err := s.Enqueue(t.Context(), ds); err != nil {
		t.Fatal(err)
	}
	got, err := s.Waiting(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ds, got); diff != "" || ds[0].ID == 0 || ds[1].ID <= ds[0].ID {
		t.Errorf("waiting (-want +got):\n%s", diff)
	}
	first := ds[0]
	first.Tries, first.Error, first.Due = 1, "refused", at.Add(time.Second)
	if err := s.Attempted(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Waiting(t.Context()); err != nil || len(got) != 2 || got[0].Tries != 1 || got[0].Error != "refused" {
		t.Errorf("after a try %+v, %v", got, err)
	}
	first.Tries, first.Error, first.Due, first.Ended = 2, "", time.Time{}, at.Add(time.Minute)
	if err := s.Attempted(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Waiting(t.Context()); err != nil || len(got) != 1 || got[0].ID != ds[1].ID {
		t.Errorf("after its delivery %+v, %v", got, err)
	}
	if got, err = s.Deliveries(t.Context(), "shop", 10); err != nil || len(got) != 2 || got[0].ID != ds[1].ID || !got[1].Delivered() {
		t.Errorf("deliveries %+v, %v", got, err)
	}
}

// A receiver that is dead for good does not fill the disk.
func TestOutbox_IsBounded(t *testing.T) {
	s := opened(t)
	at := time.Unix(7, 0).UTC()
	var ds []steady.Delivery
	for i := range store.MostOnTheirWay + store.KeptDeliveries + 20 {
		ds = append(ds, steady.Delivery{Project: "shop", Notice: "done", Name: fmt.Sprint(i), Body: []byte("{}"), Made: at, Due: at})
	}
	if err := s.Enqueue(t.Context(), ds); err != nil {
		t.Fatal(err)
	}
	all, err := s.Deliveries(t.Context(), "shop", len(ds))
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := s.Waiting(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(waiting) != store.MostOnTheirWay || waiting[0].ID != ds[store.KeptDeliveries+20].ID || len(all) != store.MostOnTheirWay+store.KeptDeliveries {
		t.Errorf("%d waiting, %d in all", len(waiting), len(all))
	}
	if last := all[len(all)-1]; last.Delivered() || last.Error == "" {
		t.Errorf("what was dropped is %+v", last)
	}
}
