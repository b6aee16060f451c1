package checkpoint

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Version is the version of the encoding this program writes. A mark with a
// higher major number is refused; a higher minor number only adds fields,
// which are kept.
const Version = "1.0"

// ErrNewerVersion is returned for a mark written by a program whose encoding
// this one does not understand. Going on would lose or repeat rows.
var ErrNewerVersion = errors.New("the mark was written by a newer version of docspace-nats; run that version or newer")

// wire is the mark as stored. Field order is the order in the text.
type wire struct {
	Version     string         `json:"version"`
	Folder      int            `json:"folder"`
	State       State          `json:"state,omitzero"`
	Reason      string         `json:"reason,omitzero"`
	Anchor      time.Time      `json:"anchor,omitzero"`
	Accounted   int            `json:"accounted"`
	Newest      int64          `json:"newest,omitzero"` // for readers; Recent is what counts
	Recent      string         `json:"recent,omitzero"`
	Forgotten   int64          `json:"forgotten,omitzero"`
	Places      string         `json:"places,omitzero"`
	Seal        string         `json:"seal,omitzero"`
	Keys        string         `json:"keys,omitzero"`
	Hidden      string         `json:"hidden,omitzero"`
	Missing     int            `json:"missing,omitzero"`
	Dropped     int            `json:"dropped,omitzero"`
	Hashed      int            `json:"hashed,omitzero"`
	Filter      string         `json:"filter,omitzero"`
	FilterSince int64          `json:"filter_since,omitzero"`
	Filtered    int            `json:"filtered,omitzero"`
	Unsure      int64          `json:"unsure,omitzero"`
	Unsettled   uint64         `json:"unsettled,omitzero"`
	Overtaken   []Overtaken    `json:"overtaken,omitempty"`
	NewestEvent time.Time      `json:"newest_event,omitzero"`
	Active      time.Time      `json:"active,omitzero"`
	Since       time.Time      `json:"since,omitzero"`
	LastPoll    time.Time      `json:"last_poll,omitzero"`
	Writer      string         `json:"writer,omitzero"`
	Portal      string         `json:"portal,omitzero"`
	Key         string         `json:"key,omitzero"`
	Changes     int            `json:"changes,omitzero"`
	Again       time.Time      `json:"again,omitzero"`
	MovedTo     int64          `json:"moved_to,omitzero"`
	Extra       jsontext.Value `json:",embed"`
}

// Encode returns the stored form of the mark: one JSON object, the same bytes
// for the same mark.
func (m Mark) Encode() ([]byte, error) {
	b, err := json.Marshal(wire{
		Version:     Version,
		Folder:      m.Folder,
		State:       m.State,
		Reason:      m.Reason,
		Anchor:      m.Anchor.UTC(),
		Accounted:   m.Accounted,
		Newest:      m.Newest(),
		Recent:      packIDs(m.Recent),
		Forgotten:   m.Forgotten,
		Places:      packPlaces(m.Hidden),
		Seal:        m.Seal,
		Keys:        packKeys(m.Unnumbered.Keys),
		Hidden:      packIndexes(m.Unnumbered.Hidden),
		Missing:     m.Unnumbered.Missing,
		Dropped:     m.Unnumbered.Dropped,
		Hashed:      m.Unnumbered.Hashed,
		Filter:      m.Filtered.ID,
		FilterSince: m.Filtered.Since,
		Filtered:    m.Filtered.Rows,
		Unsure:      m.Filtered.Unsure,
		Unsettled:   m.Unsettled,
		Overtaken:   m.Overtaken,
		NewestEvent: m.NewestEvent.UTC(),
		Active:      m.Active.UTC(),
		Since:       m.Since.UTC(),
		LastPoll:    m.LastPoll.UTC(),
		Writer:      m.Writer,
		Portal:      m.Portal,
		Key:         m.Key,
		Changes:     m.Changes,
		Again:       m.Again.UTC(),
		MovedTo:     m.MovedTo,
		Extra:       m.extra,
	}, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode mark of folder %d: %w", m.Folder, err)
	}
	return b, nil
}

