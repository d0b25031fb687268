package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
)

// jobVariables name a CI job in the systems that people use. None of them holds a
// secret, and no other variable's value leaves this process.
var jobVariables = []string{
	"GITHUB_REPOSITORY", "GITHUB_WORKFLOW", "GITHUB_RUN_ID", "GITHUB_ACTOR", "GITHUB_SHA", // Gitea and Forgejo too
	"CI_PROJECT_PATH", "CI_PIPELINE_ID", "CI_JOB_ID", "CI_COMMIT_SHA", "GITLAB_USER_LOGIN",
	"CI_REPO", "CI_PIPELINE_NUMBER", "DRONE_REPO", "DRONE_BUILD_NUMBER",
	"JOB_NAME", "BUILD_NUMBER", "BUILDKITE_PIPELINE_SLUG", "BUILDKITE_BUILD_NUMBER", "CIRCLE_PROJECT_REPONAME", "CIRCLE_BUILD_NUM",
}

// origin is who this command line is of, and from where.
func (s *session) origin() steady.Origin {
	o := steady.Origin{Who: s.who(), Version: buildVersion(), Files: s.read.Files, EnvFiles: s.read.EnvFiles, Digest: s.read.Digest}
	if dir, err := os.Getwd(); err == nil {
		o.Dir = dir
	}
	o.From, _, _ = strings.Cut(s.getenv("SSH_CONNECTION"), " ")
	if f, ok := s.in.(*os.File); ok && isTerminal(f) {
		o.TTY, _ = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	}
	if s.getenv("CI") == "" && s.getenv("BUILD_NUMBER") == "" {
		return o
	}
	for _, name := range jobVariables {
		if v := s.getenv(name); v != "" {
			o.CI = append(o.CI, name+"="+v[:min(len(v), 200)])
		}
	}
	return o
}

// readFrom notes which files the project was read from, for the audit log.
func (s *session) readFrom(p compose.Project) {
	s.read.Files, s.read.EnvFiles = p.Files, s.envFilesOf(p)
	s.read.Digest = digest(p.Files, s.read.EnvFiles)
}

// envFilesOf names the env files that set the files' variables, and those of the
// services.
func (s *session) envFilesOf(p compose.Project) []string {
	named := s.shared.envFiles
	if len(named) == 0 {
		if v := s.getenv("COMPOSE_ENV_FILES"); v != "" {
			named = strings.Split(v, ",")
		}
	}
	var out []string
	for _, f := range named {
		if abs, err := filepath.Abs(f); err == nil {
			out = append(out, abs)
		}
	}
	if beside := filepath.Join(p.WorkingDir, ".env"); len(out) == 0 && exists(beside) {
		out = append(out, beside)
	}
	return append(out, p.EnvFiles...)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// digest is over the Compose files as they are and the names of the env files: never
// what is in those.
func digest(files, envFiles []string) string {
	h := sha256.New()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "" // half a digest would name something else
		}
		fmt.Fprintf(h, "file %d\n", len(b))
		h.Write(b)
	}
	for _, f := range envFiles {
		fmt.Fprintf(h, "env %s\n", filepath.Base(f))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
