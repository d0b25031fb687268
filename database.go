package steady

import "strings"

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

// Repository is the last part of an image's name: "postgres" of
// "docker.io/library/postgres:16@sha256:…".
func Repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name := image[strings.LastIndexByte(image, '/')+1:]
	name, _, _ = strings.Cut(name, ":")
	return name
}

// Database is the kind of database that an image holds; empty when it is none that
// we know.
func Database(image string) string {
	name := Repository(image)
	if known, ok := databaseNames[name]; ok {
		name = known
	}
	if _, ok := databases[name]; ok {
		return name
	}
	return ""
}

// DatabaseDirs are where a kind of database keeps its data.
func DatabaseDirs(kind string) []string { return databases[kind] }
