package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"

	"gesalpai.ch/steady"
)

// placeholder stands for a variable without which Compose does not load the
// files. It can be read as a word, a number and a port.
const placeholder = "1"

// maxRequired bounds how many such variables are filled in.
const maxRequired = 200

// Look reads the files as Load does, and what Load would refuse is part of what it
// gives: files that Load refuses,
// because steady does not support what they ask for, an env file is not there or
// a variable that must be set is not, are looked at too. Where no profile is
// asked for, the services of all profiles are. steady.ErrCompose is left for what
// Compose itself cannot read.
func Look(ctx context.Context, o Options) (steady.Survey, error) {
	survey, err := look(ctx, o)
	if err != nil {
		return survey, err
	}
	if _, err := Load(ctx, o); err != nil && ctx.Err() == nil {
		survey.Refused = append(survey.Refused, refusedToo(survey, steady.AsError(err))...)
	}
	return survey, nil
}

// look reads the files and judges nothing.
func look(ctx context.Context, o Options) (steady.Survey, error) {
	warn, release := listen()
	defer release()
	o, err := o.absolute()
	if err != nil {
		return steady.Survey{}, err
	}
	all := len(o.Profiles) == 0 && len(o.Services) == 0
	if all {
		o.Profiles = []string{"*"}
	}
	model, required, err := lenient(ctx, o)
	if err != nil {
		return steady.Survey{}, err
	}
	enabled, err := model.WithServicesEnabled(o.Services...)
	if err != nil {
		return steady.Survey{}, refusal(model.ComposeFiles, model.Environment, err)
	}
	survey, err := surveyOf(enabled, warn(), required)
	survey.AllProfiles = all
	return survey, err
}

// lenient parses the files, and fills in variables that must be set.
func lenient(ctx context.Context, o Options) (model *types.Project, required []string, err error) {
	for range maxRequired {
		model, err = parse(ctx, o)
		if err == nil {
			return model, required, nil
		}
		m := requiredVariable.FindStringSubmatch(err.Error())
		if !errors.Is(err, steady.ErrCompose) || m == nil || slices.Contains(required, m[1]) {
			return nil, nil, err
		}
		required = append(required, m[1])
		o.Env = append(slices.Clone(o.Env), m[1]+"="+placeholder)
	}
	return nil, nil, err
}

var (
	requiredVariable = regexp.MustCompile(`required variable (\w+) is missing a value`)
	unsetVariable    = regexp.MustCompile(`The "(\w+)" variable is not set`)
)

func surveyOf(model *types.Project, warnings, required []string) (steady.Survey, error) {
	at := placesOf(model.ComposeFiles)
	out := steady.Survey{
		Project: model.Name, WorkingDir: model.WorkingDir, Files: at.files(), Places: at.at,
		Refused: refused(model), LeftOut: leftOut(model), Missing: missingFiles(model),
	}
	_, out.Obsolete = at.at["version"] // Compose warns of it once per process only
	for _, name := range required {
		out.Unset = append(out.Unset, steady.Remark{Path: at.vars[name], Text: name, Hint: "required"})
	}
	for _, w := range warnings {
		if m := unsetVariable.FindStringSubmatch(w); m != nil {
			out.Unset = append(out.Unset, steady.Remark{Path: at.vars[m[1]], Text: m[1]})
		}
	}
	for _, key := range sortedKeys(model.Networks) {
		n := model.Networks[key]
		out.Networks = append(out.Networks, steady.DeclaredNetwork{
			Key: key, Name: n.Name, External: bool(n.External), Subnet: len(n.Ipam.Config) > 0, Driver: n.Driver,
		})
	}
	for _, name := range order(model) {
		d, err := declaredOf(model, model.Services[name], at)
		if err != nil {
			return steady.Survey{}, err
		}
		out.Services = append(out.Services, d)
	}
	return out, nil
}

// refused lists what supported refuses, all of it.
func refused(model *types.Project) []steady.Remark {
	var out []steady.Remark
	for _, name := range sortedKeys(model.Services) {
		s := model.Services[name]
		err := supported(&types.Project{
			Services: types.Services{name: s}, Configs: model.Configs, Secrets: model.Secrets,
		})
		if err != nil {
			e := steady.AsError(err)
			path, _, _ := strings.Cut(e.Text, " ")
			out = append(out, steady.Remark{Path: path, Text: e.Text, Hint: e.Hint})
		}
	}
	return out
}

func leftOut(model *types.Project) []steady.Remark {
	var out []steady.Remark
	for _, line := range unused(model) {
		path, text, _ := strings.Cut(line, " ")
		out = append(out, steady.Remark{Path: strings.TrimSuffix(path, ":"), Text: text})
	}
	return out
}

func missingFiles(model *types.Project) []steady.Remark {
	var out []steady.Remark
	for _, name := range sortedKeys(model.Services) {
		for i, f := range model.Services[name].EnvFiles {
			if !bool(f.Required) {
				continue
			}
			if _, err := os.Stat(f.Path); errors.Is(err, os.ErrNotExist) {
				out = append(out, steady.Remark{Path: fmt.Sprintf("services.%s.env_file[%d]", name, i), Text: f.Path})
			}
		}
	}
	return out
}

