// Package mask takes private values of the user's out of texts that others wrote:
// the Engine, a builder, a registry, a container. What steady itself says never
// holds them; what it passes on may.
package mask

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gesalpai.ch/steady"
)

// stars stand where a value stood.
const stars = "***"

// Lengths from which on a value is masked, in bytes. Shorter ones stand in many a
// text by chance.
const (
	leastSecret = 6 // of what is called a secret, and of a password in a URL
	leastToken  = 8 // of what looks like a token
	leastLine   = 8 // of a whole command
)

// Mask knows values and what is told in their place. The zero value knows none and
// is ready to use. Adding values is not safe for concurrent use.
type Mask struct {
	instead map[string]string
	replace *strings.Replacer // nil: to be made
}

// Spec adds what a service's files hold: its environment, build args, its own
// commands and those of healthcheck, hooks and receivers, and passwords in URLs.
func (m *Mask) Spec(s steady.Spec) {
	var c struct {
		Env, Cmd, Entrypoint []string
		Healthcheck          struct{ Test []string }
	}
	_ = json.Unmarshal(s.Container, &c) // what cannot be read never was a container
	m.Environment(c.Env...)
	for _, argv := range [][]string{c.Cmd, c.Entrypoint, c.Healthcheck.Test, s.Probe.Command} {
		m.Command(argv)
	}
	for name, value := range s.Probe.Header {
		m.Variable(name, value)
		if _, credentials, ok := strings.Cut(value, " "); ok { // "Bearer …"
			m.Variable(name, credentials)
		}
	}
	for _, hooks := range []*steady.Hooks{s.Hooks, s.ProjectHooks} {
		for _, moment := range []string{steady.HookBefore, steady.HookStop, steady.HookAfter} {
			if h := hooks.At(moment); h != nil {
				m.Command(h.Command)
			}
		}
	}
	for _, r := range s.Notify {
		m.Command(r.Command)
		m.url(r.Webhook)
		m.url(r.Slack)
	}
	if s.Build != nil {
		m.url(s.Build.Context)
		for name, value := range s.Build.Args {
			m.Variable(name, value)
		}
	}
}

// Environment adds variables, "NAME=value".
func (m *Mask) Environment(env ...string) {
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		m.Variable(name, value)
	}
}

// Variable adds the value of one variable where it is private: where its name says
// so, where it looks like a token, and passwords in a URL. A single plain word is
// left, whatever its name: it could not be told from prose.
func (m *Mask) Variable(name, value string) {
	m.url(value)
	private := len(value) >= leastSecret && steady.SecretName(strings.ReplaceAll(name, "-", "_"))
	if (private || token(value)) && !prose.MatchString(value) {
		m.add(value, stars)
	}
}

// Command adds a command: as a whole, which is told by its program's name, and those
// of its arguments that are private.
func (m *Mask) Command(argv []string) {
	told := steady.Program(argv, false)
	for i, arg := range argv {
		name, value, valued := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch {
		case valued:
			m.Variable(name, value)
		case strings.HasPrefix(arg, "-") && i+1 < len(argv):
			m.Variable(name, argv[i+1])
		default:
			m.Variable("", arg)
		}
		if words := strings.Fields(arg); len(words) > 1 { // a shell's line, or a command that was not split
			m.add(arg, steady.Program([]string{arg}, true)+" …")
			m.Command(words)
		}
	}
	if line := strings.Join(argv, " "); len(argv) > 1 {
		m.add(line, told+" …")
	}
}

var (
	password = regexp.MustCompile(`[A-Za-z][\w+.-]*://([^\s/@:]*):([^\s@/]+)@`)
	prose    = regexp.MustCompile(`^[a-z]+$`)
	dense    = regexp.MustCompile(`^[^\s/.:,\\]+$`)
	letter   = regexp.MustCompile(`[A-Za-z]`)
	digit    = regexp.MustCompile(`[0-9]`)
)

// token says whether a value looks like one: letters and digits, and neither a
// path, a host, a version nor a sentence.
func token(value string) bool {
	return len(value) >= leastToken && dense.MatchString(value) && letter.MatchString(value) && digit.MatchString(value)
}

// url adds the passwords of the URLs in a text, and what goes for one without a
// user's name: "https://TOKEN@host".
func (m *Mask) url(text string) {
	for _, found := range password.FindAllStringSubmatch(text, -1) {
		if len(found[2]) >= leastSecret {
			m.add(found[2], stars)
			continue
		}
		m.add(found[1]+":"+found[2]+"@", stars+"@")
	}
}

func (m *Mask) add(value, told string) {
	if len(value) < leastSecret || strings.HasSuffix(told, " …") && len(value) < leastLine {
		return
	}
	if m.instead == nil {
		m.instead = map[string]string{}
	}
	if _, known := m.instead[value]; known {
		return
	}
	m.instead[value], m.replace = told, nil
	if quoted := strconv.Quote(value); quoted[1:len(quoted)-1] != value { // as an error quotes it
		m.instead[quoted[1:len(quoted)-1]] = told
	}
}

// Text is the text with every value that the mask knows replaced, the longest
// first.
func (m *Mask) Text(text string) string {
	if len(m.instead) == 0 || text == "" {
		return text
	}
	if m.replace == nil {
		longest := slices.SortedFunc(maps.Keys(m.instead), func(a, b string) int {
			return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
		})
		var pairs []string
		for _, value := range longest {
			pairs = append(pairs, value, m.instead[value])
		}
		m.replace = strings.NewReplacer(pairs...)
	}
	return m.replace.Replace(text)
}