// Decode reads the stored form of a mark. Fields it does not know are kept and
// written again by Encode.
func Decode(b []byte) (Mark, error) {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return Mark{}, fmt.Errorf("decode mark: %w", err)
	}
	if err := checkVersion(w.Version); err != nil {
		return Mark{}, err
	}
	recent, err := unpackIDs(w.Recent)
	if err != nil {
		return Mark{}, fmt.Errorf("decode mark of folder %d: %w", w.Folder, err)
	}
	places, err := unpackPlaces(w.Places)
	if err != nil {
		return Mark{}, fmt.Errorf("decode mark of folder %d: %w", w.Folder, err)
	}
	keys, err := unpackKeys(w.Keys)
	if err != nil {
		return Mark{}, fmt.Errorf("decode mark of folder %d: %w", w.Folder, err)
	}
	hidden, err := unpackIndexes(w.Hidden)
	if err != nil {
		return Mark{}, fmt.Errorf("decode mark of folder %d: %w", w.Folder, err)
	}
	if w.Folder <= 0 || w.Accounted < 0 || w.Forgotten < 0 || min(w.Hashed, w.Missing, w.Dropped, w.Filtered, w.Changes) < 0 || min(w.FilterSince, w.Unsure, w.MovedTo) < 0 {
		return Mark{}, fmt.Errorf("decode mark of folder %d: negative numbers", w.Folder)
	}
	if slices.ContainsFunc(w.Overtaken, func(o Overtaken) bool { return o.From == 0 }) {
		return Mark{}, fmt.Errorf("decode mark of folder %d: overtaken rows at sequence 0", w.Folder)
	}
	if int64(max(w.Accounted, w.Hashed, w.Missing, w.Dropped, w.Filtered)) > maxRows {
		return Mark{}, fmt.Errorf("decode mark of folder %d: more than any portal has", w.Folder)
	}
	return Mark{
		Folder:      w.Folder,
		State:       w.State,
		Reason:      w.Reason,
		Anchor:      w.Anchor,
		Accounted:   w.Accounted,
		Recent:      recent,
		Forgotten:   w.Forgotten,
		Hidden:      places,
		Seal:        w.Seal,
		Unnumbered:  Unnumbered{Keys: keys, Hidden: hidden, Missing: w.Missing, Dropped: w.Dropped, Hashed: w.Hashed},
		Filtered:    Filtered{ID: w.Filter, Since: w.FilterSince, Rows: w.Filtered, Unsure: w.Unsure},
		Unsettled:   w.Unsettled,
		Overtaken:   w.Overtaken,
		NewestEvent: w.NewestEvent,
		Active:      w.Active,
		Since:       w.Since,
		LastPoll:    w.LastPoll,
		Writer:      w.Writer,
		Portal:      w.Portal,
		Key:         w.Key,
		Changes:     w.Changes,
		Again:       w.Again,
		MovedTo:     w.MovedTo,
		extra:       w.Extra,
	}, nil
}

func checkVersion(v string) error {
	text, _, _ := strings.Cut(v, ".")
	major, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("decode mark: version %q is not a number", v)
	}
	if major != 1 {
		return fmt.Errorf("mark of version %q: %w", v, ErrNewerVersion)
	}
	return nil
}

// packIDs writes ascending ids as their differences, about one byte each.
func packIDs(ids []int64) string {
	var b []byte
	var prev int64
	for _, id := range ids {
		b = binary.AppendUvarint(b, uint64(id-prev))
		prev = id
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// unpackIDs reads what packIDs wrote.
func unpackIDs(text string) ([]int64, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("recent ids: %w", err)
	}
	var ids []int64
	var prev int64
	for len(b) > 0 {
		step, n := binary.Uvarint(b)
		next := prev + int64(step)
		if n <= 0 || next <= prev {
			return nil, errors.New("recent ids: not an ascending list")
		}
		if len(ids) == MaxRecent {
			return nil, fmt.Errorf("recent ids: more than %d", MaxRecent)
		}
		ids, prev, b = append(ids, next), next, b[n:]
	}
	return ids, nil
}

// packPlaces writes ascending places: how far each lies above the one before,
// how far its upper end above its lower one, 0 for none, and the number of rows.
func packPlaces(places []Place) string {
	var b []byte
	var prev int64
	for _, p := range places {
		b = binary.AppendUvarint(b, uint64(p.Below-prev))
		b = binary.AppendUvarint(b, uint64(max(0, p.Above-p.Below)))
		b = binary.AppendUvarint(b, uint64(p.Rows))
		prev = p.Below
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// unpackPlaces reads what packPlaces wrote.
func unpackPlaces(text string) ([]Place, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("places: %w", err)
	}
	var places []Place
	var prev int64
	for len(b) > 0 {
		var numbers [3]uint64
		for i := range numbers {
			var n int
			if numbers[i], n = binary.Uvarint(b); n <= 0 {
				return nil, errors.New("places: cut off")
			}
			b = b[n:]
		}
		p := Place{Below: prev + int64(numbers[0]), Rows: int(numbers[2])}
		if numbers[1] > 0 {
			p.Above = p.Below + int64(numbers[1])
		}
		switch {
		case p.Below < prev || p.Above != 0 && p.Above <= p.Below:
			return nil, errors.New("places: not an ascending list")
		case numbers[2] == 0 || numbers[2] > maxRows:
			return nil, errors.New("places: one without a number of rows")
		case len(places) == MaxHidden:
			return nil, fmt.Errorf("places: more than %d", MaxHidden)
		}
		places, prev = append(places, p), p.Below
	}
	return places, nil
}
