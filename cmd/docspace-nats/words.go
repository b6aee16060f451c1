package main

import (
	"fmt"
	"strings"
)

// counted is a number of things in words.
func counted(n int, thing string) string {
	return fmt.Sprintf("%d %s", n, thingsOf(n, thing))
}

// thingsOf is the word for so many of a thing.
func thingsOf(n int, thing string) string {
	switch {
	case n == 1:
		return thing
	case strings.HasSuffix(thing, "s"):
		return thing + "es"
	}
	return thing + "s"
}

// ofFolders says how many folders are done.
func ofFolders(over, all int) string { return fmt.Sprintf("%d of %s", over, counted(all, "folder")) }

// ofRows says how many rows are stored, of those there were when the job was created.
// A few can have come in since.
func ofRows(stored, all int) string {
	return fmt.Sprintf("%d of %s", stored, counted(max(stored, all), "row"))
}
