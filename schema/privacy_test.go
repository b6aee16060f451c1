package schema

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

func TestEMailAddressesAreOnlyPublishedInFull(t *testing.T) {
	t.Parallel()
	const id, mail = "c7e1b6f0-5a52-4b0e-9d43-2f6f0d9a7e11", "zoe@example.com"
	for _, test := range []struct {
		privacy Privacy
		name    string
		want    Person
	}{
		{Standard, "Zoë Müller", Person{ID: id, Name: "Zoë Müller"}},
		{Full, "Zoë Müller", Person{ID: id, Name: "Zoë Müller", Email: mail}},
		{Standard, mail, Person{ID: id}},
		{Standard, "zoe%40example.com", Person{ID: id}},
		{Standard, mail + " (External user)", Person{ID: id}},
		{Standard, "R@", Person{ID: id, Name: "R@"}},
		{Standard, "Zoë @ Sales", Person{ID: id, Name: "Zoë @ Sales"}},
		{Full, mail, Person{ID: id, Name: mail, Email: mail}},
	} {
		if diff := cmp.Diff(test.want, test.privacy.Person(id, test.name, mail)); diff != "" {
			t.Errorf("%s, %q: %s", test.privacy, test.name, diff)
		}
	}
}

func TestANameThatIsAnAddressIsOnlyPublishedInFull(t *testing.T) {
	t.Parallel()
	key := keyOf(t, "2026-1", 1)
	for _, name := range []string{"sales@example.com", "sales%40example.com (all)"} {
		for privacy, want := range map[Privacy]string{
			Full: name, Standard: "", Pseudonymous(key): key.pseudonym(ofName, name), Minimal(key): "",
		} {
			if got := privacy.Group("g1", name, nil).Name; got != want {
				t.Errorf("%s: group %q, want %q", privacy, got, want)
			}
			for _, kind := range []string{"user", "group", ""} {
				if got := privacy.NameOf(kind, name); got != want {
					t.Errorf("%s: target of kind %q is %q, want %q", privacy, kind, got, want)
				}
			}
		}
		if got := Standard.NameOf(kindFile, name); got != name {
			t.Errorf("a file is %q, want the title", got)
		}
	}
}

