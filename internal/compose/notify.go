package compose

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gesalpai.ch/steady"
)

// notifyKey is the list of x-steady that says who is told of rollouts.
const notifyKey = "notify"

// receivers reads the list, which stands at the top only: whom rollouts of one
// service are told to would be whom those of its neighbours are not.
func (s section) receivers(said map[string]any, dir string) ([]steady.Receiver, error) {
	raw, there := said[notifyKey].([]any)
	if there && !s.top {
		return nil, s.refuse(notifyKey, "belongs at the top of the file", "x-steady: {notify: [...]} beside services")
	}
	var out []steady.Receiver
	for i, one := range raw {
		r, err := s.receiver(notifyKey+"."+strconv.Itoa(i), one, dir)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func (s section) receiver(at string, raw any, dir string) (steady.Receiver, error) {
	var r steady.Receiver
	m, ok := raw.(map[string]any)
	if !ok {
		return r, s.refuse(at, "must be a mapping", "notify: [{webhook: https://ops.example.ch/steady}]")
	}
	keys := receiverKeys()
	for _, name := range sortedKeys(m) {
		i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
		if i < 0 {
			return r, s.refuse(at+"."+name, "unknown key", "known keys: "+strings.Join(namesOf(keys), ", "))
		}
		v, err := keys[i].parse(m[name])
		if err != nil {
			return r, s.refuse(at+"."+name, err.Error(), keys[i].brief())
		}
		put(&r, name, v, dir)
	}
	return r, s.whole(at, r)
}

func put(r *steady.Receiver, name string, v any, dir string) {
	switch name {
	case "webhook":
		r.Webhook = v.(string)
	case "slack":
		r.Slack = v.(string)
	case "command":
		r.Command, r.Dir = v.(hookCommand).argv, dir
	case "secret_file":
		r.SecretFile = v.(string)
		if !filepath.IsAbs(r.SecretFile) {
			r.SecretFile = filepath.Join(dir, r.SecretFile)
		}
	case "secret_env":
		r.SecretEnv = v.(string)
	case "on":
		r.On = v.([]string)
	}
}

// whole refuses a receiver that is none, or two.
func (s section) whole(at string, r steady.Receiver) error {
	ways := 0
	for _, there := range []bool{r.Webhook != "", r.Slack != "", len(r.Command) > 0} {
		if there {
			ways++
		}
	}
	switch {
	case ways != 1:
		return s.refuse(at, "must be one of webhook, slack and command", "notify: [{webhook: https://ops.example.ch/steady}]")
	case r.Webhook == "" && (r.SecretFile != "" || r.SecretEnv != ""):
		return s.refuse(at, "only a webhook is signed", "leave the secret out")
	case r.SecretFile != "" && r.SecretEnv != "":
		return s.refuse(at, "has two secrets", "keep secret_file or secret_env")
	}
	return nil
}

// address reads a URL. It is not repeated in an error: it may hold a password.
func address(v any) (any, error) {
	s, _ := v.(string)
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("it is no http:// or https:// address")
	}
	return s, nil
}

// variableName reads a variable's name, so that nobody writes the secret itself there.
func variableName(v any) (any, error) {
	s, _ := v.(string)
	for i, c := range s {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return nil, fmt.Errorf("it is no name of a variable")
		}
	}
	if s == "" {
		return nil, fmt.Errorf("it is no name of a variable")
	}
	return s, nil
}

func notices(v any) (any, error) {
	all, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%v is no list", v)
	}
	var out []string
	for _, one := range all {
		s, _ := one.(string)
		if !slices.Contains(steady.Notices(), s) {
			return nil, fmt.Errorf("%v is none of %s", one, strings.Join(steady.Notices(), ", "))
		}
		out = append(out, s)
	}
	return out, nil
}

// receiverKeys are those of one entry of notify.
func receiverKeys() []Key {
	return []Key{
		{Name: "webhook", Type: "URL", Default: "none", parse: address,
			Doc: "A URL that gets a POST with JSON. Redirects are not followed."},
		{Name: "slack", Type: "URL", Default: "none", parse: address,
			Doc: "An incoming webhook of Slack, or of anything that accepts its format: it gets {\"text\": …}."},
		{Name: "command", Type: "text | list", Default: "none", parse: words,
			Doc: "Run on the host, in the project's directory, with the JSON on its standard input."},
		{Name: "secret_file", Type: "file", Default: "none", parse: text,
			Doc: "A file with the secret that signs a webhook; the daemon reads it each time."},
		{Name: "secret_env", Type: "name", Default: "none", parse: variableName,
			Doc: "The daemon's environment variable that holds the secret."},
		{Name: "on", Type: "list", Default: "all but unchanged", parse: notices,
			Doc: "The events it gets: accepted, done, unchanged, failed, rolled-back, paused, aborted."},
	}
}

// notifyKeys are the settings of notifications.
func notifyKeys() []Key {
	out := []Key{{Name: notifyKey, Type: "list", Default: "none", parse: list,
		Doc: "The targets of notifications about the project's rollouts: mappings of the keys below. At the top of the file only."}}
	for _, k := range receiverKeys() {
		k.Name = notifyKey + "[]." + k.Name
		out = append(out, k)
	}
	return out
}
