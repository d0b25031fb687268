package listen

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// Redirection sends new connections to a port of this machine to another one.
type Redirection struct {
	Host string // address, as net.Listen takes it; empty: all, v4 and v6
	Port uint16
	To   uint16
}

// Adopt makes rs all that is redirected on this machine under the chain's name,
// which is at most 28 letters; none removes the chain. It comes before the rules of
// the Engine, for what arrives and for what starts here; connections that are open
// go on where they are. It runs iptables-restore and needs CAP_NET_ADMIN.
func Adopt(ctx context.Context, chain string, rs []Redirection) error {
	var errs []error
	for _, family := range []struct {
		name string
		v6   bool
	}{{"iptables", false}, {"ip6tables", true}} {
		ours := ofFamily(rs, family.v6)
		err := adopt(ctx, family.name, chain, ours)
		named := slices.ContainsFunc(ours, func(r Redirection) bool { return r.Host != "" })
		if err != nil && family.v6 && !named {
			continue // a machine without v6 has nothing to redirect there
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("redirect published ports: %w", err)
	}
	return nil
}

func ofFamily(rs []Redirection, v6 bool) []Redirection {
	var out []Redirection
	for _, r := range rs {
		if r.Host == "" || strings.Contains(r.Host, ":") == v6 {
			out = append(out, r)
		}
	}
	return out
}

// adopt fills the chain before it is reached, and empties it after it is not.
func adopt(ctx context.Context, iptables, chain string, rs []Redirection) error {
	hooks := []string{"PREROUTING", "OUTPUT"}
	if len(rs) == 0 {
		if exec.CommandContext(ctx, iptables, "-w", "5", "-t", "nat", "-n", "-L", chain).Run() != nil {
			return nil
		}
		var errs []error
		for _, h := range hooks {
			if tableRun(ctx, iptables, "-C", h, "-j", chain) == nil {
				errs = append(errs, tableRun(ctx, iptables, "-D", h, "-j", chain))
			}
		}
		return errors.Join(append(errs, tableRun(ctx, iptables, "-F", chain), tableRun(ctx, iptables, "-X", chain))...)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*nat\n:%s - [0:0]\n", chain)
	for _, r := range rs {
		at := "-m addrtype --dst-type LOCAL"
		if r.Host != "" {
			at = "-d " + strings.Trim(r.Host, "[]")
		}
		fmt.Fprintf(&b, "-A %s -p tcp %s --dport %d -j REDIRECT --to-ports %d\n", chain, at, r.Port, r.To)
	}
	b.WriteString("COMMIT\n")
	if err := restore(ctx, iptables+"-restore", b.String()); err != nil {
		return err
	}
	for _, h := range hooks {
		if tableRun(ctx, iptables, "-C", h, "-j", chain) == nil {
			continue
		}
		if err := tableRun(ctx, iptables, "-I", h, "1", "-j", chain); err != nil {
			return err
		}
	}
	return nil
}

// tableRun runs one command on the nat table.
func tableRun(ctx context.Context, iptables string, args ...string) error {
	return tableRunIn(ctx, iptables, "nat", args...)
}

func tableRunIn(ctx context.Context, iptables, table string, args ...string) error {
	out, err := exec.CommandContext(ctx, iptables, append([]string{"-w", "5", "-t", table}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", iptables, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
