package check

import (
	"fmt"

	"gesalpai.ch/steady"
)

// secretRules are about what should not stand in a file that is shared.
func secretRules() []Rule {
	return []Rule{
		{
			ID: "secret-in-file", Severity: steady.Warning, many: "passwords, tokens or keys stand in the file",
			Title: "a password, token or key written into the file",
			Why:   "Whoever reads the repository, docker inspect or a backup has it, and to change it is a commit.",
			Mend:  "write ${NAME} here and set it in a .env that is not committed, or use secrets:",
			each:  secretInFile,
		},
		{
			ID: "secret-fallback", Severity: steady.Warning, many: "passwords, tokens or keys have a fallback that everyone can read",
			Title: "a password, token or key as the fallback of a variable",
			Why:   "Where nobody sets the variable, everyone who reads the file knows the password.",
			Mend:  "insist on the variable: ${NAME:?set it in .env}",
			each: func(_ Input, d steady.Declared) []hit {
				var out []hit
				for _, v := range d.Environment {
					if v.Fallback && steady.SecretName(v.Name) {
						out = append(out, hit{path: v.Path, name: v.Name, text: fmt.Sprintf("%s of %s has a fallback that everyone can read", v.Name, d.Service)})
					}
				}
				return out
			},
		},
		{
			ID: "secret-in-build", Severity: steady.Warning,
			Title: "a password, token or key as a build argument",
			Why:   "It stays in the image's history: docker history shows it to whoever has the image.",
			Mend:  "build.secrets, and RUN --mount=type=secret in the Dockerfile",
			each: func(_ Input, d steady.Declared) []hit {
				var out []hit
				for _, v := range d.BuildArgs {
					out = append(out, one(steady.SecretName(v.Name) || v.Credentials, v.Path, fmt.Sprintf("build argument %s of %s stays in the image", v.Name, d.Service))...)
				}
				return out
			},
		},
		{
			ID: "docker-socket", Severity: steady.Warning, many: "services may do anything with the Docker Engine",
			Title: "the Docker Engine's socket handed to a service",
			Why:   "Who has the socket has the host: whoever breaks into this service can start any container with any mount. A read-only mount does not change that.",
			Mend:  "take it out, or put a proxy in between that lets only the calls through that the service needs",
			each: func(_ Input, d steady.Declared) []hit {
				at := dockerSocket(d)
				return one(at != "" && !among(d, gatekeepers), at, d.Service+" may do anything with the Docker Engine")
			},
		},
		{
			ID: "privileged", Severity: steady.Warning, many: "services are privileged",
			Title: "privileged: true",
			Why:   "The container is no boundary any more: it has the host's devices and may load modules.",
			Mend:  "name what it needs under cap_add and devices",
			each: func(_ Input, d steady.Declared) []hit {
				return one(d.Privileged, d.Path("privileged"), d.Service+" is privileged")
			},
		},
	}
}

func secretInFile(_ Input, d steady.Declared) []hit {
	var out []hit
	for _, v := range d.Environment {
		switch {
		case v.Literal && steady.SecretName(v.Name):
			out = append(out, hit{path: v.Path, name: v.Name, text: fmt.Sprintf("%s of %s stands in the file", v.Name, d.Service)})
		case v.Credentials:
			out = append(out, hit{path: v.Path, name: v.Name, text: fmt.Sprintf("%s of %s has a password in its address", v.Name, d.Service)})
		}
	}
	for _, a := range d.Passwords {
		out = append(out, hit{path: a.Path, name: a.Flag + " of " + d.Service, text: fmt.Sprintf("the value of %s of %s stands in the file", a.Flag, d.Service)})
	}
	return out
}
