package schema

import (
	"regexp"
	"strings"
	"testing"
)

var validToken = regexp.MustCompile(`^[a-z0-9][a-z0-9_]*$`)

func TestKeysAreNamedByTheRule(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code int
		key  string
		want string
	}{
		{5034, "UserFileUpdated", "file.user_updated"},
		{5078, "AddedRoomTags", "room.added_tags"},
		{5088, "RoomExternalLinkCreated", "room.external_link_created"},
		{6047, "FormOpenedForFilling", "form.opened_for_filling"},
		{5154, "AgentCreated", "agent.created"},
		{5299, "RoomSealEnabled", "room.seal_enabled"},
		{1, "FolderOfFilesInRoom", "folder.of_files_in_room"},
		{1, "LoginSuccessViaSSO", "other.login_success_via_sso"},
		{1, "SSOEnabled", "other.sso_enabled"},
		{1, "LoginSuccessViaOAuth", "other.login_success_via_oauth"},
		{1, "AIFileSummary", "file.ai_summary"},
		{1, "Room", "other.room"},
		{1, "fileUploaded", "file.uploaded"},
		{1, "Room.*.>", "other.room"},
		{1, "Room Émile\r\nRenamed", "room.mile_renamed"},
		{7777, "", "other.code_7777"},
		{7777, "…", "other.code_7777"},
		{-7, "", "other.code_minus_7"},
		{-1 << 63, "", "other.code_minus_9223372036854775808"},
	} {
		category, name := Name(test.code, test.key)
		if got := category + "." + name; got != test.want {
			t.Errorf("%d %q: %s, want %s", test.code, test.key, got, test.want)
		}
	}
}

func TestWhatALogCanShowIsNamedByTheRuleInTheCatalogueToo(t *testing.T) {
	t.Parallel()
	tracked := 0
	for action := range Catalogue() {
		if !action.Tracked {
			continue
		}
		tracked++
		category, name := Name(action.Code, action.Key)
		if category != action.Category || name != action.Name {
			t.Errorf("%d %s is %s.%s in the catalogue, %s.%s by the rule", action.Code, action.Key, action.Category, action.Name, category, name)
		}
	}
	if tracked != 73 {
		t.Errorf("%d actions are tracked, want 73", tracked)
	}
}

func TestSubjectsNeedNoEscaping(t *testing.T) {
	t.Parallel()
	e := sample()
	if got, want := e.NATSSubject("docspace"), "docspace.folder.1234.file.moved"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	e.PartitionKey, e.Data.Action.Category, e.Data.Action.Name = "12.>", "", "a b*"
	if got, want := e.NATSSubject("x.y"), "x.y.folder.12.unknown.a_b"; got != want {
		t.Errorf("an event made by somebody else: got %q, want %q", got, want)
	}
}

func FuzzAnyKeyMakesValidTokens(f *testing.F) {
	for action := range Catalogue() {
		f.Add(action.Code, action.Key)
	}
	for _, key := range []string{"", ".", "a.b", "*", ">", "$JS", "Room\x00", "\xff", "Файл", strings.Repeat("AbC", 400), strings.Repeat("_", 99), "ОАuth"} {
		f.Add(0, key)
	}
	f.Fuzz(func(t *testing.T, code int, key string) {
		action, _ := Resolve(code, key)
		e := Origin{Folder: 1}.Event(action, false, Live, sample().Time, sample().Time)
		for _, token := range []string{action.Category, action.Name} {
			if !validToken.MatchString(token) || len(token) > 128 {
				t.Errorf("%d %q makes the token %q", code, key, token)
			}
		}
		if got, want := e.NATSSubject("d"), "d.folder.1."+action.Category+"."+action.Name; got != want {
			t.Errorf("%d %q: subject %q, want %q", code, key, got, want)
		}
		if !regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`).MatchString(action.ECS.Action) {
			t.Errorf("%d %q makes the ECS action %q", code, key, action.ECS.Action)
		}
	})
}
