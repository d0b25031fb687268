package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"gesalpai.ch/steady"
)

// refusal gives a loading error its code, the place in the files where it can be
// found, and a hint.
func refusal(files []string, err error) error {
	var own *steady.Error
	if errors.As(err, &own) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("load the Compose files: %w", err)
	}
	words := strings.TrimSpace(err.Error())
	text := words
	if place := placeOf(files, words); place != "" {
		file := place[:strings.LastIndexByte(place, ':')]
		text = place + ": " + strings.TrimPrefix(words, "validating "+file+": ")
	}
	return steady.ErrCompose.With(text, hintFor(words))
}

var (
	// attribute is a path such as services.web.ports in Compose's words.
	attribute = regexp.MustCompile(`\b(?:services|networks|volumes|configs|secrets)(?:\.[\w-]+)+`)
	// quoted service: service "web" refers to undefined network gone.
	service = regexp.MustCompile(`\bservice "([\w.-]+)"`)
	// yamlLines is go-yaml's notation of a range: L2.C3-L4.C4.
	yamlLines = regexp.MustCompile(`\bL(\d+)\.C\d+`)
	plainLine = regexp.MustCompile(`\bline (\d+)`)
)

// placeOf finds "file:line" for what Compose says; it does not say so itself in
// most cases. Empty where the files do not show it.
func placeOf(files []string, words string) string {
	if file := unparsed(files, words); file != "" {
		lines := append(yamlLines.FindAllStringSubmatch(words, -1), plainLine.FindAllStringSubmatch(words, -1)...)
		if len(lines) == 0 {
			return ""
		}
		return file + ":" + lines[len(lines)-1][1]
	}
	var steps []string
	if path := attribute.FindString(words); path != "" {
		steps = strings.Split(path, ".")
	} else if m := service.FindStringSubmatch(words); m != nil {
		steps = []string{"services", m[1]}
	}
	// A name may be missing at the end of the path, or a list stand there.
	for n := len(steps); n >= 2; n-- {
		if place := locate(files, steps[:n]); place != "" {
			return place
		}
	}
	return ""
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
	case strings.Contains(text, "env file"), strings.Contains(text, ".env"):
		return "create the file, or mark it `required: false`"
	case strings.Contains(text, "non-string key"):
		return `write the key in quotes: "8000"`
	case strings.Contains(text, "no such file"):
		return "see that the path is right; relative ones start at the Compose file's directory"
	}
	return "mend the file, then: steady plan"
}
