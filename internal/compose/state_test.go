package compose_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestState_IsWhatTheSuccessorFindsAgain(t *testing.T) {
	for volume, want := range map[string][]string{
		`"data:/data"`:                            {"shop_data"},
		`"named:/data"`:                           {"elsewhere"},
		`"data:/data:ro"`:                         nil,
		`"/anonymous"`:                            nil,
		`{type: tmpfs, target: /x}`:               nil,
		`"/srv/data:/data"`:                       {"/srv/data"},
		`"/srv/data:/data:ro"`:                    nil,
		`"/srv/app.db:/data/app.db"`:              {"/srv/app.db"},
		`"/srv/nginx.conf:/etc/nginx.conf"`:       nil,
		`"/srv/conf.d:/etc/nginx/conf.d"`:         {"/srv/conf.d"},
		`"/srv/Caddyfile:/etc/caddy/Caddyfile"`:   nil,
		`"/etc/localtime:/etc/localtime"`:         nil,
		`"/var/run/docker.sock:/run/docker.sock"`: nil,
		`"/dev/snd:/dev/snd"`:                     nil,
		`"/devices:/devices"`:                     {"/devices"},
	} {
		p := loadText(t, "volumes: {data: {}, named: {name: elsewhere}}\nservices: {web: {image: x, volumes: ["+volume+"]}}")
		if diff := cmp.Diff(want, p.Specs[0].State); diff != "" {
			t.Errorf("%s:\n%s", volume, diff)
		}
	}
}

func TestState_IsThatOfVolumesFromToo(t *testing.T) {
	p := loadText(t, `
volumes: {data: {}}
services:
  db: {image: x, volumes: ["data:/data"]}
  reader: {image: x, volumes_from: ["db:ro"]}
  writer: {image: x, volumes_from: [db]}
`)
	for i, want := range [][]string{{"shop_data"}, nil, {"shop_data"}} {
		if diff := cmp.Diff(want, p.Specs[i].State); diff != "" {
			t.Errorf("%s:\n%s", p.Specs[i].Service, diff)
		}
	}
}
