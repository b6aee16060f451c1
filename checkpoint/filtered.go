package checkpoint

// Filtered tells which of a folder's rows were accounted for without being
// published because the operator's filter leaves them out. A row that is left
// out leaves no trace in the stream; this is what there is to tell it from one
// that is missing.
type Filtered struct {
	ID     string // of the filter in force; "": none
	Since  int64  // highest row committed before that filter; 0: none was
	Rows   int    // rows above Since it left out
	Unsure int64  // up to this row another filter was in force, and nobody knows what it left out
}

// Under returns what is known when a filter is in force from now on, with the
// highest committed row.
func (f Filtered) Under(id string, newest int64) Filtered {
	if id == f.ID {
		return f
	}
	next := Filtered{ID: id, Since: newest, Unsure: f.Unsure}
	if f.ID != "" {
		next.Unsure = newest
	}
	return next
}
