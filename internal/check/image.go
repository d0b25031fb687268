package check

import (
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// repository is the last part of an image's name: "postgres" of
// "docker.io/library/postgres:16@sha256:…".
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name := image[strings.LastIndexByte(image, '/')+1:]
	name, _, _ = strings.Cut(name, ":")
	return name
}

// tag is what follows the name; pinned says that a digest names the image.
func tag(image string) (tag string, pinned bool) {
	image, _, pinned = strings.Cut(image, "@")
	_, tag, _ = strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	return tag, pinned
}

// databases keep what must not be lost, by repository, with where they keep it. Two
// of them must never run on one directory.
var databases = map[string][]string{
	"postgres":      {"/var/lib/postgresql"},
	"postgis":       {"/var/lib/postgresql"},
	"pgvector":      {"/var/lib/postgresql"},
	"timescaledb":   {"/var/lib/postgresql", "/home/postgres"},
	"postgresql":    {"/bitnami", "/var/lib/postgresql"},
	"mysql":         {"/var/lib/mysql"},
	"mariadb":       {"/var/lib/mysql", "/bitnami"},
	"percona":       {"/var/lib/mysql"},
	"mongo":         {"/data/db"},
	"mongodb":       {"/bitnami", "/data/db"},
	"elasticsearch": {"/usr/share/elasticsearch/data"},
	"opensearch":    {"/usr/share/opensearch/data"},
	"clickhouse":    {"/var/lib/clickhouse"},
	"influxdb":      {"/var/lib/influxdb", "/var/lib/influxdb2"},
	"couchdb":       {"/opt/couchdb/data"},
	"neo4j":         {"/data"},
	"cassandra":     {"/var/lib/cassandra"},
	"minio":         {"/data"},
	"rabbitmq":      {"/var/lib/rabbitmq"},
	"meilisearch":   {"/meili_data"},
	"typesense":     {"/data"},
	"qdrant":        {"/qdrant/storage"},
	"etcd":          {"/etcd-data", "/bitnami"},
	"vault":         {"/vault"},
}

// databaseNames are other names of images that hold one of the databases.
var databaseNames = map[string]string{
	"postgresql-repmgr": "postgresql", "clickhouse-server": "clickhouse", "timescaledb-ha": "timescaledb", "surrealdb": "",
	"pgautoupgrade": "postgres", "pgvecto-rs": "postgres", "immich-postgres": "postgres", "mysql-server": "mysql", "percona-server": "percona",
}

// database is the kind of database that a service is; empty when it is none that
// we know.
func database(d steady.Declared) string {
	name := repository(d.Image)
	if known, ok := databaseNames[name]; ok {
		name = known
	}
	if _, ok := databases[name]; ok && !d.Builds {
		return name
	}
	return ""
}

// caches lose what they hold without a volume, which may be meant.
var caches = []string{"redis", "valkey", "keydb", "dragonfly", "redis-stack", "redis-stack-server"}

func isCache(d steady.Declared) bool {
	return !d.Builds && slices.Contains(caches, repository(d.Image))
}

// fronts answer for others, whose names they look up.
var fronts = []string{"nginx", "nginx-unprivileged", "haproxy", "caddy", "httpd", "envoy", "openresty", "apache"}

// driven take their upstreams from the Engine's containers and their labels.
var driven = []string{"traefik", "nginx-proxy", "caddy-docker-proxy", "docker-gen"}

// updaters replace or restart containers by themselves.
var updaters = []string{"watchtower", "ouroboros", "docker-autoheal", "autoheal", "diun-updater", "shepherd"}

// consoles give whoever reaches them the database.
var consoles = []string{"adminer", "phpmyadmin", "pgadmin4", "mongo-express", "redis-commander", "redisinsight", "mailhog", "mailpit", "portainer", "portainer-ce"}

func among(d steady.Declared, names []string) bool {
	return slices.Contains(names, repository(d.Image))
}

// serves says whether others call the service: it publishes or exposes a port.
func serves(d steady.Declared) bool { return len(d.Published) > 0 || d.Exposed }
