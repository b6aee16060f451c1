package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linkTarget   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading      = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	notInAnchors = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	fenced       = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
)

// anchors are the fragments under which a page's headings are reached.
func anchors(page string) map[string]bool {
	all := make(map[string]bool)
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		text := notInAnchors.ReplaceAllString(strings.ToLower(match[1]), "")
		all[strings.ReplaceAll(text, " ", "-")] = true
	}
	return all
}

func TestEveryLinkInTheDocumentsLeadsSomewhere(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(repositoryDir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range filesUnder(t, deployDir) {
		if strings.HasSuffix(file, ".md") {
			pages = append(pages, file)
		}
	}
	followed, known := 0, make(map[string]map[string]bool)
	for _, page := range pages {
		for _, match := range linkTarget.FindAllStringSubmatch(fenced.ReplaceAllString(readFile(t, page), ""), -1) {
			path, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(path, ":") {
				continue // not ours
			}
			followed++
			file := page
			if path != "" {
				file = filepath.Join(filepath.Dir(page), path)
			}
			info, err := os.Stat(file)
			if err == nil && anchor != "" && !info.IsDir() && known[file] == nil {
				known[file] = anchors(readFile(t, file))
			}
			switch {
			case err != nil:
				t.Errorf("%s: no file for the link %s", page, match[1])
			case anchor != "" && !known[file][anchor]:
				t.Errorf("%s: no heading for the link %s", page, match[1])
			}
		}
	}
	if followed < 100 {
		t.Errorf("only %d links followed: is this test looking in the right place?", followed)
	}
}
