package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
	"gesalpai.ch/steady/internal/plan"
)

// backTo makes the target of an older release. Where its image is gone, it is
// pulled again by its digest; one that was built here may be built again, which is
// another release, as nobody can know whether it is the same.
func (b *backend) backTo(ctx context.Context, r steady.Release, rebuild bool) (plan.Target, error) {
	t, err := b.imageBack(ctx, r, rebuild)
	if err != nil {
		return t, err
	}
	then := r.Spec.Original
	if len(then) == 0 {
		then = r.Spec.Contents
	}
	now := compose.Contents(r.Spec.Contents)
	for _, c := range steady.Differing(then, now) {
		t.Stays = append(t.Stays, c.Name(r.Spec.WorkingDir))
		t.Release.Spec.Original = then
	}
	t.Release.Spec.Contents = now
	return t, nil
}

// imageBack makes the target without a look at the files it mounts.
func (b *backend) imageBack(ctx context.Context, r steady.Release, rebuild bool) (plan.Target, error) {
	_, err := b.engine.Image(ctx, r.Image.ID)
	switch {
	case err == nil:
		return plan.Target{Release: r, Asked: true}, nil
	case !errors.Is(err, steady.ErrNoImage):
		return plan.Target{}, err
	case r.Image.Digest != "":
		return plan.Target{Release: r, Asked: true, Bring: steady.StepPull}, nil
	case rebuild && r.Spec.Build != nil && contextThere(r.Spec.Build):
		r.Number, r.Image = 0, steady.Image{}
		return plan.Target{Release: r, Asked: true}, nil
	}
	return plan.Target{}, imageGone(r)
}

// lookForImages notes which releases' images are gone. What the Engine does not tell is
// not noted: it is no reason not to list them.
func (b *backend) lookForImages(ctx context.Context, all []steady.Release) {
	gone := map[string]bool{}
	for i, r := range all {
		is, known := gone[r.Image.ID]
		if !known && r.Image.ID != "" {
			_, err := b.engine.Image(ctx, r.Image.ID)
			if err != nil && !errors.Is(err, steady.ErrNoImage) {
				return
			}
			is = err != nil
			gone[r.Image.ID] = is
		}
		all[i].ImageGone = is
	}
}

// contextThere says whether the context can still be built from. One that is no
// directory is for the builder to fetch.
func contextThere(b *steady.Build) bool {
	if !filepath.IsAbs(b.Context) {
		return true
	}
	at, err := os.Stat(b.Context)
	return err == nil && at.IsDir()
}

// imageGone names what is missing, and the way on.
func imageGone(r steady.Release) error {
	what := fmt.Sprintf("%s needs image %s (%s", r.Ref(), r.Spec.Image, r.Image.ID)
	if !r.Image.Built.IsZero() {
		what += ", built " + r.Image.Built.Format("2006-01-02 15:04 MST")
	}
	what += "), which is not on this machine any more"
	build := r.Spec.Build
	var text, hint string
	switch {
	case build == nil:
		text = what + " and never had a repository digest to pull it by"
		hint = "bring that image back, as with docker load, or steady releases to choose another release"
	case contextThere(build):
		text = what + "; built again from " + build.Context + " as it is now it may be another"
		hint = fmt.Sprintf("check out the files of then, and steady rollback %s --to %d --rebuild", r.Service, r.Number)
	default:
		text = what + ", and neither is its build context " + build.Context
		hint = "bring one of them back, or steady releases to choose another release"
	}
	e := steady.ErrNoImage.With(text, hint)
	e.Service, e.Release = r.Service, r.Number
	return e
}

// numbered is steady.ErrNoRelease, and says which there are, where the project has
// no release of that number.
func numbered(project string, all []steady.Release, number int) error {
	var numbers []string
	for _, r := range all { // newest first
		if r.Number == number {
			return nil
		}
		numbers = append(numbers, strconv.Itoa(r.Number))
	}
	numbers = slices.Compact(numbers)
	if len(numbers) > 10 {
		numbers = append(numbers[:10], "…")
	}
	if len(numbers) == 0 {
		return steady.ErrNoRelease.With("there is no release of "+project, "steady deploy")
	}
	return steady.ErrNoRelease.With(fmt.Sprintf("%s has no release %d; its releases are %s", project, number, strings.Join(numbers, ", ")), "steady releases")
}

// served is steady.ErrNoRelease where the service has that release and it never
// took traffic.
func served(all []steady.Release, service string, number int) error {
	for _, r := range all {
		if r.Service == service && r.Number == number && r.Served.IsZero() {
			return steady.ErrNoRelease.With(r.Ref()+" never served", "steady releases "+service)
		}
	}
	return nil
}
