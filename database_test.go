package steady_test

import (
	"testing"

	"gesalpai.ch/steady"
)

func TestDatabaseDirs_FollowTheMajorVersion(t *testing.T) {
	for image, want := range map[string]string{
		"postgres:15":                                "/var/lib/postgresql/data",
		"postgres:16.4-alpine":                       "/var/lib/postgresql/data",
		"docker.io/library/postgres:17@sha256:00":    "/var/lib/postgresql/data",
		"postgres:18":                                "/var/lib/postgresql",
		"postgres:18.1-trixie":                       "/var/lib/postgresql",
		"registry:5000/mirror/postgres:v14":          "/var/lib/postgresql/data",
		"pgvector/pgvector:pg17":                     "/var/lib/postgresql/data",
		"pgvector/pgvector:0.8.1-pg18":               "/var/lib/postgresql",
		"postgis/postgis:16-3.4":                     "/var/lib/postgresql/data",
		"ghcr.io/immich-app/postgres:14-vectorchord": "/var/lib/postgresql/data",
		"bitnami/postgresql:17":                      "/bitnami/postgresql",
		"bitnamilegacy/mysql:8.4":                    "/bitnami/mysql",
		"lscr.io/linuxserver/mariadb:11.4":           "/config",
		"influxdb:1.8":                               "/var/lib/influxdb",
		"influxdb:2.7-alpine":                        "/var/lib/influxdb2",
		"mongodb/mongodb-community-server:8.0-ubi9":  "/data/db",
	} {
		dirs := steady.DatabaseDirs(image)
		if len(dirs) == 0 || dirs[0] != want {
			t.Errorf("%s: %v, want %s first", image, dirs, want)
		}
	}
}

func TestPostgresMajor_IsZeroWhereTheTagDoesNotTell(t *testing.T) {
	for image, want := range map[string]int{
		"postgres": 0, "postgres:latest": 0, "postgres:alpine": 0, "postgres:bookworm": 0, "postgres@sha256:16": 0,
		"pgvector/pgvector:pg16": 16, "postgres:9.6": 9, "postgres:20240101": 0, "mysql:8": 0, "bitnami/postgresql:16": 0,
	} {
		if got := steady.PostgresMajor(image); got != want {
			t.Errorf("%s: %d, want %d", image, got, want)
		}
	}
}
