package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// imageRules are about what an image's name promises.
func imageRules() []Rule {
	return []Rule{
		{
			ID: "latest", Severity: steady.Warning, many: "images have no version",
			Title: "an image without a tag, or with :latest",
			Why:   "Which release it is depends on the day of the pull. steady records the digest, so a rollback is exact, but the next pull may be anything.",
			Mend:  "name a version: image:1.2.3",
			each: func(in Input, d steady.Declared) []hit {
				built := slices.ContainsFunc(in.Services, func(s steady.Declared) bool { return s.Builds && s.Image == d.Image })
				loose := d.Image != "" && !built && unversioned(d.Image) && !moves(database(d))
				text := fmt.Sprintf("the image of %s is whatever %s is today", d.Service, d.Image)
				return one(loose, d.Path("image"), text)
			},
		},
		{
			ID: "database-moves", Severity: steady.Warning, many: "databases follow their image over major versions",
			Title: "a database whose tag moves over major versions",
			Why:   "A pull brings the next major version, which may not read the old one's files, and may change them so that the old one cannot either.",
			Mend:  "name the major version that its data was made with, as in postgres:16",
			each: func(_ Input, d steady.Declared) []hit {
				t, pinned := tag(d.Image)
				moving := moves(database(d)) && !pinned && !strings.ContainsAny(t, "0123456789")
				return one(moving, d.Path("image"), fmt.Sprintf("%s follows %s over major versions", d.Service, d.Image))
			},
		},
		{
			ID: "dev-server", Severity: steady.Warning,
			Title: "a server for development",
			Why:   "It is slow, restarts by itself when files change, and few of them end requests in order when they are stopped.",
			Mend:  "run the production server: gunicorn, node dist/server.js, next start, puma",
			each: func(_ Input, d steady.Declared) []hit {
				r := runs(d)
				w := devServer.FindString(r.words())
				return one(w != "", r.path, fmt.Sprintf("%s runs %s", d.Service, named(w)))
			},
		},
	}
}

// moves says whether a kind of database has major versions whose files differ.
func moves(kind string) bool {
	return kind != "" && !slices.Contains([]string{"minio", "typesense", "qdrant", "vault", "etcd", "clickhouse"}, kind)
}

// unversioned says whether an image's tag names no version at all.
func unversioned(image string) bool {
	t, pinned := tag(image)
	return !pinned && (t == "" || t == "latest")
}

var devServer = regexp.MustCompile(`\b(?:npm|yarn|pnpm|bun) (?:run )?dev\b|\bnext dev\b|\bflask (?:--\S+ \S+ )*run\b|\bmanage\.py runserver\b|\bnodemon\b|uvicorn\b.*--reload\b|\bfastapi dev\b|\bphp artisan serve\b|\bng serve\b|\bwebpack(?:-dev-server| serve)\b|\bts-node-dev\b|\bgo run\b`)
