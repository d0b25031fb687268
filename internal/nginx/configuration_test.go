package nginx

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `# configuration file /n/nginx.conf:
user www-data; # who
pid /run/nginx.pid;
http {
  log_format x '{"a": "$b;"}' "quoted \" } one";
  include /n/sites-enabled/*;
}
# configuration file /n/sites-enabled/a:
upstream pool { least_conn; server 127.0.0.1:8000; server localhost:8001 backup; }
server {
  listen 80; listen [::]:80 default_server;
  listen 127.0.0.1:443 ssl;
  server_name a.example ~^(?<n>.+)\.b$;
  location ~ \.php$ { proxy_pass http://pool/x; }
  location / { if ($x) { proxy_pass http://localhost:9000; } set $y ${z}w; }
}
# configuration file /n/sites-enabled/b:
server { server_name b.example; listen unix:/s; location / { proxy_pass http://127.0.0.1:8000; } }
server { server_name none; }
`

func TestRead_FindsServersAndWhereTheyPassOn(t *testing.T) {
	c := read(sample)
	if c.first("pid") != "/run/nginx.pid" || !c.has("/n/sites-enabled/b") || c.has("/n/sites-enabled/c") {
		t.Errorf("pid %q", c.first("pid"))
	}
	want := []server{
		{file: "/n/sites-enabled/a", names: []string{"a.example", `~^(?<n>.+)\.b$`}, ports: []string{"80", "80", "443"},
			pass: []string{"127.0.0.1:8000", "127.0.0.1:8001", "127.0.0.1:9000"}},
		{file: "/n/sites-enabled/b", names: []string{"b.example"}, ports: []string{"unix:/s"}, pass: []string{"127.0.0.1:8000"}},
		{file: "/n/sites-enabled/b", names: []string{"none"}, ports: []string{"80"}},
	}
	if diff := cmp.Diff(want, c.servers(), cmp.AllowUnexported(server{})); diff != "" {
		t.Error(diff)
	}
}

func TestDiff_ListsWhatGoesAndComes(t *testing.T) {
	got := diff("a\nb\nc\n", "a\nx\nc\nd\n")
	if want := []string{"- b", "+ x", "+ d"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := diff("", "a\n"); !slices.Equal(got, []string{"+ a"}) {
		t.Errorf("%q", got)
	}
	if got := diff("a\n", "a\n"); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("a { b 'c")
	f.Add("${")
	f.Add("}};{")
	f.Fuzz(func(t *testing.T, text string) { parse(text) }) // it ends, whatever comes
}
