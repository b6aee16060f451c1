package poller

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// weakKey is what of a row the portal stored with it, and what therefore never
// changes, whoever reads it and when. The id of a link is among it. Those of
// files, folders and people are not: they become 0, or somebody else's, when
// the thing or the person is gone for good. The date is among it, although it
// can be off by an hour; takeShifted in balance.go knows.
func weakKey(e docspace.Entry) string {
	d := e.Data
	parts := []string{
		strconv.Itoa(e.Action.Code), strconv.FormatInt(e.Date.Unix(), 10),
		d.Title, d.OldTitle, d.NewTitle, d.ParentID, d.ParentTitle, number(d.ParentType),
		d.FromFolderID, d.FromParentTitle, number(d.FromParentType), d.ToFolderID, number(d.Type),
		d.UserName, number(d.OldIndex), number(d.NewIndex), number(d.Version), d.Access,
	}
	switch e.Action.Code {
	case linkCreated, linkDeleted, linkRevoked, linkRenamed:
		parts = append(parts, d.ID)
	}
	if l := d.LifeTime; l != nil {
		parts = append(parts, strconv.Itoa(l.Value), strconv.Itoa(l.Period), strconv.FormatBool(l.DeletePermanently))
	}
	if g := d.Members; g != nil {
		parts = append(parts, g.ID, g.Name)
	}
	parts = append(parts, d.Tags...)
	return strings.Join(parts, "\x1f")
}

func number(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

// key is the weak key of a row, short enough to be remembered.
func key(row docspace.Entry) uint64 {
	sum := sha256.Sum256([]byte(weakKey(row)))
	return binary.BigEndian.Uint64(sum[:]) >> (64 - checkpoint.KeyBits)
}

func keys(rows []docspace.Entry) []uint64 {
	all := make([]uint64, len(rows))
	for i, row := range rows {
		all[i] = key(row)
	}
	return all
}
