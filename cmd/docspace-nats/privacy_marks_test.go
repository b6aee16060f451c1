package main

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// marks are texts that occur nowhere but where they were put, by what they are.
type marks map[string]string

// found returns which marks are in a text, in whatever form. Forms that hold the
// core need not be looked for beside it.
func (m marks) found(text string) []string {
	lower := strings.ToLower(text)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		plain, exact := forms(m[name])
		part := strings.ToLower(core(m[name]))
		plain = slices.DeleteFunc(plain, func(form string) bool { return form != part && strings.Contains(strings.ToLower(form), part) })
		if slices.ContainsFunc(plain, func(form string) bool { return strings.Contains(lower, strings.ToLower(form)) }) ||
			slices.ContainsFunc(exact, func(form string) bool { return strings.Contains(text, form) }) {
			names = append(names, name)
		}
	}
	return names
}

// forms are the ways a text may be written: those in which capitals do not
// matter, and those in which they do. A hash without a key is one of them,
// because names and addresses are guessed in no time.
func forms(text string) (plain, exact []string) {
	quoted, _ := jsontext.AppendQuote(nil, text)
	for _, spelled := range []string{text, strings.ToLower(text), strings.ToUpper(text)} {
		sum5, sum1, sum256 := md5.Sum([]byte(spelled)), sha1.Sum([]byte(spelled)), sha256.Sum256([]byte(spelled))
		plain = append(plain, hex.EncodeToString(sum5[:8]), hex.EncodeToString(sum1[:8]), hex.EncodeToString(sum256[:8]), hex.EncodeToString([]byte(spelled)))
		for shift := range 3 {
			exact = append(exact, middle(base64.StdEncoding, spelled, shift), middle(base64.URLEncoding, spelled, shift))
		}
		exact = append(exact, base64.StdEncoding.EncodeToString(sum256[:])[:12])
	}
	return append(plain, text, url.QueryEscape(text), url.PathEscape(text), html.EscapeString(text), serverHTML(text),
		strings.ReplaceAll(text, "-", ""), string(quoted[1:len(quoted)-1]), escaped(text, mustEscape), escaped(text, func(rune) bool { return true }),
		strings.Trim(strconv.QuoteToASCII(text), `"`), strings.ToLower(core(text))), exact
}

// core is the longest word of a text that no encoding changes.
func core(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool {
		return r > 'z' || !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-", r|0x20)
	})
	return slices.MaxFunc(words, func(a, b string) int { return len(a) - len(b) })
}

// middle is what base64 makes of a text that comes after so many other bytes,
// without the ends those have a part in.
func middle(encoding *base64.Encoding, text string, shift int) string {
	encoded := strings.TrimRight(encoding.EncodeToString([]byte(strings.Repeat("x", shift)+text)), "=")
	return encoded[(shift*8+5)/6 : len(encoded)-1]
}

func mustEscape(r rune) bool { return r > '~' || strings.ContainsRune(`"\<>&'+`, r) }

// escaped writes some characters as JSON does that escapes more than it must.
func escaped(text string, which func(rune) bool) string {
	var b strings.Builder
	for _, r := range text {
		if which(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// serverHTML writes a text as the portal writes names.
func serverHTML(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r >= 0xa0 || r == '\'' {
			fmt.Fprintf(&b, "&#%d;", r)
		} else {
			b.WriteString(html.EscapeString(string(r)))
		}
	}
	return b.String()
}

func TestMarksAreFoundInEveryForm(t *testing.T) {
	t.Parallel()
	m := marks{"name": `Zoë "NameQuill7" O'Hara`, "id": "c7e1b6f0-5a52-4b0e-9d43-2f6f0d9a7e11"}
	sum := sha256.Sum256([]byte(m["id"]))
	for _, text := range []string{
		m["id"], strings.ToUpper(m["id"]), strings.ReplaceAll(m["id"], "-", ""), fmt.Sprintf("%x", sum),
		base64.StdEncoding.EncodeToString([]byte("a" + m["id"] + "b")), base64.URLEncoding.EncodeToString([]byte("ab" + m["id"])),
		escaped(m["id"], func(rune) bool { return true }), fmt.Sprintf("%x", m["id"]),
	} {
		if got := m.found("before " + text + " after"); !slices.Equal(got, []string{"id"}) {
			t.Errorf("%s: found %v", text, got)
		}
	}
	for _, text := range []string{url.QueryEscape(m["name"]), html.EscapeString(m["name"]), strings.ToLower(m["name"]), "namequill7"} {
		if got := m.found(text); !slices.Equal(got, []string{"name"}) {
			t.Errorf("%s: found %v", text, got)
		}
	}
	if got := m.found("c7e1b6f0 Zoë Name Quill7 O'Hara"); got != nil {
		t.Errorf("found %v where there is none", got)
	}
}
