package store

import (
	"database/sql"
	"fmt"

	"gesalpai.ch/steady"
)

// migrations bring a store from user_version i to i+1. Those that were released
// are never changed, only followed by others. Times are nanoseconds since 1970,
// 0 for none; what is only ever read whole is JSON.
var migrations = []string{
	`
CREATE TABLE rollouts (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	project  TEXT    NOT NULL,
	kind     TEXT    NOT NULL,
	number   INTEGER NOT NULL,
	services TEXT    NOT NULL,
	state    TEXT    NOT NULL,
	who      TEXT    NOT NULL,
	started  INTEGER NOT NULL,
	ended    INTEGER NOT NULL,
	error    TEXT,
	receipt  TEXT
) STRICT;
CREATE INDEX rollouts_project ON rollouts (project, id);
CREATE INDEX rollouts_unfinished ON rollouts (id) WHERE state IN ('running', 'undoing');

CREATE TABLE releases (
	project      TEXT    NOT NULL,
	service      TEXT    NOT NULL,
	number       INTEGER NOT NULL,
	rollout      INTEGER NOT NULL REFERENCES rollouts (id),
	created      INTEGER NOT NULL,
	served       INTEGER NOT NULL DEFAULT 0,
	digest       TEXT    NOT NULL,
	spec         TEXT    NOT NULL,
	image_ref    TEXT    NOT NULL,
	image_id     TEXT    NOT NULL,
	image_digest TEXT    NOT NULL,
	PRIMARY KEY (project, service, number)
) STRICT;
CREATE INDEX releases_number ON releases (project, number);

CREATE TABLE plans (
	rollout INTEGER NOT NULL REFERENCES rollouts (id),
	n       INTEGER NOT NULL,
	plan    TEXT    NOT NULL,
	PRIMARY KEY (rollout, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (
	rollout INTEGER NOT NULL REFERENCES rollouts (id),
	plan    INTEGER NOT NULL,
	step    TEXT    NOT NULL,
	begun   INTEGER NOT NULL,
	ended   INTEGER NOT NULL DEFAULT 0,
	error   TEXT,
	PRIMARY KEY (rollout, plan, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
	rollout INTEGER NOT NULL REFERENCES rollouts (id),
	seq     INTEGER NOT NULL,
	event   TEXT    NOT NULL,
	PRIMARY KEY (rollout, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE routes (
	project  TEXT    NOT NULL,
	service  TEXT    NOT NULL,
	release  INTEGER NOT NULL,
	replicas TEXT    NOT NULL,
	ports    TEXT    NOT NULL,
	PRIMARY KEY (project, service)
) STRICT, WITHOUT ROWID;

CREATE TABLE tables (version INTEGER NOT NULL) STRICT;
-- The proxy may outlive a store that was lost, and refuses a table older than its
-- own: a new store counts on from the clock, in seconds, so that it is ahead.
INSERT INTO tables VALUES (unixepoch());
`,
	`
ALTER TABLE routes ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE routes ADD COLUMN redirect INTEGER NOT NULL DEFAULT 0;
`,
	`
ALTER TABLE routes ADD COLUMN sticky TEXT;
ALTER TABLE releases ADD COLUMN image_built INTEGER NOT NULL DEFAULT 0;
CREATE TABLE maintenance (
	project     TEXT NOT NULL,
	service     TEXT NOT NULL,
	maintenance TEXT NOT NULL,
	PRIMARY KEY (project, service)
) STRICT, WITHOUT ROWID;
`,
	`ALTER TABLE routes ADD COLUMN rules TEXT NOT NULL DEFAULT 'null';`,
	`ALTER TABLE routes ADD COLUMN passing TEXT NOT NULL DEFAULT '{}';`,
	ledger,
	`
CREATE TABLE warm (
	project TEXT    NOT NULL,
	service TEXT    NOT NULL,
	release INTEGER NOT NULL,
	until   INTEGER NOT NULL,
	PRIMARY KEY (project, service)
) STRICT, WITHOUT ROWID;
`,
	`
CREATE TABLE stages (
	rollout INTEGER PRIMARY KEY REFERENCES rollouts (id),
	stage   TEXT NOT NULL
) STRICT;
`,
	`
CREATE TABLE receivers (
	project   TEXT PRIMARY KEY,
	receivers TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	project  TEXT    NOT NULL,
	rollout  INTEGER NOT NULL,
	notice   TEXT    NOT NULL,
	receiver TEXT    NOT NULL,
	name     TEXT    NOT NULL,
	body     TEXT    NOT NULL,
	made     INTEGER NOT NULL,
	due      INTEGER NOT NULL,
	tries    INTEGER NOT NULL,
	ended    INTEGER NOT NULL,
	error    TEXT    NOT NULL
) STRICT;
CREATE INDEX outbox_waiting ON outbox (id) WHERE ended = 0;
CREATE INDEX outbox_project ON outbox (project, id);
`,
	`CREATE TABLE readings (
	rollout INTEGER NOT NULL REFERENCES rollouts (id),
	at      INTEGER NOT NULL,
	reading TEXT    NOT NULL,
	PRIMARY KEY (rollout, at)
) STRICT, WITHOUT ROWID;`,
	volumes,
	`ALTER TABLE releases ADD COLUMN done INTEGER NOT NULL DEFAULT 0;`,
	keptLogs,
	declared,
}

// migrate checks the file and brings it to the newest schema, all or nothing.
func migrate(path string, db *sql.DB) error {
	if err := check(path, db); err != nil {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var version int
	if err := tx.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return steady.ErrStore.With(
			fmt.Sprintf("the store %s was written by a newer steady (schema %d, this one knows %d)", path, version, len(migrations)),
			"install that steady again, or go on without its history: "+aside(path))
	}
	if version == len(migrations) {
		return nil
	}
	for _, m := range migrations[version:] {
		if _, err := tx.Exec(m); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
	}
	if _, err := tx.Exec(fmt.Sprintf("PRAGMA user_version = %d", len(migrations))); err != nil {
		return err
	}
	return tx.Commit()
}

// check reads the file through once: damage is better told now than in the middle
// of a rollout.
func check(path string, db *sql.DB) error {
	var says string
	if err := db.QueryRow("PRAGMA quick_check(1)").Scan(&says); err != nil {
		return err
	}
	if says != "ok" {
		return damaged{foreign(path, "is damaged ("+says+")")}
	}
	return nil
}
