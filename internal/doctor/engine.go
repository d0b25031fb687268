package doctor

import (
	"fmt"
	"strconv"
	"strings"

	"gesalpai.ch/steady"
)

// oldest is the first major version of the Engine that is still looked after.
const oldest = 25

// full are the shares of a disk from which on it is told of.
const (
	nearlyFull = 0.90
	quiteFull  = 0.97
)

func engineRules() []Rule {
	return []Rule{
		{
			ID: "engine-away", Severity: steady.Failure,
			Title: "no Docker Engine answers",
			Why:   "Nothing can be deployed, and nobody starts containers again that die. What runs goes on, and the proxy serves it.",
			Mend:  "sudo systemctl start docker; journalctl -u docker -n 50",
			find: func(f Facts) []hit {
				if f.EngineError == nil {
					return nil
				}
				return []hit{{text: f.EngineError.Text, mend: f.EngineError.Hint}}
			},
		},
		{
			ID: "engine-old", Severity: steady.Notice,
			Title: "a Docker Engine that gets no more updates",
			Why:   "steady works with it, but security holes in it stay open.",
			Mend:  "upgrade the package docker-ce, or docker.io with the distribution",
			find: func(f Facts) []hit {
				if f.Engine == nil {
					return nil
				}
				first, _, _ := strings.Cut(f.Engine.Version, ".")
				major, err := strconv.Atoi(first)
				return one(err == nil && major < oldest, "the Docker Engine is "+f.Engine.Version)
			},
		},
		{
			ID: "disk-nearly-full", Severity: steady.Warning,
			Title: "a disk that is nine tenths full",
			Why:   "The next image may not fit, and a full disk stops deploys, logs and databases.",
			Mend:  "docker system df; steady prune; docker image prune",
			find:  func(f Facts) []hit { return filled(f, nearlyFull, quiteFull) },
		},
		{
			ID: "disk-full", Severity: steady.Failure,
			Title: "a full disk",
			Why:   "Nothing can be deployed: neither an image nor what is decided can be written. Databases stop.",
			Mend:  "docker system df; steady prune; docker image prune; du -xh / | sort -h | tail",
			find:  func(f Facts) []hit { return filled(f, quiteFull, 2) },
		},
	}
}

// filled tells of disks whose filled share is within bounds, by bytes or inodes.
func filled(f Facts, from, to float64) []hit {
	var out []hit
	for _, d := range f.Host.Disks {
		bytes, nodes := share(d.Total, d.Free), share(d.Nodes, d.NodesFree)
		switch {
		case bytes >= from && bytes < to:
			out = append(out, hit{text: fmt.Sprintf("%s, where %s lies, is %.0f %% full: %s are left", d.Path, d.For, 100*bytes, size(d.Free))})
		case nodes >= from && nodes < to && bytes < from:
			out = append(out, hit{text: fmt.Sprintf("%s, where %s lies, has %.0f %% of its inodes taken", d.Path, d.For, 100*nodes), mend: "df -i " + d.Path})
		}
	}
	return out
}

// share is how much is taken, from 0 to 1.
func share(total, free uint64) float64 {
	if total == 0 {
		return 0
	}
	return 1 - float64(min(free, total))/float64(total)
}

func size(n uint64) string {
	for _, u := range []struct {
		shift uint
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n >= 1<<u.shift {
			return strings.Replace(fmt.Sprintf("%.1f %s", float64(n)/float64(uint64(1)<<u.shift), u.name), ".0 ", " ", 1)
		}
	}
	return fmt.Sprintf("%d B", n)
}
