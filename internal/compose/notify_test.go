package compose_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
)

func TestXSteady_NotifyIsReadAsItStands(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": `
x-steady:
  notify:
    - {webhook: "https://ops.example.ch/steady", secret_file: ops.key}
    - {slack: "https://hooks.slack.com/services/T0K3N", on: [failed, rolled-back]}
    - {command: "logger -t steady"}
services: {web: {image: x}, api: {image: x}}
`})
	p, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	want := []steady.Receiver{
		{Webhook: "https://ops.example.ch/steady", SecretFile: dir + "/ops.key"},
		{Slack: "https://hooks.slack.com/services/T0K3N", On: []string{"failed", "rolled-back"}},
		{Command: []string{"/bin/sh", "-c", "logger -t steady"}, Dir: dir},
	}
	for _, s := range p.Specs {
		if d := cmp.Diff(want, s.Notify); d != "" {
			t.Errorf("%s (-want +got):\n%s", s.Service, d)
		}
	}
	names := []string{"webhook ops.example.ch", "slack hooks.slack.com", "command logger"}
	for i, r := range p.Specs[0].Notify {
		if r.Name() != names[i] {
			t.Errorf("name %q, want %q", r.Name(), names[i])
		}
	}
	with := p.Specs[0].Digest()
	p.Specs[0].Notify = nil
	if p.Specs[0].Digest() != with {
		t.Error("whom to tell makes another release")
	}
}

func TestXSteady_RefusesAReceiverThatIsNone(t *testing.T) {
	for x, want := range map[string]string{
		"notify: [{secret_env: A}]":                                       "notify.0: must be one of webhook, slack and command",
		"notify: [{webhook: 'https://a', slack: 'https://b'}]":            "notify.0: must be one of",
		"notify: [{webhook: 'T0K3N'}]":                                    "notify.0.webhook: it is no http:// or https:// address",
		"notify: [{slack: 'https://a', secret_env: A}]":                   "only a webhook is signed",
		"notify: [{webhook: 'https://a', secret_env: A, secret_file: b}]": "has two secrets",
		"notify: [{webhook: 'https://a', secret_env: 'T0K3N-x'}]":         "secret_env: it is no name of a variable",
		"notify: [{webhook: 'https://a', secret: 'T0K3N'}]":               "secret: unknown key",
		"notify: [{webhook: 'https://a', on: [broken]}]":                  "broken is none of accepted",
		"notify: ['https://a']":                                           "notify.0: must be a mapping",
		"notify: {webhook: 'https://a'}":                                  "notify: must be a list",
	} {
		dir := write(t, map[string]string{"compose.yaml": "x-steady: {" + x + "}\nservices: {web: {image: x}}"})
		_, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir})
		if !errors.Is(err, steady.ErrCompose) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "T0K3N") {
			t.Errorf("%s: %v, want %q", x, err, want)
		}
	}
	dir := write(t, map[string]string{"compose.yaml": "services: {web: {image: x, x-steady: {notify: [{webhook: 'https://a'}]}}}"})
	if _, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir}); !errors.Is(err, steady.ErrCompose) || !strings.Contains(err.Error(), "belongs at the top") {
		t.Errorf("within a service: %v", err)
	}
}
