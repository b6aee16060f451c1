package schema

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	zoe     = "c7e1b6f0-5a52-4b0e-9d43-2f6f0d9a7e11"
	zoeMail = "Zoe.Mueller@example.com"
)

// The pseudonyms of a key are published and compared for years: they must not
// change with the program.
func TestPseudonymsStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	key := keyOf(t, "2026-1", 1)
	want := Person{ID: "pid-65rlqhybtb6utz7pojwl", Name: "pname-hvuiowtpyb42xbz2boea", Email: "pmail-m7rx2ed5fsqztolpyzqq"}
	if diff := cmp.Diff(want, Pseudonymous(key).Person(zoe, "Zoë Müller", zoeMail)); diff != "" {
		t.Error(diff)
	}
}

func TestAPseudonymIsTheSameHoweverThePersonIsWritten(t *testing.T) {
	t.Parallel()
	p := Pseudonymous(keyOf(t, "2026-1", 1))
	want := p.Person(zoe, "Zoë Müller", zoeMail)
	for _, again := range []Person{
		p.Person(strings.ToUpper(zoe), "Zoë Müller", strings.ToUpper(zoeMail)),
		p.Person("{"+zoe+"}", " Zoë Müller\n", zoeMail+" "),
		p.Person(strings.ReplaceAll(zoe, "-", ""), "Zoë Müller", zoeMail),
	} {
		if diff := cmp.Diff(want, again); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAPersonHasOneIDWhereverItStands(t *testing.T) {
	t.Parallel()
	for _, p := range []Privacy{Pseudonymous(keyOf(t, "a", 1)), Minimal(keyOf(t, "a", 1))} {
		actor, owner := p.Actor(zoe, "Zoë", zoeMail, false), p.Person(zoe, "Zoë", zoeMail)
		if want := (Person{actor.ID, actor.Name, actor.Email}); owner != want || owner.ID == "" {
			t.Errorf("%s: as an actor %+v, as an owner %+v", p, want, owner)
		}
		if got := p.IDOf("user", zoe); got != owner.ID {
			t.Errorf("%s: as a target %s, as an owner %s", p, got, owner.ID)
		}
		if !p.ShowsRaw() {
			continue
		}
		raw := p.RedactRaw([]byte(`{"initiator":{"id":"` + zoe + `","displayName":"Zoë"},"data":{"sealedBy":"` + strings.ToUpper(zoe) + `"}}`))
		if want := fmt.Sprintf(`{"initiator":{"id":%q},"data":{"sealedBy":%q}}`, owner.ID, owner.ID); raw != want {
			t.Errorf("%s: raw row %s, want %s", p, raw, want)
		}
	}
}

func TestAnotherKeyMakesOtherPseudonymsOfEverything(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	for seed := range byte(8) {
		p := Pseudonymous(keyOf(t, "same-id", seed))
		person, group := p.Person(zoe, "Zoë", zoeMail), p.Group(zoe[:35]+"2", "QA", nil)
		for _, pseudonym := range []string{person.ID, person.Name, person.Email, group.ID, group.Name} {
			if by, twice := seen[pseudonym]; twice {
				t.Errorf("%s is made by key %d and by %s", pseudonym, seed, by)
			}
			seen[pseudonym] = fmt.Sprint(seed)
		}
	}
}

func TestIDsNamesAndAddressesNeverShareAPseudonym(t *testing.T) {
	t.Parallel()
	const same = "zoe@example.com"
	person := Pseudonymous(keyOf(t, "a", 1)).Person(same, same, same)
	tails := map[string]bool{}
	for _, pseudonym := range []string{person.ID, person.Name, person.Email} {
		_, tail, _ := strings.Cut(pseudonym, "-")
		tails[tail] = true
	}
	if len(tails) != 3 {
		t.Errorf("a text has the pseudonyms %+v", person)
	}
}

func TestNobodyInParticularGetsNoPseudonym(t *testing.T) {
	t.Parallel()
	key := keyOf(t, "a", 1)
	for _, p := range []Privacy{Pseudonymous(key), Minimal(key)} {
		for _, test := range []struct {
			name, id string
			want     Actor
		}{
			{"a job", systemID, Actor{Kind: ActorSystem, ID: systemID}},
			{"by a link", anonymousID, Actor{Kind: ActorAnonymous, ID: anonymousID, Anonymous: true}},
			{"removed", strings.ToUpper(removedID), Actor{Kind: ActorRemoved}},
		} {
			if diff := cmp.Diff(test.want, p.Actor(test.id, "profile removed", "", false)); diff != "" {
				t.Errorf("%s, %s: %s", p, test.name, diff)
			}
		}
		typed := p.Actor(zeroID, "Bob (External user)", "", false)
		if typed.ID != "" || typed.Kind != ActorAnonymous || strings.Contains(typed.Name, "Bob") {
			t.Errorf("%s: who typed a name is %+v", p, typed)
		}
		everyone, system := Member{}, true
		if everyone = p.Group("c5cc67d1-c3e8-43c0-a3ad-3928ae3e5b5e", "Everyone", &system); everyone.ID != "c5cc67d1-c3e8-43c0-a3ad-3928ae3e5b5e" {
			t.Errorf("%s: everyone is %+v", p, everyone)
		}
	}
}

func TestAnAddressInATitleBecomesThatOfThePerson(t *testing.T) {
	t.Parallel()
	key := keyOf(t, "a", 1)
	p := Pseudonymous(key)
	mail := p.Person(zoe, "", "zoe@example.com").Email
	for title, want := range map[string]string{
		"Offer for zoe@example.com, final.docx": "Offer for " + mail + ", final.docx",
		"<ZOE@example.com>":                     "<" + mail + ">",
		"mailto:zoe%40example.com.":             "mailto:" + mail,
		"to zoe&#64;example.com|x":              "to " + mail + "|x",
		"zoe＠example.com":                       mail,
		"\"zoe m\"@example.com":                 redacted, // where does it begin?
		"Zoë @ Sales":                           "Zoë @ Sales",
		"@@a@@b":                                "@@a@@b",
		"100% sure & done":                      "100% sure & done",
	} {
		got := p.Title(title)
		if strings.HasPrefix(title, "@@") {
			if hasEmail(got) {
				t.Errorf("%q becomes %q", title, got)
			}
		} else if got != want {
			t.Errorf("%q becomes %q, want %q", title, got, want)
		}
		if got := Standard.Title(title); got != title {
			t.Errorf("standard makes %q of %q", got, title)
		}
		if got := Minimal(key).Title(title); got != "" {
			t.Errorf("minimal makes %q of %q", got, title)
		}
	}
}

func TestAKeyThatCanBeGuessedIsRefusedAndNoneIsPrinted(t *testing.T) {
	t.Parallel()
	good := []byte("0123456789abcdefghijklmnopqrstuv")
	for name, secret := range map[string][]byte{
		"none": nil, "31 bytes": good[:31], "zeros": make([]byte, 64), "a word": bytes.Repeat([]byte("secret"), 8),
		"a phrase": []byte("0123456789abcdefghijklm0123456789abcdefghijklm"),
	} {
		if _, err := NewKey("a", secret); err == nil || errors.Is(err, ErrKeyID) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, id := range []string{"", "a b", "ä", strings.Repeat("a", 65)} {
		if _, err := NewKey(id, good); !errors.Is(err, ErrKeyID) {
			t.Errorf("id %q: %v", id, err)
		}
	}
	key, err := NewKey("a", good)
	if err != nil {
		t.Fatal(err)
	}
	before := Pseudonymous(key).Person(zoe, "", "")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if printed := fmt.Sprintf(verb+verb, key, Pseudonymous(key)); strings.Contains(printed, string(good[:8])) || strings.Contains(printed, fmt.Sprintf("%x", good[:8])) || strings.Contains(printed, "48 49 50") {
			t.Errorf("%s prints the key: %s", verb, printed)
		}
	}
	for i := range 2 * mostMade {
		key.pseudonym(ofName, fmt.Sprint(i))
	}
	if len(key.made) > mostMade {
		t.Errorf("a key remembers %d pseudonyms", len(key.made))
	}
	clear(good)
	if after := Pseudonymous(key).Person(zoe, "", ""); after != before {
		t.Error("the key changes with the memory it was made from")
	}
}

// What is not known to have a title may be a person.
func TestWhatIsNoThingIsTreatedAsAPerson(t *testing.T) {
	t.Parallel()
	key := keyOf(t, "a", 1)
	for _, kind := range []string{"user", "group", ""} {
		for _, p := range []Privacy{Pseudonymous(key), Minimal(key)} {
			if id, name := p.IDOf(kind, zoe), p.NameOf(kind, "Zoë Müller"); id == zoe || strings.Contains(name, "Zoë") {
				t.Errorf("%s, %q: id %s, name %s", p, kind, id, name)
			}
		}
	}
	for kind, want := range map[string][2]string{"file": {"7781", "pid-"}, "link": {zoe, "pid-"}, "folder": {"1204", "1204"}, "room": {"1204", "1204"}} {
		id := want[0]
		if got := Pseudonymous(key).IDOf(kind, id); got != id {
			t.Errorf("pseudonymous: %s %s becomes %s", kind, id, got)
		}
		if got := Minimal(key).IDOf(kind, id); !strings.HasPrefix(got, want[1]) {
			t.Errorf("minimal: %s %s becomes %s", kind, id, got)
		}
	}
	if got := Pseudonymous(key).IDOf("folder", "sbox-1-|zoe@example.com"); !strings.HasPrefix(got, "pid-") {
		t.Errorf("a folder elsewhere keeps the id %s", got)
	}
}

func BenchmarkPseudonymousActor(b *testing.B) {
	p := Pseudonymous(keyOf(b, "a", 1))
	b.ReportAllocs()
	for b.Loop() {
		p.Actor(zoe, "Zoë Müller", zoeMail, false)
	}
}

func TestAnAddressInATitleHasThePseudonymOfThePerson(t *testing.T) {
	t.Parallel()
	key := keyOf(t, "2026-1", 1)
	p := Pseudonymous(key)
	want := p.Person("", "", "zoe@example.com").Email
	for _, title := range []string{
		"for zoe@example.com", "Zoe@Example.com.", "ask zoe@example.com!", "zoe@example.com?", "zoe@example.com… later",
		"<zoe@example.com>", "„zoe@example.com“", "»zoe@example.com«", "zoe%40example.com", "mailto:zoe@example.com", "zoe@example.com's plan", "-> zoe@example.com_",
	} {
		if got := p.Title(title); !strings.Contains(got, want) {
			t.Errorf("%q becomes %q, without %s", title, got, want)
		}
	}
	for _, other := range []string{"zo@example.com", "zoe@example.co", "+zoe@example.com", "zoe@example.com1"} {
		if key.email(other) == want {
			t.Errorf("%s has the pseudonym of another address", other)
		}
	}
	if key.email("@") != "" || key.email("…@…") != "" {
		t.Error("no address has a pseudonym")
	}
}
