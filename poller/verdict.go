package poller

import (
	"time"

	"docspace-nats/checkpoint"
)

// MaxFindings is how many findings a Verdict tells one by one.
const MaxFindings = 1000

// A Verdict is what the verification of a folder found.
type Verdict struct {
	Folder    int       `json:"folder"`
	Since     time.Time `json:"since,omitzero"` // rows dated before do not count, and are not compared: the mark begins there
	Rows      int       `json:"rows"`           // of the portal, compared
	Events    int       `json:"events"`         // of rows, compared
	Filtered  int       `json:"filtered"`       // rows without event that the operator's filter leaves out, or may have
	Hidden    int       `json:"hidden"`         // rows and events' rows the portal counts and does not show
	Gaps      int       `json:"gaps"`           // rows the stream reports as gaps
	Dropped   int       `json:"dropped"`        // rows so old that the stream may have dropped their events
	Skipped   int       `json:"skipped"`        // rows without event over which an operator moved the mark
	Unread    int       `json:"unread"`         // rows the portal counts that the mark does not account for; not compared
	Missing   int       `json:"missing"`        // rows without event
	Extra     int       `json:"extra"`          // events without row
	Twice     int       `json:"twice"`          // events that repeat another
	Disorder  int       `json:"disorder"`       // events after one of a higher row that do not say they are late
	Different int       `json:"different"`      // events that are not what their row becomes
	Repaired  int       `json:"repaired"`       // of the missing, stored now
	Findings  []Finding `json:"findings"`       // the first MaxFindings

	mark  checkpoint.Mark // up to which was compared
	whole bool            // and from the beginning
}

// Kinds of Finding.
const (
	Missing   = "missing"
	Extra     = "extra"
	Twice     = "twice"
	Disorder  = "out of order"
	Different = "different"
)

// A Finding is one row or event that is not as it should be.
type Finding struct {
	Kind     string    `json:"kind"`
	Row      int64     `json:"row,omitzero"` // 0 where the portal tells no ids
	Event    string    `json:"event,omitzero"`
	Time     time.Time `json:"time,omitzero"`     // of the row
	Sequence uint64    `json:"sequence,omitzero"` // of the event in the stream
	Detail   string    `json:"detail,omitzero"`
	Repaired bool      `json:"repaired,omitzero"`
}

// findingKinds are all of them.
var findingKinds = []string{Missing, Extra, Twice, Disorder, Different}

// counts returns how many findings there are of each kind.
func (v Verdict) counts() map[string]int {
	return map[string]int{Missing: v.Missing - v.Repaired, Extra: v.Extra, Twice: v.Twice, Disorder: v.Disorder, Different: v.Different}
}

// Equal reports whether the stream holds what the portal shows, no more and no
// less.
func (v Verdict) Equal() bool {
	return v.Missing == v.Repaired && v.Extra+v.Twice+v.Disorder+v.Different == 0
}

// find adds a finding.
func (v *Verdict) find(f Finding) {
	switch f.Kind {
	case Missing:
		v.Missing++
	case Extra:
		v.Extra++
	case Twice:
		v.Twice++
	case Disorder:
		v.Disorder++
	case Different:
		v.Different++
	}
	if len(v.Findings) < MaxFindings {
		v.Findings = append(v.Findings, f)
	}
}

// confirming returns the verdict with those findings only that another one tells as
// well.
func (v Verdict) confirming(other Verdict) Verdict {
	said := make(map[Finding]bool)
	for _, f := range other.Findings {
		said[f] = true
	}
	findings := v.Findings
	v.Findings, v.Missing, v.Extra, v.Twice = nil, 0, 0, 0
	for _, f := range findings {
		if said[f] {
			v.find(f)
		}
	}
	return v
}
