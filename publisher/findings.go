package publisher

import (
	"errors"
	"fmt"
)

// A Severity says what a finding means for the promise.
type Severity string

// The severities. Broken keeps the program from starting.
const (
	Broken  Severity = "broken"  // the promise cannot be kept
	Warning Severity = "warning" // it can, but not in the way that was asked for, or not for ever
	Note    Severity = "note"    // nothing to do
)

// A Finding is one thing about the server or the stream that an operator
// should know.
type Finding struct {
	Severity Severity `json:"severity"`
	Setting  string   `json:"setting"`        // as the server names it: "allow_atomic"
	Have     string   `json:"have"`           // its value
	Need     string   `json:"need,omitempty"` // the value that would do, empty for a note
	Why      string   `json:"why"`            // what goes wrong otherwise
}

func (f Finding) String() string {
	if f.Need == "" {
		return fmt.Sprintf("%s is %s: %s", f.Setting, f.Have, f.Why)
	}
	return fmt.Sprintf("%s is %s, needs %s: %s", f.Setting, f.Have, f.Need, f.Why)
}

// Findings are in the order of the rules.
type Findings []Finding

// Of returns the findings of one severity.
func (fs Findings) Of(s Severity) Findings {
	var of Findings
	for _, f := range fs {
		if f.Severity == s {
			of = append(of, f)
		}
	}
	return of
}

// Err joins what breaks the promise, nil when nothing does.
func (fs Findings) Err() error {
	var errs []error
	for _, f := range fs.Of(Broken) {
		errs = append(errs, errors.New(f.String()))
	}
	return errors.Join(errs...)
}
