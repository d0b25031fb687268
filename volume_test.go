package steady_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func TestSpec_WithVolumesMountsByNameAndLeavesAllElse(t *testing.T) {
	s := steady.Spec{Project: "shop", Service: "db", Container: json.RawMessage(`{"Image":"db","Labels":{"a":"b"},"HostConfig":{"Memory":9007199254740993,
		"Mounts":[{"Type":"bind","Source":"/srv","Target":"/srv"},{"Type":"volume","Target":"/data/","VolumeOptions":{"NoCopy":true}}]}}`)}
	data := steady.NewAnonymousVolume("shop", "db", 2, "/data")
	out, err := s.WithVolumes([]steady.AnonymousVolume{data, {Service: "db", Number: 2, Path: "/cache", Name: "/host/cache"}, {Path: "/named", Name: "shop_named"}})
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(out.Container, &got); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal([]byte(`{"Image":"db","Labels":{"a":"b","ch.gesalpai.steady.volumes":"[\"/data\",\"/cache\",\"/named\"]"},"HostConfig":{"Memory":9007199254740993,
		"Mounts":[{"Type":"bind","Source":"/srv","Target":"/srv"},
		{"Type":"volume","Source":"`+data.Name+`","Target":"/data/","VolumeOptions":{"NoCopy":true,"Labels":{"com.docker.compose.project":"shop",
			"com.docker.compose.service":"db","com.docker.compose.container-number":"2","ch.gesalpai.steady.path":"/data"}}},
		{"Type":"bind","Source":"/host/cache","Target":"/cache"},{"Type":"volume","Source":"shop_named","Target":"/named"}]}}`), &want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if string(s.Container) == string(out.Container) || !data.Unnamed() {
		t.Errorf("the spec itself was changed, or %q is a name", data.Name)
	}
	if _, err := (steady.Spec{Container: json.RawMessage("{")}).WithVolumes(nil); err == nil {
		t.Error("a body that is no JSON was taken")
	}
}
