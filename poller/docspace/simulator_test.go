package docspace_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
)

// ask returns a client of p that asks once.
func ask(t *testing.T, p http.RoundTripper, creds docspace.Credentials) *docspace.Client {
	t.Helper()
	c, err := docspace.New("https://docspace.example.com", creds, docspace.Options{Transport: p, MaxElapsed: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryRowOfASimulatedPortalIsUnderstood(t *testing.T) {
	t.Parallel()
	for _, objects := range []bool{false, true} {
		p := docspacetest.New(docspacetest.Options{Seed: 7})
		room := p.CreateRoom(nil, "Sales")
		p.Fill(room, 1000, 7)
		p.DateObjects(objects)
		p.ExtraFields(objects)
		c := ask(t, p, docspace.Credentials{APIKey: docspace.Fixed(p.APIKey())})
		total := p.Count(room)
		seen := map[int64]bool{}
		for start := 0; start < total; start += docspace.MaxPage {
			page, err := c.History(t.Context(), room, docspace.Query{Start: start, Count: docspace.MaxPage})
			if err != nil || page.Total != total {
				t.Fatalf("total %d, want %d: %v", page.Total, total, err)
			}
			for i, e := range page.Entries {
				if e.Malformed != "" || e.ID == 0 || seen[e.ID] || i > 0 && e.ID > page.Entries[i-1].ID {
					t.Fatalf("row %d: %q\n%s", e.ID, e.Malformed, e.Raw)
				}
				if e.Initiator.Name == "" || e.Action.Name == "" || !e.Raw.IsValid() {
					t.Fatalf("row %d misses its person or action\n%s", e.ID, e.Raw)
				}
				seen[e.ID] = true
			}
		}
		if len(seen) != total {
			t.Errorf("%d rows, want %d", len(seen), total)
		}
	}
}

func TestEveryFaultOfASimulatedPortalHasItsMeaning(t *testing.T) {
	t.Parallel()
	p := docspacetest.New(docspacetest.Options{Seed: 7})
	room := p.CreateRoom(nil, "Sales")
	c := ask(t, p, docspace.Credentials{APIKey: docspace.Fixed(p.APIKey())})
	for name, test := range map[string]struct {
		do   docspacetest.Outcome
		want error
	}{
		"unauthorized": {docspacetest.Unauthorized(), docspace.ErrUnauthorized},
		"denied":       {docspacetest.AccessDenied(), docspace.ErrForbidden},
		"scope":        {docspacetest.MissingScope(), docspace.ErrScope},
		"gone":         {docspacetest.NotFound(), docspace.ErrNotFound},
		"suspended":    {docspacetest.Suspended(), docspace.ErrPortal},
		"restoring":    {docspacetest.Restoring(), docspace.ErrPortal},
		"page":         {docspacetest.Page(200), docspace.ErrPortal},
		"rate":         {docspacetest.RateLimited("0"), docspace.ErrRateLimited},
	} {
		p.Fail(docspacetest.Fault{Do: test.do})
		if _, err := c.History(t.Context(), room, docspace.Query{Count: 1}); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if _, err := c.Folder(t.Context(), 999_999); !errors.Is(err, docspace.ErrNotFound) {
		t.Errorf("a folder that never was: %v", err)
	}
}

func TestASimulatedPortalTellsAboutItself(t *testing.T) {
	t.Parallel()
	p := docspacetest.New(docspacetest.Options{Seed: 7})
	for i := range 120 {
		p.CreateRoom(nil, fmt.Sprint("Room ", i))
	}
	c := ask(t, p, docspace.Credentials{APIKey: docspace.Fixed(p.APIKey())})
	rooms, err := c.Rooms(t.Context())
	if err != nil || len(rooms) != 120 || rooms[0].Title == "" || rooms[0].RootType != 14 || rooms[0].Created.IsZero() {
		t.Errorf("%d rooms, want 120: %v", len(rooms), err)
	}
	folder, err := c.Folder(t.Context(), rooms[0].ID)
	if err != nil || folder.Title != rooms[0].Title {
		t.Errorf("folder %+v: %v", folder, err)
	}
	key, err := c.Key(t.Context())
	if err != nil || !key.Active || !key.Permits("files:read") {
		t.Errorf("key %+v: %v", key, err)
	}
	self, err := c.Self(t.Context())
	if err != nil || self.ID == "" || !self.Owner {
		t.Errorf("self %+v: %v", self, err)
	}
	if v, err := c.Version(t.Context()); err != nil || v == "" {
		t.Errorf("version %q: %v", v, err)
	}
}

func TestAnEndedSessionOfASimulatedPortalIsReplaced(t *testing.T) {
	t.Parallel()
	p := docspacetest.New(docspacetest.Options{Seed: 7})
	room := p.CreateRoom(nil, "Sales")
	c := ask(t, p, docspace.Credentials{Username: docspace.Fixed(p.Username()), Password: docspace.Fixed(p.Password())})
	for range 2 {
		if _, err := c.Folder(t.Context(), room); err != nil {
			t.Fatal(err)
		}
		p.ExpireSessions()
	}
	c = ask(t, p, docspace.Credentials{Username: docspace.Fixed(p.Username()), Password: docspace.Fixed("wrong")})
	if _, err := c.Folder(t.Context(), room); !errors.Is(err, docspace.ErrUnauthorized) {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestPortalsBefore30AreKnownByTheirHabitsNotTheirVersion(t *testing.T) {
	t.Parallel()
	for _, version := range docspacetest.Versions() {
		p := docspacetest.New(docspacetest.Options{Seed: 7, Version: version, Build: "1.0.0"})
		room := p.CreateRoom(nil, "Sales")
		c := ask(t, p, docspace.Credentials{Username: docspace.Fixed(p.Username()), Password: docspace.Fixed(p.Password())})
		if ignores, err := c.IgnoresDates(t.Context(), room); err != nil || ignores != (version == "2.6.3") {
			t.Errorf("%s: %t, %v", version, ignores, err)
		}
		if _, err := c.IgnoresDates(t.Context(), room+1000); !errors.Is(err, docspace.ErrNotFound) {
			t.Errorf("%s, a folder that is not there: %v", version, err)
		}
	}
}

func TestAKeyReplacedInItsFileIsUsedAsSoonAsAccessIsDenied(t *testing.T) {
	t.Parallel()
	p := docspacetest.New(docspacetest.Options{Seed: 7})
	room := p.CreateRoom(nil, "Sales")
	outsider := p.AddUser("Ines Duarte", "ines@example.com")
	for name, weak := range map[string]string{"no scope": p.AddKey(nil, "rooms:read"), "no member": p.AddKey(outsider)} {
		key := weak
		c := ask(t, p, docspace.Credentials{APIKey: func() (string, error) { return key, nil }})
		if _, err := c.Folder(t.Context(), room); !errors.Is(err, docspace.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
		key = p.APIKey()
		if _, err := c.Folder(t.Context(), room); err != nil {
			t.Errorf("%s, then replaced: %v", name, err)
		}
	}
}

func TestAPortalThatDeniesTheAccountItselfIsInTrouble(t *testing.T) {
	t.Parallel()
	p := docspacetest.New(docspacetest.Options{Seed: 7})
	outsider := p.AddUser("Ines Duarte", "ines@example.com")
	for name, test := range map[string]struct {
		key   string
		fault *docspacetest.Outcome
		want  error
	}{
		"well":                   {key: p.APIKey()},
		"well, with a token":     {key: p.AddToken(outsider)},
		"well, with few scopes":  {key: p.AddKey(outsider, "files:read")},
		"not let in":             {key: "sk-0", want: docspace.ErrUnauthorized},
		"everything denied":      {key: p.APIKey(), fault: new(docspacetest.AccessDenied()), want: docspace.ErrPortal},
		"everything fails":       {key: p.APIKey(), fault: new(docspacetest.ServerError()), want: docspace.ErrPortal},
		"everything being moved": {key: p.APIKey(), fault: new(docspacetest.Restoring()), want: docspace.ErrPortal},
	} {
		if test.fault != nil {
			defer p.Fail(docspacetest.Fault{Do: *test.fault})()
		}
		err := ask(t, p, docspace.Credentials{APIKey: docspace.Fixed(test.key)}).Recognise(t.Context())
		if !errors.Is(err, test.want) || errors.Is(err, docspace.ErrForbidden) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestThePageEndsWithTheSecondItIsAskedUpTo(t *testing.T) {
	t.Parallel()
	last := time.Date(2026, 3, 2, 12, 0, 9, 0, time.UTC)
	for _, version := range docspacetest.Versions() {
		at := last.Add(-9 * time.Second)
		p := docspacetest.New(docspacetest.Options{Seed: 7, Version: version, Now: func() time.Time { return at }})
		room := p.CreateRoom(nil, "Sales") // its first row
		for ; at.Before(last); p.Create(nil, room, "Plan.docx") {
			at = at.Add(time.Second)
		}
		c := ask(t, p, docspace.Credentials{Username: docspace.Fixed(p.Username()), Password: docspace.Fixed(p.Password())})
		for to, want := range map[time.Time]int{
			{}:                                10,
			last:                              10,
			last.Add(-3 * time.Second):        7, // the second itself is included
			last.Add(-3*time.Second - 1):      6,
			last.Add(-9 * time.Second):        1,
			last.Add(-10 * time.Second):       0,
			last.In(time.FixedZone("", 3600)): 10,
		} {
			if version == "2.6.3" {
				want = 10 // dates are ignored
			}
			page, err := c.History(t.Context(), room, docspace.Query{Count: docspace.MaxPage, To: to})
			if err != nil || page.Total != want || len(page.Entries) != want {
				t.Errorf("%s, up to %s: %d of %d rows, want %d: %v", version, to, len(page.Entries), page.Total, want, err)
			}
		}
	}
}
