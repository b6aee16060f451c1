package docspacetest

import (
	"path"
	"strings"
)

// abilities are the kinds of file the server tells apart, by extension.
var abilities = func() map[string]ability {
	m := make(map[string]ability)
	for names, can := range map[string]string{
		".docx .docm .dotx":               "WebView WebEdit WebReview WebComment CoAuhtoring",
		".xlsx .xlsm .xltx":               "WebView WebEdit WebCustomFilterEditing WebComment CoAuhtoring",
		".pptx .ppsx .potx":               "WebView WebEdit WebComment CoAuhtoring",
		".pdf":                            "WebView WebEdit WebRestrictedEditing WebComment CoAuhtoring",
		".txt .csv .html":                 "WebView WebEdit CoAuhtoring",
		".doc .odt .rtf .xls .ods .ppt":   "WebView MustConvert",
		".png .jpg .jpeg .gif .svg .webp": "ImageView",
		".mp3 .mp4 .mov .webm .ogg .wav":  "MediaView",
	} {
		for _, ext := range strings.Fields(names) {
			m[ext] = renderAbilities(can)
		}
	}
	return m
}()

var noAbilities = renderAbilities("")

// An ability is what can be done with a kind of file, rendered.
type ability struct {
	plain       string
	coAuthoring string // as earlier versions have it
}

func renderAbilities(can string) (a ability) {
	for _, co := range []bool{false, true} {
		w := writer{b: []byte{'{'}}
		for _, name := range [...]string{
			"ImageView", "MediaView", "WebView", "WebEdit", "WebReview", "WebCustomFilterEditing",
			"WebRestrictedEditing", "WebComment", "CoAuhtoring", "CanConvert", "MustConvert",
		} {
			if co || name != "CoAuhtoring" {
				w.flag(name, strings.Contains(" "+can+" ", " "+name+" "))
			}
		}
		w.endObject()
		a.plain, a.coAuthoring = a.coAuthoring, string(w.b)
	}
	return a
}

func accessibility(title string, v profile) string {
	a, known := abilities[strings.ToLower(path.Ext(title))]
	if !known {
		a = noAbilities
	}
	if v.has(coAuthoring) {
		return a.coAuthoring
	}
	return a.plain
}
