package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func ledgerAt(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "steady.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAudit_IsReadAsItWasWrittenNewestFirstWithWhatCameOfIt(t *testing.T) {
	s, ctx := ledgerAt(t), t.Context()
	r := steady.Rollout{Project: "shop", Kind: steady.KindDeploy, State: steady.RolloutRolledBack}
	must(t, s.Accept(ctx, &r, nil))
	at := time.Now().UTC().Truncate(time.Millisecond)
	deploy := steady.Deed{Time: at.Add(-time.Hour), Command: "deploy", Project: "shop", Services: []string{"api"}, Asked: []string{"force"},
		Origin: steady.Origin{Who: "eva@host", Peer: &steady.Peer{UID: 7, PID: 8}}}
	lock, other := steady.Deed{Time: at, Command: "lock acquire", Project: "shop"}, steady.Deed{Time: at, Command: "deploy", Project: "blog"}
	for _, d := range []*steady.Deed{&deploy, &lock, &other} {
		must(t, s.PutDeed(ctx, d))
	}
	deploy.Outcome, deploy.Rollout, deploy.Ended = steady.DeedAccepted, r.ID, at
	must(t, s.PutOutcome(ctx, deploy))
	deploy.State = steady.RolloutRolledBack
	for name, tt := range map[string]struct {
		q    steady.AuditQuery
		want []steady.Deed
	}{
		"all":      {steady.AuditQuery{}, []steady.Deed{other, lock, deploy}},
		"one's":    {steady.AuditQuery{Project: "shop"}, []steady.Deed{lock, deploy}},
		"lately":   {steady.AuditQuery{Project: "shop", Since: at.Add(-time.Minute)}, []steady.Deed{lock}},
		"the last": {steady.AuditQuery{Limit: 1}, []steady.Deed{other}},
	} {
		got, err := s.Deeds(ctx, tt.q)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestAudit_IsAppendOnly(t *testing.T) {
	s, ctx := ledgerAt(t), t.Context()
	d := steady.Deed{Command: "deploy"}
	must(t, s.PutDeed(ctx, &d))
	must(t, s.PutOutcome(ctx, steady.Deed{ID: d.ID, Outcome: steady.DeedDone}))
	for _, q := range []string{"UPDATE deeds SET deed = '{}'", "UPDATE outcomes SET outcome = 'refused'", "DELETE FROM deeds", "DELETE FROM outcomes",
		"INSERT OR REPLACE INTO deeds (id, time, project, deed) VALUES (1, 0, '', '{}')",
		"INSERT OR REPLACE INTO outcomes (deed, time, outcome, code, rollout) VALUES (1, 0, 'refused', '', 0)"} {
		err := s.write(ctx, s.sure, "tamper", func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "PRAGMA defer_foreign_keys = ON; "+q)
			return err
		})
		if err == nil {
			t.Errorf("%s: it went through", q)
		}
	}
	if err := s.PutOutcome(ctx, steady.Deed{ID: d.ID, Outcome: steady.DeedRefused}); err == nil {
		t.Error("an outcome was written over")
	}
}

func TestAudit_KeepsWhatIsYoungAndLetsWhatIsOldGo(t *testing.T) {
	s, ctx := ledgerAt(t), t.Context()
	for _, days := range []int{KeptDeeds + 5, KeptDeeds - 1, 0} {
		d := steady.Deed{Time: time.Now().AddDate(0, 0, -days), Command: "deploy"}
		must(t, s.PutDeed(ctx, &d))
		must(t, s.PutOutcome(ctx, steady.Deed{ID: d.ID, Outcome: steady.DeedDone}))
	}
	all, err := s.Deeds(ctx, steady.AuditQuery{})
	if err != nil || len(all) != 2 {
		t.Errorf("%d deeds are kept, want 2 (%v)", len(all), err)
	}
}

func TestLeases_AreKeptAsTheyWerePut(t *testing.T) {
	s, ctx := ledgerAt(t), t.Context()
	now := time.Now().UTC().Truncate(time.Millisecond)
	rollout := steady.Lease{Project: "shop", Services: []string{"api"}, Kind: steady.LeaseRollout, Rollout: 4, Beat: now}
	person := steady.Lease{Project: "shop", Kind: steady.LeasePerson, Owner: "eva@host", Message: "the fair", Since: now, Expires: now.Add(time.Hour)}
	is := func(want ...steady.Lease) {
		t.Helper()
		got, err := s.Leases(ctx)
		if diff := cmp.Diff(append([]steady.Lease{}, want...), got); diff != "" || err != nil {
			t.Error(err, diff)
		}
	}
	must(t, s.BeatLease(ctx, rollout))
	must(t, s.KeepLeases(ctx, "shop", []steady.Lease{person}))
	rollout.Step = "api/drain"
	must(t, s.BeatLease(ctx, rollout))
	is(rollout, person)
	must(t, s.KeepLeases(ctx, "blog", nil))
	must(t, s.DropLease(ctx, 4))
	is(person)
	must(t, s.KeepLeases(ctx, "shop", nil))
	is()
}
