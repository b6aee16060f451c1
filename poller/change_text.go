package poller

import (
	"strconv"
	"strings"
	"time"
)

// String tells in one sentence what a change does, to whoever is to agree to it.
func (c Change) String() string {
	text := "folder " + strconv.Itoa(c.Prev.Folder) + ": "
	upTo := ""
	if c.AtMost {
		upTo = "up to "
	}
	switch c.Command {
	case ResetMark:
		text += upTo + rows(c.Again) + " will be published again from " + orBeginning(c.To)
		if c.Again > 0 {
			text += "; " + c.seenTwice()
		}
		switch {
		case c.Kept == 1:
			text += "; " + upTo + "1 older row stays as it is, and is not looked after any more"
		case c.Kept > 1:
			text += "; " + upTo + Grouped(c.Kept) + " older rows stay as they are, and are not looked after any more"
		}
	case SetMark:
		text += upTo + rows(c.Skipped) + " will count as published without being stored; consumers never see them"
	default:
		text += "its mark becomes that of the file, with " + rows(c.Next.Accounted) + " accounted for"
		if c.Again > 0 {
			text += "; " + upTo + rows(c.Again) + " will be published again, " + c.seenTwice()
		}
		if c.Skipped > 0 {
			text += "; " + upTo + rows(c.Skipped) + " that this stream may not hold will count as published, consumers who read it alone never see them"
		}
	}
	if c.Older > 0 {
		text += "; " + rows(c.Older) + " from before " + orBeginning(c.Prev.Anchor) + ", which were left out, will be published, too"
	}
	if c.Again > 0 && c.Prev.Filtered.ID != "" {
		text += "; rows the filter leaves out are left out again"
	}
	if n := min(c.Again, c.Prev.Unnumbered.Hashed); n > 0 {
		text += "; " + rows(n) + " that had no ids when they were published get other event ids"
	}
	return text
}

// seenTwice tells how many of the rows consumers have seen. A mark does not remember
// which of all its rows have no event.
func (c Change) seenTwice() string {
	return "consumers see up to " + Grouped(c.Again) + " of them a second time, all but gaps and skipped rows"
}

func orBeginning(t time.Time) string {
	if t.IsZero() {
		return "the beginning"
	}
	return t.UTC().Format(time.RFC3339)
}

func rows(n int) string {
	if n == 1 {
		return "1 row"
	}
	return Grouped(n) + " rows"
}

// Grouped writes a number with commas between its thousands.
func Grouped(n int) string {
	digits, sign := strconv.Itoa(n), ""
	if n < 0 {
		digits, sign = digits[1:], "-"
	}
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return sign + b.String()
}