func TestActorsWhoAreNobodyInParticularAreToldApart(t *testing.T) {
	t.Parallel()
	const someone = "c7e1b6f0-5a52-4b0e-9d43-2f6f0d9a7e11"
	for _, test := range []struct {
		name      string
		id        string
		anonymous bool
		want      Actor
	}{
		{"a user", someone, false, Actor{ID: someone, Name: "N"}},
		{"all zeros", zeroID, false, Actor{Kind: "anonymous", Name: "N", Anonymous: true}},
		{"no id", "", false, Actor{Kind: "anonymous", Name: "N", Anonymous: true}},
		{"removed", removedID, false, Actor{Kind: "removed", Name: "N"}},
		{"removed, capitals", strings.ToUpper(removedID), false, Actor{Kind: "removed", Name: "N"}},
		{"a job", systemID, false, Actor{Kind: "system", ID: systemID, Name: "N"}},
		{"by a link", anonymousID, true, Actor{Kind: "anonymous", ID: anonymousID, Name: "N", Anonymous: true}},
		{"by a link, flag forgotten", anonymousID, false, Actor{Kind: "anonymous", ID: anonymousID, Name: "N", Anonymous: true}},
	} {
		if diff := cmp.Diff(test.want, Standard.Actor(test.id, "N", "", test.anonymous)); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func TestSettingsAreReadAsTheyArePrinted(t *testing.T) {
	t.Parallel()
	key := keyOf(t, "2026-1", 1)
	for _, p := range []Privacy{Standard, Full, Pseudonymous(key), Minimal(key)} {
		if got, err := ParsePrivacy(p.String(), key); err != nil || got != p {
			t.Errorf("%s is read as %s, %v", p, got, err)
		}
	}
	for _, m := range []RawMode{RawUnknown, RawAlways, RawNever} {
		var got RawMode
		if err := got.UnmarshalText([]byte(m.String())); err != nil || got != m {
			t.Errorf("%s is read as %s, %v", m, got, err)
		}
	}
	for _, keyed := range []string{"pseudonymous", "minimal"} {
		if _, err := ParsePrivacy(keyed, nil); !errors.Is(err, ErrNeedsKey) {
			t.Errorf("%s without a key: %v", keyed, err)
		}
	}
	if _, err := ParsePrivacy("none", key); err == nil {
		t.Error("privacy none was accepted")
	}
	if _, err := ParseRawMode("sometimes"); err == nil {
		t.Error("raw mode sometimes was accepted")
	}
	if p, err := ParsePrivacy("", nil); p != Standard || err != nil {
		t.Errorf("the default is %s, %v", p, err)
	}
}

// keyOf is a key that differs by seed.
func keyOf(t testing.TB, id string, seed byte) *Key {
	t.Helper()
	secret := make([]byte, MinKeyBytes)
	for i := range secret {
		secret[i] = seed + 7*byte(i)
	}
	key, err := NewKey(id, secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const rawRow = `{"id":1,"action":{"id":5299,"key":"RoomSealEnabled"},
	"initiator":{"id":"c7e1","displayName":"Zo&#235;","title":"CEO","avatar":"/a.png","profileUrl":"https://x/?search=zoe%40example.com","hasAvatar":false,"isAnonim":false},
	"date":"2026-09-21T10:00:00.0000000+03:00",
	"data":{"id":1234,"n":1.50e3,"none":null,"on":true,"list":[{"owner":{"id":"o1","groups":[{"name":"QA"}]}},"a<b"],
		"invited":{"id":"p1","firstName":"Ann","notes":"ill","createdBy":{"id":"p2","phone":"1"}},
		"viewUrl":"/f","share":"https://docs.example.com/s/abc","requestToken":"t0k","accessPassword":{"hash":"h"},
		"who":"ask zoe@example.com","note":"plain","contactEmail":"x"}}`

func TestRawRowsLoseEverythingThatMustNotBePublished(t *testing.T) {
	t.Parallel()
	const head = `{"id":1,"action":{"id":5299,"key":"RoomSealEnabled"},`
	const middle = `"date":"2026-09-21T10:00:00.0000000+03:00",` +
		`"data":{"id":1234,"n":1.50e3,"none":null,"on":true,"list":[{"owner":{"id":"o1"}},"a<b"],` +
		`"invited":{"id":"p1","createdBy":{"id":"p2"}},"share":"[redacted]",`
	key := keyOf(t, "2026-1", 1)
	hidden := Pseudonymous(key)
	pid := func(id string) string { return `"` + key.pseudonym(ofID, id) + `"` }
	for privacy, want := range map[Privacy]string{
		Minimal(key): "",
		hidden: head + `"initiator":{"id":` + pid("c7e1") + `},"date":"2026-09-21T10:00:00.0000000+03:00",` +
			`"data":{"id":1234,"n":1.50e3,"none":null,"on":true,"list":[{"owner":{"id":` + pid("o1") + `}},"[redacted]"],` +
			`"invited":{"id":` + pid("p1") + `,"createdBy":{"id":` + pid("p2") + `}},"share":"[redacted]","who":"[redacted]","note":"[redacted]"}}`,
		Standard: head + `"initiator":{"id":"c7e1"},` + middle + `"who":"[redacted]","note":"plain"}}`,
		Full:     head + `"initiator":{"id":"c7e1","displayName":"Zo&#235;"},` + middle + `"who":"ask zoe@example.com","note":"plain"}}`,
	} {
		if diff := cmp.Diff(want, privacy.RedactRaw([]byte(rawRow))); diff != "" {
			t.Errorf("%s: %s", privacy, diff)
		}
	}
}

func TestARawRowHasNoTableOfPeopleWherePeopleHavePseudonyms(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"c7e1b6f0-5a52-4b0e-9d43-2f6f0d9a7e11", "c7e1b6f05a524b0e9d432f6f0d9a7e11", "C7E1B6F05A524B0E9D432F6F0D9A7E11", "{c7e1b6f0-5a52-4b0e-9d43-2f6f0d9a7e11}"} {
		raw := `{"data":{"rights":{"` + id + `":{"edit":true}},"title":"Plan"}}`
		if got, want := Pseudonymous(keyOf(t, "2026-1", 1)).RedactRaw([]byte(raw)), `{"data":{"rights":{},"title":"Plan"}}`; got != want {
			t.Errorf("%s becomes %s, want %s", raw, got, want)
		}
	}
}

func TestARawRowShowsWhatItHolds(t *testing.T) {
	t.Parallel()
	const raw = "{\"title\":\"invoice\u202egpj.exe \U000e0041\u200d\ufe0f \u00e9 \x7f\"}"
	got := Standard.RedactRaw([]byte(raw))
	if want := `{"title":"invoice\u202egpj.exe \udb40\udc41\u200d\ufe0f é \u007f"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	var back struct{ Title string }
	if err := json.Unmarshal([]byte(got), &back, json.MatchCaseInsensitiveNames(true)); err != nil || back.Title != "invoice\u202egpj.exe \U000e0041\u200d\ufe0f é \x7f" {
		t.Errorf("%q, %v", back.Title, err)
	}
}

func TestARawRowThatIsNotUnderstoodIsNotPublished(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"nothing":   "",
		"HTML":      "<html>zoe@example.com",
		"cut short": `{"initiator":{"displayName":"Zoë"`,
		"two rows":  `{} {"email":"zoe@example.com"}`,
		"deep":      strings.Repeat("[", 100) + strings.Repeat("]", 100),
		"huge":      `"` + strings.Repeat("x", maxRaw) + `"`,
	} {
		if got := Standard.RedactRaw([]byte(raw)); got != "" {
			t.Errorf("%s: %.80s", name, got)
		}
	}
	for raw, want := range map[string]string{
		`null`: `null`, `"a"`: `"a"`, `[1, 2]`: `[1,2]`, `{"a":1,"a":2}`: `{"a":1,"a":2}`, "\"\xff\"": "\"\ufffd\"",
	} {
		if got := Standard.RedactRaw([]byte(raw)); got != want {
			t.Errorf("%s becomes %s, want %s", raw, got, want)
		}
	}
}

func FuzzPseudonymousRowsTellNoIDAndNoAddress(f *testing.F) {
	f.Add(rawRow)
	f.Add(`{"data":{"title":"b@c","id":"{C7E1B6F0-5A52-4B0E-9D43-2F6F0D9A7E11}","tags":["a","b@c"]},"user":{"id":{"id":"x"}},"rights":{"c7e1b6f05a524b0e9d432f6f0d9a7e11":1},"date":{"utcTime":"b"}}`)
	p := Pseudonymous(keyOf(f, "a", 1))
	f.Fuzz(func(t *testing.T, raw string) {
		got := p.RedactRaw([]byte(raw))
		if got == "" {
			return
		}
		tokens := jsontext.NewDecoder(strings.NewReader(got), jsontext.AllowDuplicateNames(true))
		for {
			token, err := tokens.ReadToken()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatalf("%q is redacted to %q: %v", raw, got, err)
			}
			if token.Kind() != '"' {
				continue
			}
			if id, ok := parseGUID(token.String()); hasEmail(token.String()) || ok && id != zeroID && !isNobody(id) {
				t.Errorf("%q is redacted to %q", raw, got)
			}
		}
	})
}

func FuzzRedactionLetsNoAddressThrough(f *testing.F) {
	f.Add(rawRow)
	f.Add(`{"a":"b@c","d":["e@f.g",{"h@i":"j"}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		got := Standard.RedactRaw([]byte(raw))
		if got == "" {
			return
		}
		if again := Standard.RedactRaw([]byte(got)); again != got {
			t.Errorf("%q is redacted to %q and then to %q", raw, got, again)
		}
		tokens := jsontext.NewDecoder(strings.NewReader(got), jsontext.AllowDuplicateNames(true))
		for {
			token, err := tokens.ReadToken()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatalf("%q is redacted to %q: %v", raw, got, err)
			}
			if token.Kind() == '"' && hasEmail(token.String()) {
				t.Errorf("%q is redacted to %q", raw, got)
			}
		}
	})
}
