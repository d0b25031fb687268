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

// A container may be named where a service could be: it is started first, and what it
// writes to is state of what mounts it too.
func TestShared_AContainersNameStandsForItsService(t *testing.T) {
	p := loadText(t, `
services:
  agent: {image: x, network_mode: "container:gateway"}
  reader: {image: x, volumes_from: ["container:gateway:ro"]}
  writer: {image: x, volumes_from: ["container:gateway"]}
  foreign: {image: x, pid: "container:legacy"}
  vpn: {image: x, container_name: gateway, volumes: ["./data:/data"]}
`)
	for i, s := range p.Specs {
		needs := len(s.DependsOn) == 1 && s.DependsOn[0].Service == "vpn"
		if want := s.Service != "foreign" && s.Service != "vpn"; needs != want || want && i == 0 {
			t.Errorf("%s is number %d and depends on %v", s.Service, i, s.DependsOn)
		}
		if want := s.Service == "vpn" || s.Service == "writer"; (len(s.State) == 1) != want {
			t.Errorf("%s writes to %v", s.Service, s.State)
		}
		if want := s.Service != "foreign" && s.Service != "vpn"; want && s.Shares(p.Specs)[0].Service != "vpn" {
			t.Errorf("%s shares %+v", s.Service, s.Shares(p.Specs))
		}
	}
}
