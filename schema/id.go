package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// EventID is the id of the event for a row of a folder's log. The same row in
// the log of another folder is another event.
func EventID(folder int, audit int64) string {
	return strconv.Itoa(folder) + "-" + strconv.FormatInt(audit, 10)
}

// HashedEventID is the id of the event for a row of a server that sends no row
// ids. Key holds what of the row never changes; ordinal tells equal keys of
// one folder apart, 0 is the oldest.
//
// The hash has no secret in it, so whoever guesses all of the key can see that
// the guess is right. With a secret, another one would make every row another
// event.
func HashedEventID(portal string, folder int, key string, ordinal int) string {
	sum := sha256.Sum256([]byte(portal + "\x00" + strconv.Itoa(folder) + "\x00" + strconv.Itoa(ordinal) + "\x00" + key))
	return strconv.Itoa(folder) + "-h" + hex.EncodeToString(sum[:16])
}

// ConnectorID is the id of an event about the connector's own work. It is made
// of what it says and of the revision of the mark it is said on: what is said
// again by the repetition of a commit is the same event, what has changed since
// is another.
func ConnectorID(folder int, kind string, revision uint64, c Connector) string {
	w := writer{b: []byte{'{'}}
	c.write(&w)
	sum := sha256.Sum256(w.b)
	return strconv.Itoa(folder) + "-" + kind + "-" + strconv.FormatUint(revision, 10) + "-" + hex.EncodeToString(sum[:8])
}

// MsgID is the value of the Nats-Msg-Id header, unique in a stream that holds
// several portals.
func (e *Event) MsgID() string {
	folder, row, _ := strings.Cut(e.ID, "-")
	return "ds1:" + e.Data.Portal + ":" + folder + ":" + row
}

// Sequence is an audit id that sorts as a string.
func Sequence(audit int64) string {
	const zeros = "00000000000000000000"
	digits := strconv.FormatInt(max(audit, 0), 10)
	return zeros[len(digits):] + digits
}
