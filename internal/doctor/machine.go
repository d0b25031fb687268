package doctor

import (
	"fmt"
	"maps"
	"slices"

	"gesalpai.ch/steady"
)

// Shares of the host's memory that are told of.
const (
	littleLeft = 0.10
	muchSwap   = 0.50
)

func hostRules() []Rule {
	return []Rule{
		{
			ID: "host-memory-low", Severity: steady.Warning,
			Title: "little memory left on the host",
			Why:   "When it is gone, the kernel chooses what to kill. While a release is replaced, the new one needs memory beside the old one.",
			Mend:  "docker stats --no-stream, and lower limits or take a larger host",
			find: func(f Facts) []hit {
				m := f.Host.Memory
				low := m.Total > 0 && float64(m.Available) < littleLeft*float64(m.Total)
				return one(low, fmt.Sprintf("%s of %s of memory are left", size(m.Available), size(m.Total)))
			},
		},
		{
			ID: "swap-used", Severity: steady.Notice,
			Title: "much of the swap space in use",
			Why:   "What lies there is slow to come back: answers are late at odd times.",
			Mend:  "docker stats --no-stream, and find who takes the memory",
			find: func(f Facts) []hit {
				m := f.Host.Memory
				used := m.SwapTotal - min(m.SwapFree, m.SwapTotal)
				return one(m.SwapTotal > 0 && float64(used) > muchSwap*float64(m.SwapTotal), fmt.Sprintf("%s of %s of swap are in use", size(used), size(m.SwapTotal)))
			},
		},
		{
			ID: "clock-adrift", Severity: steady.Notice,
			Title: "a clock that nothing keeps right",
			Why:   "Certificates, tokens and logs go by the clock; one that drifts breaks them one day.",
			Mend:  "sudo timedatectl set-ntp true, or install chrony",
			find: func(f Facts) []hit {
				return one(f.Host.ClockKnown && !f.Host.ClockSynced, "the host's clock is not kept in step with others")
			},
		},
	}
}

// setupRules are about what is installed and who asks.
func setupRules() []Rule {
	return []Rule{
		{
			ID: "tool-missing", Severity: steady.Warning,
			Title: "a program that steady needs is not there",
			Why:   "Calls between services come through steady by rules that iptables-restore sets; without it a service's names cannot be held.",
			Mend:  "sudo apt install iptables",
			find: func(f Facts) []hit {
				var out []hit
				for _, name := range slices.Sorted(maps.Keys(f.Host.Tools)) {
					out = append(out, one(!f.Host.Tools[name], name+" is not there")...)
				}
				return out
			},
		},
		{
			ID: "unit-missing", Severity: steady.Notice,
			Title: "systemd does not know steady",
			Why:   "After a reboot nobody starts it, and nobody answers on the published ports.",
			Mend:  "sudo cp docs/steady.service docs/steady-proxy.service /etc/systemd/system/ && sudo systemctl enable --now steady-proxy steady",
			find: func(f Facts) []hit {
				return unitsThat(f, func(u Unit) bool { return !u.Installed }, "%s is not installed")
			},
		},
		{
			ID: "unit-disabled", Severity: steady.Warning,
			Title: "a unit of steady's that is not enabled",
			Why:   "After a reboot nobody starts it, and nobody answers on the published ports.",
			Mend:  "sudo systemctl enable --now steady-proxy steady",
			find: func(f Facts) []hit {
				return unitsThat(f, func(u Unit) bool { return u.Installed && !u.Enabled }, "%s is not enabled")
			},
		},
		{
			ID: "not-root", Severity: steady.Notice,
			Title: "doctor does not run as root",
			Why:   "Whose process holds a port, what a container's first process hears and what nginx is told are for root to see.",
			Mend:  "sudo steady doctor",
			find: func(f Facts) []hit {
				return one(!f.Host.Root, "some things could not be looked at without root's rights")
			},
		},
	}
}

func unitsThat(f Facts, holds func(Unit) bool, format string) []hit {
	if !f.Host.Systemd {
		return nil
	}
	var out []hit
	for _, name := range slices.Sorted(maps.Keys(f.Host.Units)) {
		out = append(out, one(holds(f.Host.Units[name]), fmt.Sprintf(format, name))...)
	}
	return out
}
