package schema

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"
)

//go:generate go run ./internal/actiongen actions.csv actions_gen.go

// OCSFVersion is the version of OCSF the catalogue maps to.
const OCSFVersion = "1.8.0"

// An Action is one row of the catalogue, which is reviewed as actions.csv.
type Action struct {
	Code       int    // the portal's number; 0 for what this program says itself
	Key        string // the portal's name
	Category   string // first token of the subject
	Name       string // second token of the subject
	Target     string // kind of what is acted on; "" when it is none of ours
	Outcome    string // Success unless the action itself is a failure
	Severity   int    // OCSF severity id, 1 to 4
	Tracked    bool   // a folder's log can show it
	ReportedAs int    // the code the log shows instead; 0: its own
	Since      string // the first server version known to have it
	ECS        ECS
	OCSF       OCSF
	Notes      string
}

// ECS is the hint for the Elastic Common Schema. The slices belong to the
// catalogue and must not be changed.
type ECS struct {
	Kind     string   `json:"kind"`
	Category []string `json:"category"`
	Type     []string `json:"type"`
	Action   string   `json:"action"`
}

// OCSF is the hint for the Open Cybersecurity Schema Framework.
type OCSF struct {
	Version      string `json:"version"`
	ClassUID     int    `json:"class_uid"`
	ActivityID   int    `json:"activity_id"`
	TypeUID      int    `json:"type_uid"`
	ActivityName string `json:"activity_name,omitzero"` // only where ActivityID is 99
	SeverityID   int    `json:"severity_id"`
}

const (
	noAction = -1  // the portal's code for no action at all
	maxKey   = 128 // characters of an unknown key that are published
)

// InLog reports whether a folder's log can show the action as itself.
func (a *Action) InLog() bool { return a.Tracked && a.ReportedAs == 0 }

// Lookup finds a code of the portal in the catalogue.
func Lookup(code int) (Action, bool) {
	if row := find(code); row != nil && code != noAction {
		return *row, true
	}
	return Action{}, false
}

// Catalogue yields every action: the portal's by ascending code, then this
// program's own.
func Catalogue() iter.Seq[Action] {
	return func(yield func(Action) bool) {
		for _, table := range [][]Action{portalActions[:], ownActions[:]} {
			for _, action := range table {
				if !yield(action) {
					return
				}
			}
		}
	}
}

// Resolve names what a row says happened and reports whether the catalogue
// knows it. A code the catalogue lacks, or has under another key, may mean
// anything: it is named by the rule of Name and gets the most cautious hints.
func Resolve(code int, key string) (Action, bool) {
	row := find(code)
	if row != nil && code != noAction && (key == "" || strings.EqualFold(key, row.Key)) {
		return *row, true
	}
	key = Cut(Text(key), maxKey)
	if hasEmail(key) {
		key = "" // no name of an action, and it would get into subjects
	}
	action := *find(noAction)
	action.Code, action.Key = code, key
	action.Category, action.Name = Name(code, key)
	action.ECS.Action = kebab(key)
	if action.ECS.Action == "" {
		action.ECS.Action = strings.ReplaceAll(action.Name, "_", "-")
	}
	action.OCSF.ActivityName = key
	if action.OCSF.ActivityName == "" {
		action.OCSF.ActivityName = "code " + strconv.Itoa(code)
	}
	return action, false
}

// Type is the CloudEvents type of the action.
func (a *Action) Type() string {
	return "com.onlyoffice.docspace." + a.Category + "." + a.Name + ".v1"
}

func find(code int) *Action {
	i, found := slices.BinarySearchFunc(portalActions[:], code, func(a Action, code int) int {
		return cmp.Compare(a.Code, code)
	})
	if !found {
		return nil
	}
	return &portalActions[i]
}

func own(name string) *Action {
	for i := range ownActions {
		if ownActions[i].Name == name {
			return &ownActions[i]
		}
	}
	return nil
}
