package compose

import (
	"regexp"
	"strings"
)

// giveUp is what people put behind a healthcheck to make its exit code 1.
var giveUp = regexp.MustCompile(`\s*\|\|\s*(?:\(?\s*exit\s+\d+\s*;?\s*\)?|false)\s*;?\s*$`)

// hush sends output away.
var hush = regexp.MustCompile(`\s(?:[12&]?>>?\s*/dev/null|2>&1|>&2)`)

// wordsOf splits one simple command of a shell line into words. It is false for
// all that a shell would do more: pipes, lists, variables, substitutions.
func wordsOf(line string) ([]string, bool) {
	line = giveUp.ReplaceAllString(strings.TrimSpace(line), "")
	line = strings.TrimSpace(hush.ReplaceAllString(line, ""))
	line = strings.TrimPrefix(line, "exec ")
	var words []string
	var word strings.Builder
	inWord := false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case c == '\'' || c == '"':
			end := closing(line, i)
			if end < 0 {
				return nil, false
			}
			part, ok := unquoted(line[i+1:end], c)
			if !ok {
				return nil, false
			}
			word.WriteString(part)
			inWord, i = true, end
		case strings.IndexByte("|&;<>()$`*?[]{}~#!", c) >= 0 && !harmlessMark(line, i):
			return nil, false
		case c == '\\':
			if i++; i >= len(line) {
				return nil, false
			}
			if line[i] != '\n' {
				word.WriteByte(line[i])
				inWord = true
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, len(words) > 0
}

// harmlessMark: "?" and "[" in an address are patterns that match no file.
func harmlessMark(line string, i int) bool {
	start := strings.LastIndexAny(line[:i], " \t\n") + 1
	return strings.IndexByte("?[]", line[i]) >= 0 && strings.Contains(line[start:], "://")
}

// closing finds the quote that ends the one at i; -1 when there is none.
func closing(line string, i int) int {
	for j := i + 1; j < len(line); j++ {
		if line[j] == '\\' && line[i] == '"' {
			j++
			continue
		}
		if line[j] == line[i] {
			return j
		}
	}
	return -1
}

// unquoted is the text between two quotes; false when the shell would replace
// something in it.
func unquoted(s string, quote byte) (string, bool) {
	if quote == '\'' {
		return s, true
	}
	if strings.ContainsAny(s, "$`") {
		return "", false
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s), true
}
