package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gesalpai.ch/steady"
)

const releaseColumns = "r.project, r.service, r.number, r.rollout, r.created, r.served, r.digest, r.spec, r.image_ref, r.image_id, r.image_digest, r.image_built, r.done"

// Release finds one release; steady.ErrNoRelease.
func (s *Store) Release(ctx context.Context, project, service string, number int) (steady.Release, error) {
	r, err := scanRelease(s.read.QueryRowContext(ctx, "SELECT "+releaseColumns+
		" FROM releases r WHERE project = ? AND service = ? AND number = ?", project, service, number))
	if errors.Is(err, sql.ErrNoRows) {
		return steady.Release{}, noRelease(project, service, number)
	}
	return r, fault(s.path, "read release", err)
}

// Releases lists a project's releases, newest first and by service within one
// number, and which one of each service serves.
func (s *Store) Releases(ctx context.Context, project string) ([]steady.Release, map[string]int, error) {
	releases, err := list(ctx, s, scanRelease, "SELECT "+releaseColumns+
		" FROM releases r WHERE project = ? ORDER BY number DESC, service", project)
	if err != nil {
		return nil, nil, fault(s.path, "list releases", err)
	}
	routes, err := s.Routes(ctx, project)
	if err != nil {
		return nil, nil, err
	}
	serving := map[string]int{}
	for _, r := range routes {
		serving[r.Service] = r.Release
	}
	return releases, serving, nil
}

// Serving gives the releases that serve, by service: those the project's routes
// name.
func (s *Store) Serving(ctx context.Context, project string) (map[string]steady.Release, error) {
	releases, err := list(ctx, s, scanRelease, "SELECT "+releaseColumns+` FROM releases r
		JOIN routes USING (project, service) WHERE project = ? AND r.number = routes.release`, project)
	if err != nil {
		return nil, fault(s.path, "read serving releases", err)
	}
	out := make(map[string]steady.Release, len(releases))
	for _, r := range releases {
		out[r.Service] = r
	}
	return out, nil
}

// Image completes a release with the image it resolved to; steady.ErrNoRelease.
func (s *Store) Image(ctx context.Context, project, service string, number int, img steady.Image) error {
	return s.one(ctx, s.quick, "store image", noRelease(project, service, number),
		`UPDATE releases SET image_ref = ?, image_id = ?, image_digest = ?, image_built = ?
		WHERE project = ? AND service = ? AND number = ?`,
		img.Ref, img.ID, img.Digest, nanos(img.Built), project, service, number)
}

// Contents stores Contents and Original of a release's spec: of one made before
// contents were looked at, and of one that a rollback goes back to, whose files are
// those of now. steady.ErrNoRelease.
func (s *Store) Contents(ctx context.Context, r steady.Release) error {
	contents, err := encode(r.Spec.Contents)
	if err != nil {
		return fmt.Errorf("encode the contents of %s: %w", r.Ref(), err)
	}
	original, err := encode(r.Spec.Original)
	if err != nil {
		return fmt.Errorf("encode the contents of %s: %w", r.Ref(), err)
	}
	return s.one(ctx, s.quick, "store contents", noRelease(r.Project, r.Service, r.Number),
		`UPDATE releases SET spec = json_set(spec, '$.contents', json(?), '$.original', json(?))
		WHERE project = ? AND service = ? AND number = ?`, contents, original, r.Project, r.Service, r.Number)
}

// Completed notes when a release had run to its end; steady.ErrNoRelease.
func (s *Store) Completed(ctx context.Context, project, service string, number int, at time.Time) error {
	return s.one(ctx, s.sure, "store the end of a run", noRelease(project, service, number),
		"UPDATE releases SET done = ? WHERE project = ? AND service = ? AND number = ?", nanos(at), project, service, number)
}

func insertRelease(ctx context.Context, tx *sql.Tx, r steady.Release) error {
	spec, err := encode(r.Spec)
	if err != nil {
		return fmt.Errorf("encode the spec of %s: %w", r.Ref(), err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO releases
		(project, service, number, rollout, created, served, digest, spec, image_ref, image_id, image_digest, image_built)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.Project, r.Service, r.Number, r.Rollout, nanos(r.Created), nanos(r.Served), r.Digest, spec, r.Image.Ref, r.Image.ID, r.Image.Digest, nanos(r.Image.Built))
	return err
}

func scanRelease(from row) (steady.Release, error) {
	var (
		r       steady.Release
		created int64
		served  int64
		built   int64
		done    int64
		spec    string
	)
	err := from.Scan(&r.Project, &r.Service, &r.Number, &r.Rollout, &created, &served, &r.Digest, &spec,
		&r.Image.Ref, &r.Image.ID, &r.Image.Digest, &built, &done)
	if err != nil {
		return steady.Release{}, err
	}
	r.Created, r.Served, r.Image.Built, r.Done = moment(created), moment(served), moment(built), moment(done)
	return r, json.Unmarshal([]byte(spec), &r.Spec)
}

func noRelease(project, service string, number int) *steady.Error {
	r := steady.Release{Project: project, Service: service, Number: number}
	e := steady.ErrNoRelease.With("no "+r.Ref(), "steady releases")
	e.Service, e.Release = service, number
	return e
}
