package checkpoint

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Unnumbered is what a mark remembers of rows that came without ids. A portal
// before DocSpace 3.6 tells none, and rows are known by their content there.
type Unnumbered struct {
	// Keys holds what the newest committed rows hash to, at most MaxRecent of
	// them, those committed last at the end. Each stands there once. After an
	// upgrade it holds those of rows that were not shown then, so that their ids
	// are not known.
	Keys []KeyCount
	// Hidden holds the places, ascending, of rows near the top that were accounted
	// for and not shown at the last look, be it that they were never shown or that
	// they were published before. A place is the number of rows accounted for that
	// lie below, which rows that come in there do not change.
	Hidden []int
	// Missing is how many rows were counted and not found, below those remembered.
	Missing int
	// Dropped is how many rows are committed whose keys are not remembered any
	// more.
	Dropped int
	// Hashed is the index from the bottom up to which events have an id made
	// from their content. Above it the portal told ids.
	Hashed int
}

// A KeyCount is how many committed rows have a key.
type KeyCount struct {
	Key   uint64 // KeyBits wide
	Count int
}

// KeyBits is the width of a key. Among MaxRecent of them, one row in 10¹¹ is
// taken for another.
const KeyBits = 48

// Counts returns how many committed rows have each key, as far as remembered.
func (u Unnumbered) Counts() map[uint64]int {
	counts := make(map[uint64]int, len(u.Keys))
	for _, k := range u.Keys {
		counts[k.Key] = k.Count
	}
	return counts
}

// Current reports whether rows are known by their keys, and not by ids yet.
func (u Unnumbered) Current() bool { return len(u.Keys) > 0 && u.Hashed == 0 }

// Forget returns u without a row of each key.
func (u Unnumbered) Forget(keys ...uint64) Unnumbered {
	counts := u.Counts()
	for _, key := range keys {
		counts[key]--
	}
	var kept []KeyCount
	for _, k := range u.Keys {
		if n := counts[k.Key]; n > 0 {
			kept = append(kept, KeyCount{k.Key, n})
		}
	}
	u.Keys = kept
	return u
}

// Remember returns u with the keys of more rows, in the order they were
// committed.
func (u Unnumbered) Remember(keys ...uint64) Unnumbered {
	if len(keys) == 0 {
		return u
	}
	counts, added := u.Counts(), make(map[uint64]bool, len(keys))
	for _, key := range keys {
		counts[key]++
		added[key] = true
	}
	kept := make([]KeyCount, 0, len(counts))
	for _, k := range u.Keys {
		if !added[k.Key] {
			kept = append(kept, k)
		}
	}
	for _, key := range keys {
		if added[key] {
			added[key] = false
			kept = append(kept, KeyCount{key, counts[key]})
		}
	}
	drop := max(0, len(kept)-MaxRecent)
	for _, k := range kept[:drop] {
		u.Dropped += k.Count
	}
	u.Keys = slices.Clone(kept[drop:])
	return u
}

const keyBytes = KeyBits / 8

// packKeys writes each key and how often it was committed.
func packKeys(keys []KeyCount) string {
	var b []byte
	for _, k := range keys {
		b = append(b, binary.BigEndian.AppendUint64(nil, k.Key)[8-keyBytes:]...)
		b = binary.AppendUvarint(b, uint64(k.Count))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// unpackKeys reads what packKeys wrote.
func unpackKeys(text string) ([]KeyCount, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	var keys []KeyCount
	seen := make(map[uint64]bool)
	for len(b) > 0 {
		if len(b) <= keyBytes {
			return nil, errors.New("keys: cut off")
		}
		key := binary.BigEndian.Uint64(append(make([]byte, 8-keyBytes), b[:keyBytes]...))
		count, n := binary.Uvarint(b[keyBytes:])
		switch {
		case n <= 0 || count == 0 || count > maxRows:
			return nil, errors.New("keys: a key without a number of rows")
		case seen[key]:
			return nil, errors.New("keys: a key twice")
		case len(keys) == MaxRecent:
			return nil, fmt.Errorf("keys: more than %d", MaxRecent)
		}
		seen[key] = true
		keys, b = append(keys, KeyCount{key, int(count)}), b[keyBytes+n:]
	}
	return keys, nil
}

// maxRows is more than a portal can count.
const maxRows = 1 << 32

// packIndexes writes ascending indexes the way ids are written.
func packIndexes(indexes []int) string {
	ids := make([]int64, len(indexes))
	for i, index := range indexes {
		ids[i] = int64(index) + 1 // an id is never 0
	}
	return packIDs(ids)
}

// unpackIndexes reads what packIndexes wrote.
func unpackIndexes(text string) ([]int, error) {
	ids, err := unpackIDs(text)
	if err != nil {
		return nil, fmt.Errorf("hidden: %w", err)
	}
	var indexes []int
	for _, id := range ids {
		indexes = append(indexes, int(id-1))
	}
	return indexes, nil
}
