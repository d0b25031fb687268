package compose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"
)

// offline answers HTTP as an Engine with nothing on it would, and keeps the
// bodies of what it is asked to create. It stands below the Engine's own client,
// so that a body is what would have gone over the wire. It opens no socket.
type offline struct {
	externalNetworks map[string]bool // networks and volumes that the files say are there
	externalVolumes  map[string]bool

	mu         sync.Mutex
	containers map[string]container.CreateRequest // by container name
	networks   map[string]json.RawMessage         // by network name
	volumes    map[string]json.RawMessage         // by volume name
}

func newOffline() *offline {
	return &offline{
		externalNetworks: map[string]bool{},
		externalVolumes:  map[string]bool{},
		containers:       map[string]container.CreateRequest{},
		networks:         map[string]json.RawMessage{},
		volumes:          map[string]json.RawMessage{},
	}
}

// client is an Engine client whose requests end here.
func (o *offline) client() (client.APIClient, error) {
	return client.New(client.WithHTTPClient(&http.Client{Transport: o}))
}

// RoundTrip answers one request. What it does not know is 501 with its name: a
// newer Compose that asks for more fails with a sentence, not with a panic.
func (o *offline) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, fmt.Errorf("read request: %w", err)
		}
		r.Body.Close()
	}
	code, answer := o.answer(r.Method, unversioned(r.URL.Path), r.URL.Query(), body)
	b, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("answer %s %s: %w", r.Method, r.URL.Path, err)
	}
	return &http.Response{
		StatusCode:    code,
		Status:        http.StatusText(code),
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header{"Content-Type": {"application/json"}, "Api-Version": {client.MaxAPIVersion}, "Ostype": {"linux"}},
		Body:          io.NopCloser(bytes.NewReader(b)),
		ContentLength: int64(len(b)),
		Request:       r,
	}, nil
}

// unversioned cuts "/v1.56" off a path.
func unversioned(path string) string {
	if rest, ok := strings.CutPrefix(path, "/v1."); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			return rest[i:]
		}
	}
	return path
}

type message struct {
	Message string `json:"message"`
}

func (o *offline) answer(method, path string, q url.Values, body []byte) (int, any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	kind, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case kind == "_ping":
		return http.StatusOK, "OK"
	case method == http.MethodPost && rest == "create":
		return o.create(kind, q, body)
	case method != http.MethodGet:
		return unforeseen(method, path)
	case kind == "images" || kind == "distribution":
		return http.StatusNotFound, message{"no such image"}
	case kind == "containers":
		return o.container(rest, q)
	case kind == "networks":
		return o.network(rest, q)
	case kind == "volumes":
		return o.volume(rest)
	}
	return unforeseen(method, path)
}

func unforeseen(method, path string) (int, any) {
	return http.StatusNotImplemented, message{fmt.Sprintf("unsupported: Compose asked the Engine for %s %s", method, path)}
}

// create keeps the body. Containers are parsed: Compose asks for them again.
func (o *offline) create(kind string, q url.Values, body []byte) (int, any) {
	var named struct{ Name string }
	if err := json.Unmarshal(body, &named); err != nil {
		return http.StatusBadRequest, message{err.Error()}
	}
	switch kind {
	case "networks":
		o.networks[named.Name] = body
		return http.StatusCreated, network.CreateResponse{ID: named.Name}
	case "volumes":
		o.volumes[named.Name] = body
		return http.StatusCreated, volume.Volume{Name: named.Name}
	case "containers":
		var c container.CreateRequest
		if err := json.Unmarshal(body, &c); err != nil {
			return http.StatusBadRequest, message{err.Error()}
		}
		o.containers[q.Get("name")] = c
		return http.StatusCreated, container.CreateResponse{ID: q.Get("name")}
	}
	return unforeseen(http.MethodPost, "/"+kind+"/create")
}

// container lists the containers of one service (links look for them), or gives
// one just created.
func (o *offline) container(rest string, q url.Values) (int, any) {
	if rest == "json" {
		list := []container.Summary{}
		for name, c := range o.containers {
			if matches(q, c.Labels) {
				list = append(list, container.Summary{ID: name, Names: []string{"/" + name}, Labels: c.Labels})
			}
		}
		return http.StatusOK, list
	}
	name := strings.TrimSuffix(rest, "/json")
	c, ok := o.containers[name]
	if !ok {
		return http.StatusNotFound, message{"no such container: " + name}
	}
	return http.StatusOK, container.InspectResponse{
		ID: name, Name: "/" + name, State: &container.State{}, Config: c.Config, HostConfig: c.HostConfig,
		NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{}},
	}
}

// matches applies the label filters of a list request.
func matches(q url.Values, labels map[string]string) bool {
	var filters map[string]map[string]bool
	if err := json.Unmarshal([]byte(q.Get("filters")), &filters); err != nil {
		return true
	}
	for want := range filters["label"] {
		key, value, exact := strings.Cut(want, "=")
		have, ok := labels[key]
		if !ok || exact && have != value {
			return false
		}
	}
	return true
}

func (o *offline) network(rest string, q url.Values) (int, any) {
	if rest == "" {
		list := []network.Summary{}
		for name := range o.externalNetworks {
			if strings.Contains(q.Get("filters"), `"name"`) {
				list = append(list, network.Summary{Network: network.Network{Name: name, ID: name}})
			}
		}
		return http.StatusOK, list
	}
	if o.externalNetworks[rest] {
		return http.StatusOK, network.Inspect{Network: network.Network{Name: rest, ID: rest}}
	}
	return http.StatusNotFound, message{"no such network: " + rest}
}

func (o *offline) volume(rest string) (int, any) {
	switch {
	case rest == "":
		return http.StatusOK, volume.ListResponse{Volumes: []volume.Volume{}}
	case o.externalVolumes[rest]:
		return http.StatusOK, volume.Volume{Name: rest}
	}
	return http.StatusNotFound, message{"no such volume: " + rest}
}
