package store

import "fmt"

// KeptDeeds is for how many days the audit log keeps a deed at least; the table's
// trigger lets nobody take away a younger one.
const KeptDeeds = 400

// ledger is the schema of leases and of the audit log. The log is append-only: what
// came of a deed is a row of its own, and no row is ever changed.
var ledger = fmt.Sprintf(`
CREATE TABLE leases (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	project TEXT    NOT NULL,
	rollout INTEGER NOT NULL,
	lease   TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX leases_rollout ON leases (rollout) WHERE rollout > 0;

CREATE TABLE deeds (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	time    INTEGER NOT NULL,
	project TEXT    NOT NULL,
	deed    TEXT    NOT NULL
) STRICT;
CREATE INDEX deeds_time ON deeds (time);

CREATE TABLE outcomes (
	deed    INTEGER PRIMARY KEY REFERENCES deeds (id),
	time    INTEGER NOT NULL,
	outcome TEXT    NOT NULL,
	code    TEXT    NOT NULL,
	rollout INTEGER NOT NULL
) STRICT;

CREATE TRIGGER deeds_stay BEFORE UPDATE ON deeds BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER outcomes_stay BEFORE UPDATE ON outcomes BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER deeds_kept BEFORE DELETE ON deeds WHEN OLD.time > (unixepoch() - %[1]d * 86400) * 1000000000
	BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER outcomes_kept BEFORE DELETE ON outcomes
	WHEN (SELECT time FROM deeds WHERE id = OLD.deed) > (unixepoch() - %[1]d * 86400) * 1000000000
	BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
-- INSERT OR REPLACE deletes without asking the triggers above.
CREATE TRIGGER deeds_new BEFORE INSERT ON deeds WHEN EXISTS (SELECT 1 FROM deeds WHERE id = NEW.id)
	BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER outcomes_new BEFORE INSERT ON outcomes WHEN EXISTS (SELECT 1 FROM outcomes WHERE deed = NEW.deed)
	BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
`, KeptDeeds)
