package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestColumnsStandBelowEachOtherWhateverLettersAreInThem(t *testing.T) {
	t.Parallel()
	for want, right := range map[string]bool{
		"A       ROOM     C\n会議室  Cafe\u0301     1\n👩‍👩‍👧      Договор  22\n":         false,
		"       A     ROOM   C\n  会議室     Cafe\u0301   1\n      👩‍👩‍👧  Договор  22\n": true,
	} {
		var b strings.Builder
		table := &table{w: &b, right: right}
		end := "\n"
		if right {
			end = "\t\n"
		}
		fmt.Fprint(table, "A\tROOM\tC"+end+"会議室\tCafe\u0301\t1"+end+"👩‍👩‍👧\tДоговор\t22"+end)
		if err := table.Flush(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestALineOfWideLettersIsCutToTheTerminal(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff("42  会…\n42  ab", cutLines("42  会議室\n42  ab", 8)); diff != "" {
		t.Error(diff)
	}
}
