package steady

import (
	"regexp"
	"strconv"
	"strings"
)

// databases keep what must not be lost, by repository, with where they keep it. Two
// of them must never run on one directory.
var databases = map[string][]string{
	"postgres":      {"/var/lib/postgresql"},
	"postgis":       {"/var/lib/postgresql"},
	"pgvector":      {"/var/lib/postgresql"},
	"timescaledb":   {"/var/lib/postgresql", "/home/postgres"},
	"postgresql":    {"/var/lib/postgresql"},
	"mysql":         {"/var/lib/mysql"},
	"mariadb":       {"/var/lib/mysql"},
	"percona":       {"/var/lib/mysql"},
	"mongo":         {"/data/db"},
	"mongodb":       {"/data/db"},
	"elasticsearch": {"/usr/share/elasticsearch/data"},
	"opensearch":    {"/usr/share/opensearch/data"},
	"clickhouse":    {"/var/lib/clickhouse"},
	"influxdb":      {"/var/lib/influxdb", "/var/lib/influxdb2", "/var/lib/influxdb3"},
	"couchdb":       {"/opt/couchdb/data"},
	"neo4j":         {"/data"},
	"cassandra":     {"/var/lib/cassandra"},
	"minio":         {"/data"},
	"rabbitmq":      {"/var/lib/rabbitmq"},
	"meilisearch":   {"/meili_data"},
	"typesense":     {"/data"},
	"qdrant":        {"/qdrant/storage"},
	"etcd":          {"/etcd-data"},
	"vault":         {"/vault"},
}

// databaseNames are other names of images that hold one of the databases.
var databaseNames = map[string]string{
	"postgresql-repmgr": "postgresql", "clickhouse-server": "clickhouse", "timescaledb-ha": "timescaledb", "surrealdb": "",
	"pgautoupgrade": "postgres", "pgvecto-rs": "postgres", "immich-postgres": "postgres", "mysql-server": "mysql", "percona-server": "percona",
	"mongodb-community-server": "mongo", "mongodb-atlas-local": "mongo", "paradedb": "postgres",
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

// DatabaseDirs are where an image that holds a database keeps its data, each of them
// with all below it; a volume belongs at the first. Empty where none is known.
func DatabaseDirs(image string) []string {
	kind := Database(image)
	if kind == "" {
		return nil
	}
	if own, ok := packagers[namespace(image)]; ok {
		return []string{own(Repository(image))}
	}
	major := majorOf(kind, image)
	switch {
	case postgresLike(kind) && major > 0 && major < postgresMoved:
		return append([]string{"/var/lib/postgresql/data"}, databases[kind]...)
	case kind == "influxdb" && major >= 2:
		return []string{"/var/lib/influxdb2", "/var/lib/influxdb3"}
	}
	return databases[kind]
}

// packagers keep all their images' data in a directory of their own.
var packagers = map[string]func(name string) string{
	"bitnami":       func(name string) string { return "/bitnami/" + name },
	"bitnamilegacy": func(name string) string { return "/bitnami/" + name },
	"linuxserver":   func(string) string { return "/config" },
}

// postgresMoved is the major version from which the official image of PostgreSQL
// keeps its data in /var/lib/postgresql/MAJOR/docker and has its volume at
// /var/lib/postgresql; before it was /var/lib/postgresql/data (docker-library/postgres#1259).
const postgresMoved = 18

// postgresLike kinds are made FROM the official image of PostgreSQL.
func postgresLike(kind string) bool {
	return kind == "postgres" || kind == "postgis" || kind == "pgvector"
}

// DatabaseVolume is the directory at which the image of a database declares a volume
// of its own: what is mounted above it does not have the data. Empty where it is
// not known.
func DatabaseVolume(image string) string {
	kind := Database(image)
	if _, packaged := packagers[namespace(image)]; packaged {
		return ""
	}
	switch major := majorOf(kind, image); {
	case kind == "influxdb" && major == 1:
		return "/var/lib/influxdb"
	case kind == "influxdb" && major == 2:
		return "/var/lib/influxdb2"
	case !postgresLike(kind):
		return volumes[kind]
	case major == 0:
		return ""
	case major < postgresMoved:
		return "/var/lib/postgresql/data"
	}
	return "/var/lib/postgresql"
}

// volumes are those that the official images declare.
var volumes = map[string]string{
	"mysql": "/var/lib/mysql", "mariadb": "/var/lib/mysql", "mongo": "/data/db", "couchdb": "/opt/couchdb/data",
	"cassandra": "/var/lib/cassandra", "clickhouse": "/var/lib/clickhouse", "rabbitmq": "/var/lib/rabbitmq",
}

// PostgresMajor is the major version of an image of PostgreSQL that keeps its data
// where the official one does; 0: it is none, or its tag does not tell.
func PostgresMajor(image string) int {
	kind := Database(image)
	if _, packaged := packagers[namespace(image)]; packaged || !postgresLike(kind) {
		return 0
	}
	return majorOf(kind, image)
}

var (
	leading  = regexp.MustCompile(`^v?(\d+)(?:[.-]|$)`)
	postgres = regexp.MustCompile(`(?:^|-)pg(\d+)`)
)

// majorOf reads the major version of a database from the image's tag: 16 of
// "16.4-alpine", and of "pg16" and "2.17-pg16" where it is PostgreSQL with something
// else. 0: the tag does not tell.
func majorOf(kind, image string) int {
	image, _, _ = strings.Cut(image, "@")
	_, tag, _ := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	m := postgres.FindStringSubmatch(tag)
	if m == nil && kind != "timescaledb" {
		m = leading.FindStringSubmatch(tag)
	}
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n > 1000 { // a date
		return 0
	}
	return n
}

// namespace is the part of an image's name before the last: "bitnami" of
// "docker.io/bitnami/postgresql:16".
func namespace(image string) string {
	image, _, _ = strings.Cut(image, "@")
	parts := strings.Split(image, "/")
	return parts[max(len(parts)-2, 0)]
}
