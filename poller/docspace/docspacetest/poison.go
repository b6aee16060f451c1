package docspacetest

import "net/http"

// Poison makes a row one that cannot be interpreted: every page that holds it
// fails whole, with 400, 403, 415 or 500. Status 0 cures it.
func (p *Portal) Poison(id int64, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if status == 0 {
		delete(p.poison, id)
		return
	}
	p.poison[id] = status
}

// PoisonAt is Poison for the row at an index of a folder's log, counted from
// the newest, which is 0, as startIndex does. It returns the row's id, or 0
// when there is none.
func (p *Portal) PoisonAt(folder, index, status int) int64 {
	p.mu.RLock()
	var id int64
	if f := p.folders[folder]; f != nil && index >= 0 && index < len(f.history.rows) {
		id = f.history.rows[len(f.history.rows)-1-index].id
	}
	p.mu.RUnlock()
	if id != 0 {
		p.Poison(id, status)
	}
	return id
}

// HideID leaves the audit id out of single rows.
func (p *Portal) HideID(ids ...int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		p.nameless[id] = true
	}
}

// ShowID tells the audit id of single rows again.
func (p *Portal) ShowID(ids ...int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		delete(p.nameless, id)
	}
}

// poisoned is the answer to a page with such a row; nil to others.
func (p *Portal) poisoned(rows []*row) *reply {
	if len(p.poison) == 0 {
		return nil
	}
	for _, r := range rows {
		switch status := p.poison[r.id]; status {
		case 0:
		case http.StatusBadRequest:
			return failure(status, "System.ArgumentOutOfRangeException", "Index was out of range. (Parameter 'index')")
		case http.StatusForbidden:
			return failure(status, "System.InvalidOperationException", "Nullable object must have a value.")
		case http.StatusUnsupportedMediaType:
			return failure(status, "System.NotSupportedException", "Specified method is not supported.")
		default:
			return failure(status, "System.Text.Json.JsonException", "Expected end of string, but instead reached end of data.")
		}
	}
	return nil
}