// declaredOf brings together the service's own words and what follows from them.
func declaredOf(model *types.Project, s types.ServiceConfig, at *places) (steady.Declared, error) {
	own, err := settingsOf(model, s)
	if err != nil {
		return steady.Declared{}, err
	}
	ports, err := portsOf(s, own)
	if err != nil {
		return steady.Declared{}, err
	}
	probe, err := probeOf(s, ports, own)
	if err != nil {
		return steady.Declared{}, err
	}
	d := steady.Declared{
		Spec: steady.Spec{
			Project: model.Name, Service: s.Name, WorkingDir: model.WorkingDir, Files: model.ComposeFiles,
			Image: api.GetImageNameOrDefault(s, model.Name), ContainerName: s.ContainerName, NetworkMode: s.NetworkMode,
			Restart: s.Restart, StopGrace: graceOf(s), Ports: ports, Internal: setting(own, "internal", ""),
			State: stateOf(model, s), DependsOn: dependenciesOf(model, s), Job: isJob(model, s.Name), Replicas: s.GetScale(),
			Probe: probe, Update: updateOf(s, own), Drain: drainOf(own),
		},
		Builds: s.Build != nil, Command: s.Command, Entrypoint: s.Entrypoint, Dockerfile: runsOf(s.Build),
		Health: healthOf(s.HealthCheck), Init: s.Init != nil && *s.Init, StopSignal: s.StopSignal,
		GraceSet: s.StopGracePeriod != nil, Exposed: len(s.Expose) > 0, Memory: memoryOf(s),
		UpdateConfig: s.Deploy != nil && s.Deploy.UpdateConfig != nil,
		ScaleSet:     s.Scale != nil || s.Deploy != nil && s.Deploy.Replicas != nil,
		RestartSet:   s.Restart != "" || s.Deploy != nil && s.Deploy.RestartPolicy != nil,
		Privileged:   s.Privileged, LogBounded: logBounded(s), Labels: sortedKeys(s.Labels),
		Environment: at.variables("services."+s.Name+".environment", s.Environment),
		Attached:    s.NetworksByPriority(), Borrows: borrowedBy(model, s),
		Profiles: s.Profiles, Passwords: at.passwords("services." + s.Name),
	}
	if dir := s.Environment["PGDATA"]; dir != nil {
		d.DataDir = *dir
	}
	for _, f := range s.EnvFiles {
		d.EnvFiles = append(d.EnvFiles, f.Path)
	}
	_, service := own.service["drain.requests"]
	_, project := own.project["drain.requests"]
	d.DrainSet = service || project
	if s.Build != nil {
		d.BuildArgs = at.variables("services."+s.Name+".build.args", s.Build.Args)
	}
	d.Published = at.published(s, ports)
	d.Mounts = at.mounts(model, s)
	addNetworks(&d, s, at)
	return d, nil
}

func addNetworks(d *steady.Declared, s types.ServiceConfig, at *places) {
	for _, key := range sortedKeys(s.Networks) {
		if n := s.Networks[key]; n != nil && (n.Ipv4Address != "" || n.Ipv6Address != "") {
			d.FixedAddress = append(d.FixedAddress, key)
		}
	}
	for _, name := range sortedKeys(s.DependsOn) {
		// links and shared namespaces imply it; then it does not stand there.
		if _, stands := at.at["services."+s.Name+".depends_on."+name+".restart"]; stands && s.DependsOn[name].Restart {
			d.Follows = append(d.Follows, name)
		}
	}
}

func healthOf(h *types.HealthCheckConfig) steady.Health {
	if h == nil {
		return steady.Health{}
	}
	out := steady.Health{
		Declared: true, Test: h.Test, Disabled: h.Disable || len(h.Test) > 0 && h.Test[0] == "NONE",
		Interval: orDefault(h.Interval, 0), Timeout: orDefault(h.Timeout, 0),
		StartPeriod: orDefault(h.StartPeriod, 0), StartInterval: orDefault(h.StartInterval, 0),
	}
	if h.Retries != nil {
		out.Retries = int(min(*h.Retries, uint64(time.Hour))) // only ever multiplied
	}
	return out
}

func memoryOf(s types.ServiceConfig) int64 {
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil && s.Deploy.Resources.Limits.MemoryBytes > 0 {
		return int64(s.Deploy.Resources.Limits.MemoryBytes)
	}
	return int64(s.MemLimit)
}

// unboundedLogs are the drivers that write to the disk without an end unless told.
var unboundedLogs = []string{"", "json-file"}

func logBounded(s types.ServiceConfig) bool {
	driver, options := s.LogDriver, s.LogOpt
	if s.Logging != nil {
		driver, options = s.Logging.Driver, s.Logging.Options
	}
	_, bounded := options["max-size"]
	return bounded || !slices.Contains(unboundedLogs, driver)
}
