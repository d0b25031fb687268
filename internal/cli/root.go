package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// root builds the command tree.
func (s *session) root() *cobra.Command {
	c := &cobra.Command{
		Use:   "steady",
		Short: "Deploy a Compose file without losing a request",
		Long: `steady deploys the Compose file you already have, on the server you already
have, without losing a request, and tells what it counted.`,
		SilenceErrors:    true,
		SilenceUsage:     true,
		TraverseChildren: true, // so that -f before the command is Compose's, and after logs its own
		Version:          buildVersion(),
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usage("steady", unknownCommand(c, args[0]))
		},
		RunE:             func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRun: func(*cobra.Command, []string) { s.begun = true },
	}
	s.addShared(c.PersistentFlags())
	c.SetVersionTemplate("steady {{.Version}}\n")
	c.SetHelpTemplate(c.HelpTemplate() + exitHelp())
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c.CommandPath(), err.Error()) })
	c.AddGroup(&cobra.Group{ID: "do", Title: "Deploy:"}, &cobra.Group{ID: "see", Title: "See:"}, &cobra.Group{ID: "run", Title: "Run steady:"})
	s.add(c, "do", s.deployCommand(), s.planCommand(), s.rollbackCommand(), s.scaleCommand(), s.abortCommand(), s.downCommand(), s.pruneCommand())
	s.add(c, "do", s.drillCommand())
	s.add(c, "do", s.maintenanceCommand(), s.lockCommand())
	s.add(c, "do", s.promoteCommand(), s.pauseCommand(), s.resumeCommand())
	s.add(c, "see", s.statusCommand(), s.statsCommand(), s.logsCommand(), s.releasesCommand(), s.watchCommand(), s.certificatesCommand())
	s.add(c, "run", s.daemonCommand(), s.proxyCommand(), s.versionCommand(), s.nginxCommand())
	s.add(c, "see", s.checkCommand(), s.doctorCommand(), s.auditCommand(), s.notifyCommand())
	s.add(c, "see", s.rolloutsCommand(), s.receiptCommand())
	c.SetHelpCommandGroupID("run")
	c.SetCompletionCommandGroupID("run")
	c.InitDefaultHelpCmd()
	c.InitDefaultCompletionCmd("completion")
	strict(c)
	pointers(c)
	return c
}

// add groups commands, and makes wrong arguments a usage error with its hint.
func (s *session) add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		c.DisableFlagsInUseLine = true
		if check := c.Args; check != nil {
			c.Args = func(c *cobra.Command, args []string) error {
				if err := check(c, args); err != nil {
					return usage(c.CommandPath(), err.Error())
				}
				return nil
			}
		}
		root.AddCommand(c)
	}
}

// strict makes help about what there is not, and completion for it, usage errors,
// which cobra's own are not.
func strict(root *cobra.Command) {
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usage(c.CommandPath(), unknownCommand(c, args[0]))
		}
		completion.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		return
	}
	show := help.Run
	help.Run = nil
	help.RunE = func(c *cobra.Command, args []string) error {
		at := root
		for _, word := range args {
			next := slices.IndexFunc(at.Commands(), func(sub *cobra.Command) bool { return sub.Name() == word || sub.HasAlias(word) })
			if next < 0 {
				return usage("steady", unknownCommand(at, word))
			}
			at = at.Commands()[next]
		}
		show(c, args)
		return nil
	}
}

func unknownCommand(root *cobra.Command, word string) string {
	var known []string
	for _, c := range root.Commands() {
		known = append(append(known, c.Name()), c.Aliases...)
	}
	text := fmt.Sprintf("unknown command %q", word)
	if near := nearest(word, known); near != "" {
		text += fmt.Sprintf("; did you mean %s?", near)
	}
	return strings.TrimSpace(text)
}
