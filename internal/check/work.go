package check

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// workRules are about services that nobody calls.
func workRules() []Rule {
	return []Rule{
		{
			ID: "worker-overlaps", Severity: steady.Warning, many: "services run twice while a release is replaced",
			Title: "a scheduler or worker of which the old and the new release run at the same time",
			Why:   "A service that nobody calls is replaced start-first: the old one goes on until the new one is ready, and then has its stop_grace_period. Meanwhile a scheduler starts each job twice and a bot or poller answers everything twice. Workers that take their jobs from a shared queue, such as those of Celery, Sidekiq or BullMQ, are made for that and are not reported.",
			Mend:  "deploy: {update_config: {order: stop-first}} where two must not run at once",
			each:  workerOverlaps,
		},
	}
}

func workerOverlaps(in Input, d steady.Declared) []hit {
	if serves(d) || mayEnd(d) || stopFirst(in, d) || d.Update.Order != "" || database(d) != "" || isCache(d) {
		return nil
	}
	r := runs(d)
	if w := scheduler(r); w != "" {
		return one(true, r.path, d.Service+" runs "+w+", and two of them at once while a release is replaced")
	}
	called := slices.ContainsFunc(in.Services, func(s steady.Declared) bool { return dependsOn(s, d.Service) })
	twice := clockwork.MatchString(d.Service) || workers.MatchString(d.Service) && !queued(in, d)
	return one(twice && !called, d.Path(), "two of "+d.Service+" run at once while a release is replaced")
}

// queued says whether a worker takes its jobs from a queue that hands each to one, as
// far as the files tell: it is run by a program that does so, or a broker is there.
func queued(in Input, d steady.Declared) bool {
	broker := func(s steady.Declared) bool { return (isCache(s) || among(s, brokers)) && together(d, s) }
	return queues.MatchString(runs(d).words()) || slices.ContainsFunc(in.Services, broker)
}

var (
	// clockwork and workers are names of services that work by themselves: by the
	// clock or on what they find elsewhere, and on jobs that are given to them.
	clockwork = regexp.MustCompile(`(?i)(?:^|[-_.])(?:scheduler|cron|cronjobs?|beat|bot|poller|crawler|scraper|sync|syncer|reminders?)(?:[-_.]?\d*)$`)
	workers   = regexp.MustCompile(`(?i)(?:^|[-_.])(?:workers?|jobs|queue|processor|indexer|ingest|mailer)(?:[-_.]?\d*)$`)
	// queues are job runners whose queue hands each job to one worker.
	queues = regexp.MustCompile(`\b(?:celery|sidekiq|rq worker|queue:work|queue:listen|horizon|resque|bullmq|dramatiq|huey|good_job|solid_queue|delayed_job|jobs:work|arq|temporal)\b`)
)

func dependsOn(d steady.Declared, service string) bool {
	return slices.ContainsFunc(d.DependsOn, func(on steady.Dependency) bool { return on.Service == service })
}

// mayEnd says whether a service is, or may be, one that does its work and exits:
// others wait for its completion, or nobody calls it and nothing starts it again.
func mayEnd(d steady.Declared) bool {
	if d.Job {
		return true
	}
	again := !d.Once() || d.Restart == "" && d.RestartSet // by deploy.restart_policy
	r := runs(d)
	works := worker.FindString(r.words()) != "" || scheduler(r) != ""
	return !serves(d) && database(d) == "" && !isCache(d) && !again && !works
}

// schedulers start jobs by the clock.
var schedulers = map[string]bool{"cron": true, "crond": true, "supercronic": true, "ofelia": true, "clockwork": true, "go-cron": true}

// scheduler is the program by which a service starts jobs by the clock; empty where
// it does not, as far as the files tell.
func scheduler(r running) string {
	for _, argv := range r.calls() {
		name := path.Base(argv[0])
		line := strings.Join(argv, " ")
		switch {
		case schedulers[name]:
			return name
		case slices.Contains([]string{"service", "/etc/init.d/cron"}, argv[0]) && strings.Contains(line, "cron"):
			return "cron"
		case name == "celery" && slices.Contains(argv, "beat"):
			return "celery beat"
		case name == "celery" && (slices.Contains(argv, "-B") || slices.Contains(argv, "--beat")):
			return "celery worker -B"
		case slices.Contains(argv, "schedule:work"):
			return "schedule:work"
		}
	}
	return ""
}
