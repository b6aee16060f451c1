package line

import "github.com/mattn/go-runewidth"

// columns measures a text as terminals show it: letters of East Asia and emoji take
// two columns, marks on the letter before none. What is wide in some fonts only counts
// as narrow, whatever the locale, so that a text has one width everywhere.
var columns = &runewidth.Condition{StrictEmojiNeutral: true}

// Width returns how many columns of a terminal a text takes.
func Width(text string) int { return columns.StringWidth(text) }

// Fit cuts a text to so many columns, and shows that it did.
func Fit(text string, width int) string { return columns.Truncate(text, width, "…") }
