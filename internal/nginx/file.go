package nginx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// place is what lies at a site's two paths, so that it can be put back.
type place struct {
	available, enabled string
	text               *string // of the file; nil: there is none
	link               *string // where the link leads; nil: there is none
}

// look notes what is there. A file where the link should be is nobody's to
// replace.
func (h *Host) look(name string) (place, error) {
	p := place{available: h.available(name), enabled: h.enabled(name)}
	text, err := os.ReadFile(p.available)
	switch {
	case err == nil:
		s := string(text)
		p.text = &s
	case !errors.Is(err, fs.ErrNotExist):
		return p, fmt.Errorf("read site: %w", err)
	}
	at, err := os.Lstat(p.enabled)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("look at enabled site: %w", err)
	}
	if at.Mode()&fs.ModeSymlink == 0 {
		return p, notALink(p)
	}
	to, err := os.Readlink(p.enabled)
	if err != nil {
		return p, fmt.Errorf("look at enabled site: %w", err)
	}
	p.link = &to
	return p, nil
}

// leads says whether the link leads to the site's file.
func (p place) leads() bool {
	if p.link == nil {
		return false
	}
	to := *p.link
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(p.enabled), to)
	}
	return filepath.Clean(to) == p.available
}

// restore puts back what was noted.
func (p place) restore() error {
	var errs []error
	if p.text == nil {
		errs = append(errs, gone(p.available))
	} else {
		errs = append(errs, write(p.available, *p.text))
	}
	if p.link == nil {
		errs = append(errs, gone(p.enabled))
	} else {
		errs = append(errs, link(p.enabled, *p.link))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("put the site back as it was: %w", err)
	}
	return nil
}

// write replaces a file at once or not at all.
func write(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write site: %w", err)
	}
	defer os.Remove(f.Name()) // gone after the rename
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write site: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// link replaces a symbolic link at once or not at all.
func link(path, to string) error {
	beside := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	_ = os.Remove(beside) // left by a crash
	if err := os.Symlink(to, beside); err != nil {
		return fmt.Errorf("enable site: %w", err)
	}
	if err := os.Rename(beside, path); err != nil {
		return errors.Join(fmt.Errorf("enable site: %w", err), os.Remove(beside))
	}
	return syncDir(filepath.Dir(path))
}

// gone removes a file that may not be there.
func gone(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove site: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory of sites: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// keep lays a file that was not ours aside and says where.
func keep(path, text string) (string, error) {
	for n := 0; ; n++ {
		aside := path + ".before-steady"
		if n > 0 {
			aside = fmt.Sprintf("%s.%d", aside, n)
		}
		there, err := os.ReadFile(aside)
		if errors.Is(err, fs.ErrNotExist) {
			return aside, write(aside, text)
		}
		if err != nil {
			return "", fmt.Errorf("keep the site that was there: %w", err)
		}
		if string(there) == text {
			return aside, nil
		}
	}
}
