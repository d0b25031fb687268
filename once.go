package steady

import "strings"

// Once says whether the service may be one that runs once: nobody comes to it from
// outside, and the Engine does not start it again after exit code 0. What exits so has
// done its work. A job (Spec.Job) is waited for by others, and is none of these.
func (s Spec) Once() bool {
	restarts := s.Restart != "" && s.Restart != "no" && !s.RetriesFailures()
	return !s.Job && !restarts && len(s.Ports)+len(s.Routes) == 0
}

// RetriesFailures says whether the Engine starts the service again after another exit
// code than 0 only.
func (s Spec) RetriesFailures() bool { return strings.HasPrefix(s.Restart, "on-failure") }

// Ended says whether the container has exited with code 0.
func (r Replica) Ended() bool { return r.State == StateExited && r.ExitCode == 0 && !r.OOM }
