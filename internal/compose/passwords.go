package compose

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"gesalpai.ch/steady"
)

// passwords are the options of a service's command lines that are given a password
// as it is, and no variable. The values stay here.
func (p *places) passwords(service string) []steady.Argument {
	var out []steady.Argument
	for _, key := range []string{"entrypoint", "command", "healthcheck.test"} {
		var program string
		words := p.words(service + "." + key)
		for i, w := range words {
			if name := filepath.Base(w.text); programs[name] {
				program = name
			}
			next := word{}
			if i+1 < len(words) {
				next = words[i+1]
			}
			if flag := givesPassword(program, w.text, next.text); flag != "" {
				out = append(out, steady.Argument{Flag: flag, Path: w.path})
			}
		}
	}
	return out
}

// word is one word of a command line as it is written, before variables are
// replaced.
type word struct{ text, path string }

// words splits a command line, or each entry of one that is a list: an entry may be
// a whole script.
func (p *places) words(at string) []word {
	entries := []string{at}
	for i := range p.size[at] {
		entries = append(entries, fmt.Sprintf("%s[%d]", at, i))
	}
	var out []word
	for _, entry := range entries {
		for _, text := range strings.Fields(p.raw[entry]) {
			out = append(out, word{strings.Trim(text, `"';,()`), entry})
		}
	}
	return out
}

// programs have options of their own for a password.
var programs = map[string]bool{
	"redis-cli": true, "valkey-cli": true, "mysql": true, "mysqladmin": true, "mariadb": true, "mariadb-admin": true,
	"mongosh": true, "mongo": true, "curl": true,
}

// passwordFlag is an option that takes a password, token or key, and its value
// where one follows an equals sign.
var passwordFlag = regexp.MustCompile(`^(--?(?:[a-z][a-z0-9]*[-.])*(?:requirepass|masterauth|password|passwd|token|secret|secret-key|api-key))(?:=(.*))?$`)

// givesPassword is the option by which a word, with the next one, gives a literal
// password; empty where it does not.
func givesPassword(program, text, next string) string {
	if m := passwordFlag.FindStringSubmatch(text); m != nil && !negated.MatchString(m[1]) {
		value := m[2]
		if !strings.Contains(text, "=") && !mysqlLike(program) { // mysql --password asks for it
			value = next
		}
		return ifLiteral(m[1], value)
	}
	switch {
	case strings.HasSuffix(program, "-cli") && text == "-a", strings.HasPrefix(program, "mongo") && text == "-p":
		return ifLiteral(text, next)
	case mysqlLike(program):
		if value, short := strings.CutPrefix(text, "-p"); short {
			return ifLiteral("-p", value)
		}
	case program == "curl" && (text == "-u" || text == "--user"):
		_, value, _ := strings.Cut(next, ":")
		return ifLiteral(text, value)
	}
	return ""
}

// mysqlLike says whether a password follows -p without a space.
func mysqlLike(program string) bool {
	return strings.HasPrefix(program, "mysql") || strings.HasPrefix(program, "mariadb")
}

// negated options switch passwords off, or ask for one.
var negated = regexp.MustCompile(`^--?(?:no|allow|require|disable|skip|ask)-`)

func ifLiteral(flag, value string) string {
	if value == "" || strings.HasPrefix(value, "-") || strings.ContainsAny(value, "$<>{}") || noSecret(value) {
		return ""
	}
	return flag
}
