package steady_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func shareSpec(service, containerName string, host map[string]any) steady.Spec {
	body, err := json.Marshal(map[string]any{"Image": "x", "HostConfig": host})
	if err != nil {
		panic(err)
	}
	return steady.Spec{Project: "shop", Service: service, ContainerName: containerName, Container: body}
}

func TestShares_ByTheNamesThatComposeGivesContainers(t *testing.T) {
	vpn, app := shareSpec("vpn", "gateway", nil), shareSpec("app", "", nil)
	other := steady.Spec{Project: "other", Service: "db", ContainerName: "db"}
	s := shareSpec("qbittorrent", "", map[string]any{
		"NetworkMode": "container:gateway", "IpcMode": "container:shop-app-2", "PidMode": "host",
		"VolumesFrom": []string{"shop-app-1:ro,z", "legacy", "db:ro"},
	})
	want := []steady.Shared{
		{Kind: steady.ShareNetwork, Container: "gateway", Service: "vpn", Number: 1},
		{Kind: steady.ShareIPC, Container: "shop-app-2", Service: "app", Number: 2},
		{Kind: steady.ShareVolumes, Container: "shop-app-1", Service: "app", Number: 1, ReadOnly: true},
		{Kind: steady.ShareVolumes, Container: "legacy"},
		{Kind: steady.ShareVolumes, Container: "db", ReadOnly: true},
	}
	if diff := cmp.Diff(want, s.Shares([]steady.Spec{vpn, app, s, other})); diff != "" {
		t.Error(diff)
	}
	if got := (steady.Spec{}).Shares(nil); got != nil {
		t.Errorf("a spec without a container shares %v", got)
	}
}

func TestWithShared_ReplacesWhatIsNamedAndNothingElse(t *testing.T) {
	s := shareSpec("qbittorrent", "", map[string]any{
		"NetworkMode": "container:gateway", "IpcMode": "shareable", "PidMode": "container:legacy", "VolumesFrom": []string{"gateway:ro", "legacy"}, "Memory": 7,
	})
	got, err := s.WithShared(map[string]string{"gateway": "id-1"})
	if err != nil {
		t.Fatal(err)
	}
	var body, want any
	_ = json.Unmarshal(got.Container, &body)
	_ = json.Unmarshal([]byte(`{"Image":"x","HostConfig":{"NetworkMode":"container:id-1","IpcMode":"shareable","PidMode":"container:legacy","VolumesFrom":["id-1:ro","legacy"],"Memory":7}}`), &want)
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
	if same, err := s.WithShared(nil); err != nil || string(same.Container) != string(s.Container) {
		t.Errorf("nothing is shared: %s, %v", same.Container, err)
	}
}
