package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// Bounds of what is read to learn whether a mounted file has changed. Larger ones
// are data rather than settings.
const (
	largestContent = 4 << 20 // bytes of a file
	mostContents   = 200     // files of a service
)

// contentsOf lists the files of the host that the service mounts, with a sum of
// each, in the order of their places in the container. Files that the service itself
// may write are left out, as are those that the host keeps for itself.
func contentsOf(model *types.Project, s types.ServiceConfig) []steady.Content {
	var out []steady.Content
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeBind && !hosts(v.Source) && (v.ReadOnly || !written(v.Source)) {
			out = append(out, steady.Content{Source: v.Source, Target: filepath.Clean(v.Target)})
		}
	}
	for _, c := range s.Configs {
		if file := model.Configs[c.Source].File; file != "" {
			out = append(out, steady.Content{Source: file, Target: mountedAt(c.Target, "/", c.Source), As: "config " + c.Source})
		}
	}
	for _, c := range s.Secrets {
		if file := model.Secrets[c.Source].File; file != "" {
			out = append(out, steady.Content{Source: file, Target: mountedAt(c.Target, "/run/secrets", c.Source), As: "secret " + c.Source})
		}
	}
	slices.SortStableFunc(out, func(a, b steady.Content) int { return strings.Compare(a.Target, b.Target) })
	return Contents(out[:min(len(out), mostContents)])
}

// mountedAt is where Compose mounts a config or secret.
func mountedAt(target, dir, source string) string {
	switch {
	case target == "":
		return filepath.Join(dir, source)
	case filepath.IsAbs(target):
		return filepath.Clean(target)
	}
	return filepath.Join(dir, target)
}

// hosts says whether a path is the host's own, whose changes are none of the
// service's releases.
func hosts(source string) bool {
	clean := filepath.Clean(source)
	return slices.Contains(hostFiles, clean) || slices.ContainsFunc(hostPlaces, func(p string) bool { return clean == p || strings.HasPrefix(clean, p+"/") })
}

// written says whether a file that is mounted read-write is one that the service
// writes: anything but settings, by its name, and the store of certificates that
// Traefik keeps. Directories are listed all the same: what is in them is not
// looked at, and that is told.
func written(source string) bool {
	if filepath.Base(source) == "acme.json" {
		return true
	}
	info, err := os.Stat(source)
	return !harmless(source) && err == nil && info.Mode().IsRegular()
}

// Contents looks at files as they are now: it fills in Sum and Unseen.
func Contents(of []steady.Content) []steady.Content {
	out := slices.Clone(of)
	for i := range out {
		out[i].Sum, out[i].Unseen = sumOf(out[i].Source)
	}
	return out
}

// sumOf is a file's sum, or why it was not looked at. Nothing but a regular file is
// opened: a pipe would have us wait.
func sumOf(file string) (sum, unseen string) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "not there"
	case err != nil:
		return "", "not readable"
	case info.IsDir():
		return "", "a directory"
	case !info.Mode().IsRegular():
		return "", "no regular file"
	case info.Size() > largestContent:
		return "", "larger than 4 MiB"
	}
	f, err := os.Open(file)
	if err != nil {
		return "", "not readable"
	}
	defer f.Close()
	h := sha256.New()
	if n, err := io.Copy(h, io.LimitReader(f, largestContent+1)); err != nil || n > largestContent {
		return "", "not readable"
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), ""
}
