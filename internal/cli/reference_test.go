package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gesalpai.ch/steady/internal/compose"
)

// updating says whether -update was given; a package that the Compose SDK brings
// may have defined that flag already.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// TestReference_IsWhatTheCommandsSay writes docs/reference.md with -update.
func TestReference_IsWhatTheCommandsSay(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "reference.md")
	want := reference()
	if updating() {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it: go test ./internal/cli -run Reference -update", err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/reference.md is behind; write it anew: go test ./internal/cli -run Reference -update\n%s", diff)
	}
}

// reference is every command, flag, exit status and x-steady key.
func reference() string {
	root := newSession(nil, nil, nil, nil).root()
	var b strings.Builder
	b.WriteString("# Reference\n\nGenerated from the commands: `go test ./internal/cli -run Reference -update`.\n")
	b.WriteString("\n## Commands\n")
	walk(root, func(c *cobra.Command) {
		if c != root && c.Name() != "help" && c.Parent().Name() != "completion" {
			command(&b, c)
		}
	})
	b.WriteString("\n## Flags of every command\n\n")
	flags(&b, root.PersistentFlags())
	b.WriteString("\n## Exit status\n\n| status | meaning |\n|---|---|\n")
	for _, e := range exitMeaning() {
		fmt.Fprintf(&b, "| %d | %s |\n", e.code, e.meaning)
	}
	b.WriteString("\n## x-steady\n\nAt the top of a Compose file for all services, or within one service, which wins.\n")
	b.WriteString("Keys marked ¹ stand within a service only.\n\n| key | values | default | |\n|---|---|---|---|\n")
	for _, k := range compose.Keys() {
		name := "`" + k.Name + "`"
		if k.ServiceOnly {
			name += " ¹"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, cell(k.Type), cell(k.Default), cell(k.Doc))
	}
	return b.String()
}

func command(b *strings.Builder, c *cobra.Command) {
	text := c.Long
	if c.Name() == "completion" { // cobra's own text repeats its subcommands'
		text = c.Short + ": bash, zsh, fish or powershell."
	}
	fmt.Fprintf(b, "\n### %s\n\n    %s\n\n%s\n", c.CommandPath(), c.UseLine(), strings.TrimSpace(text))
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, "\nAlso: `steady %s`.\n", strings.Join(c.Aliases, "`, `steady "))
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\n```\n%s\n```\n", trimLines(c.Example))
	}
	if c.HasAvailableLocalFlags() && c.LocalNonPersistentFlags().HasFlags() {
		b.WriteString("\n")
		flags(b, c.LocalNonPersistentFlags())
	}
}

func flags(b *strings.Builder, fs *pflag.FlagSet) {
	b.WriteString("| flag | |\n|---|---|\n")
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		argument, text := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if argument != "" {
			name += " " + argument
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" && f.DefValue != "-1" && f.DefValue != "[]" {
			text += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", name, cell(text))
	})
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}
