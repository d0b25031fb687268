package nginx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"gesalpai.ch/steady"
)

// Remove disables and removes a site that steady wrote, tests what is left and
// reloads nginx once. Where that fails everything is as before. steady.ErrNoSite:
// there is none of that name; steady.ErrSiteTaken: somebody else wrote it.
func (h *Host) Remove(ctx context.Context, name string) (steady.SiteChange, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change := steady.SiteChange{Name: name, Path: h.available(name)}
	if !siteName.MatchString(name) {
		return change, noSite(name, h.confDir)
	}
	v, err := h.Version(ctx)
	if err != nil {
		return change, err
	}
	before, err := h.look(name)
	if err != nil {
		return change, err
	}
	switch {
	case before.text == nil && before.link == nil:
		return change, noSite(name, h.confDir)
	case before.text != nil && !strings.HasPrefix(*before.text, mark):
		return change, steady.ErrSiteTaken.With(fmt.Sprintf("%s was not written by steady", before.available),
			fmt.Sprintf("sudo rm %s && sudo systemctl reload nginx", before.enabled))
	}
	reloaded, err := h.without(ctx, before)
	if err != nil {
		return change, errors.Join(err, before.restore())
	}
	change.Changed, change.Reloaded = true, reloaded
	if reloaded {
		change.Warnings = remarks(v, reloaded)
	}
	if kept := before.available + ".before-steady"; exists(kept) {
		change.Kept = kept
	}
	return change, nil
}

// without takes the site away and has nginx go on with what is left.
func (h *Host) without(ctx context.Context, p place) (bool, error) {
	if err := errors.Join(gone(p.enabled), gone(p.available)); err != nil {
		return false, err
	}
	c, err := h.dump(ctx)
	if err != nil {
		return false, err
	}
	return h.reload(ctx, c)
}

func noSite(name, confDir string) error {
	return steady.ErrNoSite.With(fmt.Sprintf("nginx has no site %s", name), "ls "+confDir+"/sites-available")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
