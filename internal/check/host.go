package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// hostRules are about the machine that all services share.
func hostRules() []Rule {
	return []Rule{
		{
			ID: "memory-twice", Severity: steady.Warning,
			Title: "memory limits that do not fit when old and new stand side by side",
			Why:   "While a service is replaced start-first, both releases may take their whole limit. Where that is more than the host has, the kernel kills something.",
			Mend:  "lower the limit, or x-steady.strategy: hold for this service",
			all:   memoryTwice,
		},
		{
			ID: "no-memory-limit", Severity: steady.Notice, many: "services have no memory limit",
			Title: "services without a memory limit",
			Why:   "One that leaks takes the memory of all others, and the kernel chooses what to kill.",
			Mend:  "deploy: {resources: {limits: {memory: 512M}}}",
			each: func(_ Input, d steady.Declared) []hit {
				return one(d.Memory == 0 && !d.Job, d.Path(), d.Service+" has no memory limit")
			},
		},
		{
			ID: "log-unbounded", Severity: steady.Notice, many: "services have an unbounded log",
			Title: "services whose log may fill the disk",
			Why:   "The json-file driver keeps everything unless the Engine or the file says max-size.",
			Mend:  `logging: {options: {max-size: "10m", max-file: "3"}}, or the same in /etc/docker/daemon.json`,
			each: func(_ Input, d steady.Declared) []hit {
				return one(!d.LogBounded, d.Path(), d.Service+" has an unbounded log")
			},
		},
		{
			ID: "no-restart", Severity: steady.Warning, many: "services have no restart policy",
			Title: "a service without a restart policy",
			Why:   "When it dies, or the host reboots, it stays down.",
			Mend:  "restart: unless-stopped",
			each: func(_ Input, d steady.Declared) []hit {
				return one(!d.RestartSet && !d.Job && (serves(d) || database(d) != ""), d.Path(), d.Service+" is not started again when it dies or the host reboots")
			},
		},
	}
}

func memoryTwice(in Input) []hit {
	if in.Memory == 0 {
		return nil
	}
	var out []hit
	for _, d := range in.Services {
		if d.Memory == 0 || d.Job || stopFirst(in, d) {
			continue
		}
		surge, all := d.Memory, limits(in, d)
		if d.Update.Parallelism == 0 {
			surge *= int64(max(d.Replicas, 1))
		}
		text := fmt.Sprintf("a second %s needs %s beside the %s that all limits allow, and the host has %s", d.Service, size(surge), size(all), size(in.Memory))
		h := one(all+surge > in.Memory, limitPath(in, d), text)
		for i := range h {
			h[i].service = d.Service
		}
		out = append(out, h...)
	}
	return out
}

// limits adds up the memory limits of d and of the services that run beside it. Where
// nobody has asked for a profile, those of one profile do: the one that needs most.
func limits(in Input, d steady.Declared) int64 {
	var always, most int64
	of := map[string]int64{}
	for _, other := range in.Services {
		memory := other.Memory * int64(max(other.Replicas, 1))
		switch {
		case exclusive(in, d, other):
		case len(other.Profiles) == 0 || !in.AllProfiles:
			always += memory
		default:
			for _, p := range other.Profiles {
				of[p] += memory
				most = max(most, of[p])
			}
		}
	}
	return always + most
}

// exclusive says whether two services are of profiles that are not used together, as
// far as the files tell: nobody has asked for any, and they share none.
func exclusive(in Input, a, b steady.Declared) bool {
	shared := slices.ContainsFunc(a.Profiles, func(p string) bool { return slices.Contains(b.Profiles, p) })
	return in.AllProfiles && len(a.Profiles) > 0 && len(b.Profiles) > 0 && !shared
}

// stopFirst says whether the old one is gone before the new one starts: also where
// two of it alone do not fit.
func stopFirst(in Input, d steady.Declared) bool {
	switch d.Update.Order {
	case steady.StopFirst, steady.StrategyHold:
		return true
	case "":
		return (len(d.State) > 0 || anonymous(d)) && d.Replicas <= 1 || d.NetworkMode != "" || crowded(in, d)
	}
	return false
}

// anonymous says whether a service mounts a volume without a name, which counts as
// state.
func anonymous(d steady.Declared) bool {
	return slices.ContainsFunc(d.Mounts, func(m steady.Mount) bool { return m.Type == "volume" && m.Source == "" })
}

// crowded says whether the plan will replace it old first as the host has no room
// for both.
func crowded(in Input, d steady.Declared) bool {
	n := max(d.Replicas, 1)
	return int64(n+min(cmp.Or(max(d.Update.Parallelism, 0), n), n))*d.Memory > in.Memory
}

func limitPath(in Input, d steady.Declared) string {
	limits := d.Path("deploy", "resources", "limits", "memory")
	if _, ok := in.Places[limits]; ok {
		return limits
	}
	return cmp.Or(d.Path("mem_limit"), limits)
}

func size(bytes int64) string {
	if bytes >= 1<<30 {
		return strings.Replace(fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)), ".0 ", " ", 1)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}
