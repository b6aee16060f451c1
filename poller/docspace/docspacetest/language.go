package docspacetest

// Phrases are the texts a portal has in several languages.
type phrases struct {
	notFound string // error of a folder that is not there
	denied   string // error of one that may not be read
	external string // appended to the name an editor without an account typed
	unnamed  string // what such an editor is called who typed none
	removed  string // in place of the name of a removed profile
}

var languages = map[string]phrases{
	"en": {"The required folder was not found", "Access denied", "External user", "Anonymous", "profile removed"},
	"de": {"Der erforderliche Ordner wurde nicht gefunden", "Zugriff verweigert", "Externer Benutzer", "Anonym", "Profil entfernt"},
	"fr": {"Le dossier requis n'a pas été trouvé", "Accès refusé", "Utilisateur externe", "Anonyme", "profil supprimé"},
	"ja": {"必要なフォルダーが見つかりませんでした", "アクセスが拒否されました", "外部ユーザー", "匿名", "削除されたプロファイル"},
}

// phrasesOf are those of a language, English for one that is not known.
func phrasesOf(language string) phrases {
	if known, ok := languages[language]; ok {
		return known
	}
	return languages["en"]
}

// errors are the texts of errors: earlier versions have them in English only.
func (p *Portal) errors(v profile) phrases {
	if v.has(errorsTranslated) {
		return p.phrases
	}
	return languages["en"]
}
