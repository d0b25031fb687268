package check

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// tag is what follows the name; pinned says that a digest names the image.
func tag(image string) (tag string, pinned bool) {
	image, _, pinned = strings.Cut(image, "@")
	_, tag, _ = strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	return tag, pinned
}

// database is the kind of database that a service is; empty when it is none that
// we know.
func database(d steady.Declared) string {
	if d.Builds || visits(d) {
		return ""
	}
	return steady.Database(d.Image)
}

// visits says whether a service takes the image of a database for the clients in it: a
// backup, a migration, the setup of another one.
func visits(d steady.Declared) bool {
	r := runs(d)
	calls := r.calls()
	if line, _ := r.script(); line != "" {
		return !slices.ContainsFunc(calls, func(argv []string) bool { return daemons.MatchString(path.Base(argv[0])) })
	}
	return len(calls) > 0 && clients.MatchString(path.Base(calls[0][0]))
}

var (
	daemons = regexp.MustCompile(`entrypoint|server|postgres|mysqld|mariadbd|mongod|influxd|rabbitmq|elasticsearch|opensearch|clickhouse|cassandra|neo4j|^minio$|qdrant|etcd|^vault$|^run\.sh$|start`)
	clients = regexp.MustCompile(`^(?:psql|pg_\w+|createdb|mysql|mysqladmin|mysqldump|mariadb|mariadb-\w+|mongosh|mongo|mongodump|mongorestore|redis-cli|valkey-cli|influx|clickhouse-client|cqlsh|sleep|curl|tail)$`)
)

// caches lose what they hold without a volume, which may be meant.
var caches = []string{"redis", "valkey", "keydb", "dragonfly", "redis-stack", "redis-stack-server"}

func isCache(d steady.Declared) bool {
	return !d.Builds && !visits(d) && slices.Contains(caches, steady.Repository(d.Image))
}

// fronts answer for others, whose names they look up.
var fronts = []string{"nginx", "nginx-unprivileged", "haproxy", "caddy", "httpd", "envoy", "openresty", "apache"}

// driven take their upstreams from the Engine's containers and their labels.
var driven = []string{"traefik", "nginx-proxy", "caddy-docker-proxy", "docker-gen"}

// updaters replace or restart containers by themselves.
var updaters = []string{"watchtower", "ouroboros", "docker-autoheal", "autoheal", "diun-updater", "shepherd"}

// consoles give whoever reaches them the database.
var consoles = []string{"adminer", "phpmyadmin", "pgadmin4", "mongo-express", "redis-commander", "redisinsight", "portainer", "portainer-ce"}

// brokers hand each job to one of those who ask.
var brokers = []string{"rabbitmq", "kafka", "redpanda", "nats", "nats-server", "activemq", "activemq-artemis", "pulsar", "beanstalkd", "elasticmq", "localstack"}

// openly are databases whose API is HTTP made for the open network, with keys of its own.
var openly = []string{"minio", "meilisearch", "typesense", "vault"}

// gatekeepers let chosen calls through to the Engine's socket and are what the
// finding advises.
var gatekeepers = []string{"docker-socket-proxy", "socket-proxy", "dockerproxy"}

func among(d steady.Declared, names []string) bool {
	return slices.Contains(names, steady.Repository(d.Image))
}

// serves says whether others call the service: it publishes or exposes a port.
func serves(d steady.Declared) bool { return len(d.Published) > 0 || d.Exposed }
