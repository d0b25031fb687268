package store

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"gesalpai.ch/steady"
)

// A store of the first schema is read by this one, routes and all.
func TestOpen_BringsAStoreOfTheFirstSchemaForward(t *testing.T) {
	path := filepath.Join(t.TempDir(), "steady.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{migrations[0], "PRAGMA user_version = 1", fmt.Sprintf("PRAGMA application_id = %d", applicationID), `INSERT INTO routes VALUES ('shop', 'api', 3, '["shop-api-3-1"]', '[]')`} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	old, err := s.Routes(t.Context(), "shop")
	if err != nil || len(old) != 1 || old[0].Release != 3 || old[0].Held {
		t.Fatalf("routes %+v, %v", old, err)
	}
	held := old[0]
	held.Held = true
	if err := s.PutRoutes(t.Context(), []steady.Route{held}); err != nil {
		t.Fatal(err)
	}
	if now, err := s.Routes(t.Context(), "shop"); err != nil || len(now) != 1 || !now[0].Held {
		t.Errorf("routes %+v, %v", now, err)
	}
}
