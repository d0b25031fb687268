package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"gesalpai.ch/steady"
)

// refusal gives a loading error its code, the place in the files where it can be
// found, the variables that nobody sets there, and a hint. env is what variables are
// replaced from; nil where that is not known.
func refusal(files []string, env types.Mapping, err error) error {
	var own *steady.Error
	if errors.As(err, &own) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("load the Compose files: %w", err)
	}
	words := plainly(err.Error())
	if e := envFileFault(files, words); e != nil {
		return e
	}
	c := culpritOf(files, env, words)
	text := words
	if c.place != "" {
		text = c.place + ": " + strings.TrimPrefix(words, "validating "+c.file()+": ")
	}
	hint := hintFor(words)
	if len(c.unset) > 0 && !strings.Contains(words, "required variable") && !strings.Contains(words, "invalid interpolation") {
		text += "; " + notSet(c.unset)
		if !strings.Contains(words, "must be a mapping") {
			hint = hintUnset(c.unset)
		}
	}
	return steady.ErrCompose.With(text, hint)
}

// decoding is what compose-go puts before what it could not decode.
const decoding = "decoding failed due to the following error(s):"

var (
	// uninterpolated is the value that could not be interpolated: it may hold a password.
	uninterpolated = regexp.MustCompile(`(?s)(invalid interpolation format for [^\n]+?)\.\n.*`)
	// index is a path in the words of the decoder: 'services[web].cpus'.
	index = regexp.MustCompile(`'(\w+)\[([\w.-]+)\]`)
)

// plainly is an error of Compose's in one line and without values of the files.
func plainly(text string) string {
	text = uninterpolated.ReplaceAllString(strings.TrimSpace(text), "$1")
	text = index.ReplaceAllString(text, "'$1.$2")
	text = strings.TrimSpace(strings.TrimPrefix(text, decoding))
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }), "; ")
}

var (
	// unreadable is an env file with a line that is none; compose-go quotes the line.
	unreadable = regexp.MustCompile(`failed to read (.+?): line (\d+): (.*)`)
	quoting    = regexp.MustCompile(`(?s)(unterminated quoted value|in variable name|unexpected character) .*`)
	// missing is an env file that is not there.
	missing = regexp.MustCompile(`env file (.+?) not found`)
)

// envFileFault is the refusal of an env file, nil where it is about something else.
func envFileFault(files []string, words string) error {
	if m := unreadable.FindStringSubmatch(words); m != nil {
		text := fmt.Sprintf("%s:%s: %s", m[1], m[2], quoting.ReplaceAllString(m[3], "$1"))
		return steady.ErrCompose.With(text, "each line is NAME=value; a value with a space, a # or a quote stands in quotes")
	}
	m := missing.FindStringSubmatch(words)
	if m == nil {
		return nil
	}
	text := fmt.Sprintf("env file %s not found", m[1])
	if place := placesOf(files).mention(m[1], "env_file"); place != "" {
		text = place + ": " + text
	}
	return steady.ErrCompose.With(text, "create the file, or mark it `required: false`")
}

// unparsed is the file that is no YAML, in the same words.
func unparsed(files []string, words string) string {
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var n yaml.Node
		if err := yaml.Unmarshal(b, &n); err != nil && strings.Contains(words, yamlWords(err)) {
			return file
		}
	}
	return ""
}

// yamlWords is a parser's sentence without the address of the parser.
func yamlWords(err error) string {
	words := err.Error()
	return words[strings.LastIndex(words, ": ")+1:]
}

func hintFor(text string) string {
	switch {
	case strings.Contains(text, "no configuration file provided"):
		return "go to the directory of the Compose file, or name it: steady plan --file PATH"
	case strings.Contains(text, "false schema"), strings.Contains(text, "additional properties"):
		return "Compose does not know this attribute: see how it is spelled, and how far it is indented"
	case strings.Contains(text, "required variable"):
		return "set it in the environment or in .env, or pass --env-file PATH"
	case strings.Contains(text, "invalid interpolation"):
		return "write $$ for a dollar sign that is no variable's, or close the brace: ${NAME}"
	case strings.Contains(text, "env_file format"):
		return "leave the format out, or write format: raw"
	case strings.Contains(text, "must be a mapping"):
		return "write NAME: value, one a line and further indented; where a variable stands there, it cannot stand for several lines"
	case strings.Contains(text, "non-string key"):
		return `write the key in quotes: "8000"`
	case strings.Contains(text, "no such file"):
		return "see that the path is right; relative ones start at the Compose file's directory"
	}
	return "mend the file, then: steady plan"
}

func notSet(names []string) string {
	if len(names) == 1 {
		return names[0] + " is not set"
	}
	return strings.Join(names, ", ") + " are not set"
}

func hintUnset(names []string) string {
	return fmt.Sprintf("set %s in .env beside the file or in the environment, or give a fallback: ${%s:-value}", strings.Join(names, ", "), names[0])
}
