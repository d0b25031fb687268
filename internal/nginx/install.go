package nginx

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// Install writes the site, tests nginx's configuration with it, enables it and
// reloads nginx once. Where anything fails, file and link are put back as they
// were and nginx goes on as before; errors are steady.ErrUsage (the site is none),
// steady.ErrNginx (nginx is missing, or does not take it) or steady.ErrSiteTaken
// (another's). A file that steady did not write is replaced with yes only.
func (h *Host) Install(ctx context.Context, s steady.Site, yes bool) (steady.SiteChange, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w, err := h.prepare(ctx, s, yes)
	if err != nil {
		return steady.SiteChange{}, err
	}
	if w.same() {
		return w.change, nil
	}
	if w.theirs() {
		if w.change.Kept, err = keep(w.before.available, *w.before.text); err != nil {
			return steady.SiteChange{}, err
		}
	}
	if err := h.apply(ctx, &w); err != nil {
		// A caller that left must not keep the site from being put back.
		return steady.SiteChange{}, errors.Join(err, w.before.restore(), w.forget())
	}
	return w.change, nil
}

// work is one installation under way.
type work struct {
	site    steady.Site
	text    string
	before  place
	version Version
	change  steady.SiteChange
}

// same says whether nothing is left to do.
func (w work) same() bool {
	return w.before.text != nil && *w.before.text == w.text && w.before.leads()
}

// theirs says whether a file is there that steady did not write, or wrote for
// another service.
func (w work) theirs() bool {
	return w.before.text != nil && !strings.HasPrefix(*w.before.text, mark+"for "+w.site.Ref+".")
}

// forget removes the copy of what is back in its own place.
func (w work) forget() error {
	if w.change.Kept == "" {
		return nil
	}
	return gone(w.change.Kept)
}

// prepare finds every fault that can be found before anything is touched.
func (h *Host) prepare(ctx context.Context, s steady.Site, yes bool) (work, error) {
	w := work{site: s}
	var err error
	if w.version, err = h.Version(ctx); err != nil {
		return w, err
	}
	if w.text, err = Render(s, w.version); err != nil {
		return w, err
	}
	warnings, err := pair(s, time.Now())
	if err != nil {
		return w, err
	}
	if w.before, err = h.look(s.Name); err != nil {
		return w, err
	}
	c, err := h.dump(ctx)
	if err != nil {
		e := steady.AsError(err)
		e.Text = "before anything was changed: " + e.Text
		return w, e
	}
	if err := h.claimed(c, s); err != nil {
		return w, err
	}
	old := ""
	if w.before.text != nil {
		old = *w.before.text
	}
	if w.theirs() && !yes {
		return w, h.foreign(s, old, w.text)
	}
	w.change = steady.SiteChange{Name: s.Name, Path: w.before.available, Diff: diff(old, w.text), Warnings: warnings}
	return w, nil
}

// apply writes, enables, tests and reloads, in this order: nginx itself notices
// nothing before the reload.
func (h *Host) apply(ctx context.Context, w *work) error {
	if err := write(w.before.available, w.text); err != nil {
		return err
	}
	if !w.before.leads() {
		if err := link(w.before.enabled, w.before.available); err != nil {
			return err
		}
	}
	c, err := h.dump(ctx)
	if err != nil {
		e := steady.AsError(err)
		e.Text = fmt.Sprintf("nginx -t fails with site %s, which was taken back", w.site.Name)
		return e
	}
	if !c.has(w.before.enabled) {
		return steady.ErrNginx.With(fmt.Sprintf("%s does not read %s", h.conf(), w.before.enabled),
			fmt.Sprintf("put this line into its http block: include %s/sites-enabled/*;", h.confDir))
	}
	w.change.Changed = true
	if w.change.Reloaded, err = h.reload(ctx, c); err != nil {
		return err
	}
	w.change.Warnings = append(w.change.Warnings, remarks(w.version, w.change.Reloaded)...)
	return nil
}

// remarks are what a person should know of the reload.
func remarks(v Version, reloaded bool) []string {
	if !reloaded {
		return []string{"nginx does not run: it serves the site once it is started, as with systemctl start nginx"}
	}
	if !v.AtLeast(politeReload) {
		return []string{fmt.Sprintf("nginx %s may reset requests on idle keep-alive connections at a reload, as this one was; 1.27.4 and later need not. No rollout reloads it", v)}
	}
	return nil
}

func notALink(p place) error {
	return steady.ErrSiteTaken.With(fmt.Sprintf("%s is a file of its own and no link to sites-available", p.enabled),
		fmt.Sprintf("sudo mv %s %s, then again", p.enabled, p.available))
}
