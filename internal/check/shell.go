package check

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"gesalpai.ch/steady"
)

// parsed is a shell's script as a syntax tree; nil where it is none.
func parsed(script string) *syntax.File {
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), "")
	if err != nil || len(f.Stmts) == 0 {
		return nil
	}
	return f
}

// calls lists the commands that a service's first process runs, in order, without
// what only starts them, such as exec or gosu. What a shell would expand is "$".
func (r running) calls() [][]string {
	line, _ := r.script()
	if line == "" {
		if argv := started(r.argv); len(argv) > 0 {
			return [][]string{argv}
		}
		return nil
	}
	return scriptCalls(line)
}

func scriptCalls(line string) [][]string {
	f := parsed(line)
	if f == nil {
		return nil
	}
	var out [][]string
	syntax.Walk(f, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.CallExpr); ok {
			if argv := started(plain(c.Args)); len(argv) > 0 {
				out = append(out, argv)
			}
		}
		return true
	})
	return out
}

// starters run the command that follows them; those with true take one word first.
var starters = map[string]bool{
	"exec": false, "nohup": false, "command": false, "env": false, "time": false, "sudo": false, "tini": false, "dumb-init": false,
	"docker-init": false, "catatonit": false, "bundle": false, "poetry": false, "pipenv": false, "uv": false,
	"gosu": true, "su-exec": true,
}

// started is a command without its starters, their options and assignments.
func started(argv []string) []string {
	for len(argv) > 0 {
		user, starter := starters[path.Base(argv[0])]
		switch {
		case starter && user && len(argv) > 1:
			argv = argv[2:]
		case starter, strings.HasPrefix(argv[0], "-"), strings.Contains(argv[0], "="):
			argv = argv[1:]
		case len(argv) > 1 && (argv[0] == "exec" || argv[0] == "run"): // bundle exec, poetry run
			argv = argv[1:]
		default:
			return argv
		}
	}
	return nil
}

func plain(words []*syntax.Word) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = literal(w.Parts)
	}
	return out
}

func literal(parts []syntax.WordPart) string {
	var b strings.Builder
	for _, part := range parts {
		switch p := part.(type) {
		case *syntax.Lit:
			b.WriteString(p.Value)
		case *syntax.SglQuoted:
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			b.WriteString(literal(p.Parts))
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}

// family is which program a shell's name stands for: each of them leaves its place
// to the last command of a script in other cases.
type family string

const (
	bash    family = "bash"    // a simple last command
	busybox family = "busybox" // also one within if, { } and ( )
	dash    family = "dash"    // none without exec
	either  family = ""        // not known: what holds of all
)

// familyOf tells by the shell's name, else by the image.
func familyOf(d steady.Declared, shell string) family {
	switch shell {
	case "bash":
		return bash
	case "ash":
		return busybox
	case "dash":
		return dash
	}
	image := d.Image
	if d.Builds {
		image = d.Dockerfile.Base
	}
	name, t := steady.Repository(image), strings.ToLower(image)
	switch {
	case strings.Contains(t, "alpine"), name == "busybox":
		return busybox
	case strings.ContainsAny(t, "/$"): // somebody's own: only its tag could tell
		name = ""
	}
	if slices.Contains(debians, name) || slices.ContainsFunc(suites, func(s string) bool { return strings.Contains(t, s) }) {
		return dash
	}
	return either
}

var (
	// debians are Docker's official images whose tags without a suffix are Debian or Ubuntu.
	debians = []string{"debian", "ubuntu", "python", "node", "ruby", "php", "golang", "nginx", "perl", "redis", "postgres", "mariadb", "mongo", "rust"}
	suites  = []string{"-slim", "bookworm", "bullseye", "trixie", "jammy", "noble", "focal"}
)

// keepsShell says whether a shell is still the first process while the script's
// last command runs.
func keepsShell(f *syntax.File, of family) bool {
	trapped := false
	syntax.Walk(f, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.CallExpr); ok && len(c.Args) > 0 && literal(c.Args[0].Parts) == "trap" {
			trapped = true
		}
		return !trapped
	})
	return !trapped && stays(f.Stmts[len(f.Stmts)-1], of)
}

func stays(s *syntax.Stmt, of family) bool {
	switch c := s.Cmd.(type) {
	case *syntax.CallExpr:
		return callStays(c, len(s.Redirs) > 0, of)
	case *syntax.BinaryCmd:
		return c.Op != syntax.AndStmt || stays(c.Y, of)
	case *syntax.IfClause:
		return of == bash || of == dash || len(c.Then) > 0 && stays(c.Then[len(c.Then)-1], of)
	case *syntax.Block:
		return of == bash || of == dash || stays(c.Stmts[len(c.Stmts)-1], of)
	case *syntax.Subshell:
		return of == bash || of == dash || stays(c.Stmts[len(c.Stmts)-1], of)
	}
	return true // loops
}

// callStays: the last command of a script is a simple one. A builtin of the shell
// there, such as wait, leaves the shell beside what was started before.
func callStays(c *syntax.CallExpr, redirected bool, of family) bool {
	if len(c.Args) == 0 {
		return true
	}
	switch name := literal(c.Args[0].Parts); {
	case name == "exec":
		return false
	case slices.Contains(builtins, name):
		return true
	}
	return of == dash || of == bash && redirected
}

var builtins = []string{"wait", "exit", "true", "false", ":", "echo", "printf", "read", "return", "cd", "set", "export", "test", "["}
