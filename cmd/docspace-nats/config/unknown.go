package config

import (
	"regexp"
	"slices"
	"strings"
)

// variableGroups are the prefixes under which every variable must be ours.
var variableGroups = []string{"DOCSPACE_", "EVENTS_", "NATS_", "POLL_", "HTTP_", "HINTS_", "LOG_"}

// foreignVariables belong to other programs and share a prefix with ours.
var foreignVariables = []string{"HTTP_PROXY"}

// Kubernetes tells a pod about every service of its namespace, one named nats
// or docspace-nats included: NATS_SERVICE_HOST, NATS_PORT_4222_TCP_ADDR, …
var (
	serviceLink = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)
	servicePort = regexp.MustCompile(`^(tcp|udp|sctp)://`) // the value of NATS_PORT, which tells it from a wish
)

// unknownVariables finds the variables of our groups that are no setting: a
// misspelled name must not become a silent default. Values are never shown,
// since a misspelled DOCSPACE_API_KEY still holds a key.
func unknownVariables(environ []string) problems {
	names := Variables()
	var found problems
	for _, variable := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(variable, "=")
		if !inOurGroups(name) || slices.Contains(names, name) || isServiceLink(name, value) {
			continue
		}
		found.add(name, "is not a setting of docspace-nats; %s", spellingAdvice(name, names))
	}
	return found
}

func inOurGroups(name string) bool {
	return slices.ContainsFunc(variableGroups, func(g string) bool { return strings.HasPrefix(name, g) }) &&
		!slices.Contains(foreignVariables, name)
}

func isServiceLink(name, value string) bool {
	return serviceLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && servicePort.MatchString(value)
}

// spellingAdvice names the setting that was probably meant, or says that none is near.
func spellingAdvice(name string, names []string) string {
	nearest := slices.MinFunc(names, func(a, b string) int { return editDistance(name, a) - editDistance(name, b) })
	if editDistance(name, nearest) > len(name)/2 {
		return "remove it"
	}
	return "did you mean " + nearest + "?"
}

// editDistance counts the letters to insert, delete or replace to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
