package steady

import (
	"path"
	"regexp"
	"strings"
)

// plainWord is what the name of a program looks like. Anything else at the beginning
// of a shell line may be part of a value.
var plainWord = regexp.MustCompile(`^(?:[\w./+@-]{1,80}|\[\[?)$`)

// assignment is a variable set for one command, without a value that a shell would
// read on in the next word.
var assignment = regexp.MustCompile("^\\w+=[^\"'`$\\\\]*$")

// Program names a command for a person: the base name of the program, and nothing
// of its arguments, which may hold passwords. argv is the command's words; of a shell
// line, shell is true and the line is the last word. Where the name cannot be told
// from a value it is "a command".
func Program(argv []string, shell bool) string {
	if shell && len(argv) > 0 {
		argv = argv[len(argv)-1:]
	}
	for _, word := range strings.Fields(strings.Join(argv, " ")) {
		switch {
		case assignment.MatchString(word):
		case plainWord.MatchString(word):
			return path.Base(word)
		default:
			return unnamed
		}
	}
	return unnamed
}

const unnamed = "a command"

var (
	secretName = regexp.MustCompile(`(?i)(?:^|_)(?:PASSWORD|PASSWD|PASS|PWD|SECRET|TOKEN|API_?KEY|APIKEY|PRIVATE_KEY|ACCESS_KEY|SECRET_KEY(?:_BASE)?|ENCRYPTION_KEY|MASTER_KEY|SIGNING_KEY|APP_KEY|AUTH_KEY|JWT_KEY|CREDENTIALS)(?:_BASE)?$|(?i)(?:PASSWORD|PASSWD|SECRET)$`)
	// harmlessName: a file's path, a lifetime, a switch, or the public half.
	harmlessName = regexp.MustCompile(`(?i)_FILE$|_PATH$|_TTL$|PUBLIC|_EXPIR|ALLOW_EMPTY|_HEADER$`)
)

// SecretName says whether a variable's name says that its value is a password, a
// token or a key.
func SecretName(name string) bool {
	return secretName.MatchString(name) && !harmlessName.MatchString(name)
}
