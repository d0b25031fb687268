package compose

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// runsOf reads what the service's image will run. Of a Dockerfile that is
// not on this machine nothing is known.
func runsOf(b *types.BuildConfig) steady.Dockerfile {
	if b == nil || strings.Contains(b.Context, "://") {
		return steady.Dockerfile{}
	}
	if b.DockerfileInline != "" {
		return parseDockerfile("", b.DockerfileInline, b.Target)
	}
	file := b.Dockerfile
	if file == "" {
		file = "Dockerfile"
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(b.Context, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return steady.Dockerfile{}
	}
	return parseDockerfile(file, string(text), b.Target)
}

// parseDockerfile takes the instructions of the stage named target, else of the
// last. What a stage inherits from another one of the file counts too.
func parseDockerfile(file, text, target string) steady.Dockerfile {
	stages := map[string]steady.Dockerfile{}
	now := steady.Dockerfile{File: file}
	name, own := "", false // own: the stage itself has a CMD
	for _, in := range instructions(text) {
		word, rest, _ := strings.Cut(in.text, " ")
		rest = strings.TrimSpace(rest)
		switch strings.ToUpper(word) {
		case "FROM":
			if name != "" {
				stages[name] = now
			}
			if target != "" && strings.EqualFold(name, target) {
				return now
			}
			var base string
			base, name = fromOf(rest)
			now, own = steady.Dockerfile{File: file, Base: base}, false
			if s, ok := stages[strings.ToLower(base)]; ok {
				now = s
			}
		case "CMD":
			now.Command, now.CommandShell = formOf(rest)
			now.CommandAt, own = in.line, true
		case "ENTRYPOINT":
			now.Entrypoint, now.EntrypointShell = formOf(rest)
			now.EntrypointAt = in.line
			if !own { // Docker drops the CMD of the base
				now.Command, now.CommandShell, now.CommandAt = nil, false, 0
			}
		case "HEALTHCHECK":
			now.HealthcheckStandsHere = !strings.EqualFold(rest, "NONE")
		}
	}
	return now
}

type instruction struct {
	line int // where it begins
	text string
}

// instructions joins continued lines and leaves out comments.
func instructions(text string) []instruction {
	var out []instruction
	var now instruction
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		if now.text == "" {
			now.line = i + 1
		}
		part, more := strings.CutSuffix(trimmed, `\`)
		now.text = strings.TrimSpace(now.text + " " + strings.TrimSpace(part))
		if !more {
			out = append(out, now)
			now = instruction{}
		}
	}
	if now.text != "" {
		out = append(out, now)
	}
	return out
}

// fromOf reads "[--platform=x] image [AS name]".
func fromOf(rest string) (base, name string) {
	var words []string
	for _, w := range strings.Fields(rest) {
		if !strings.HasPrefix(w, "--") {
			words = append(words, w)
		}
	}
	if len(words) > 0 {
		base = words[0]
	}
	if len(words) == 3 && strings.EqualFold(words[1], "as") {
		name = strings.ToLower(words[2])
	}
	return base, name
}

// formOf reads the exec form, a JSON list, or else the shell form.
func formOf(rest string) (argv []string, shell bool) {
	if json.Unmarshal([]byte(rest), &argv) == nil {
		return argv, false
	}
	return []string{rest}, true
}
