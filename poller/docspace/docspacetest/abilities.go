package docspacetest

import (
	"path"
	"strings"
)

// abilities are the kinds of file the server tells apart, by extension.
var abilities = func() map[string]string {
	m := make(map[string]string)
	for names, can := range map[string]string{
		".docx .docm .dotx":               "WebView WebEdit WebReview WebComment",
		".xlsx .xlsm .xltx":               "WebView WebEdit WebCustomFilterEditing WebComment",
		".pptx .ppsx .potx":               "WebView WebEdit WebComment",
		".pdf":                            "WebView WebEdit WebRestrictedEditing WebComment",
		".txt .csv .html":                 "WebView WebEdit",
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

func renderAbilities(can string) string {
	w := writer{b: []byte{'{'}}
	for _, name := range [...]string{
		"ImageView", "MediaView", "WebView", "WebEdit", "WebReview", "WebCustomFilterEditing",
		"WebRestrictedEditing", "WebComment", "CanConvert", "MustConvert",
	} {
		w.flag(name, strings.Contains(" "+can+" ", " "+name+" "))
	}
	w.endObject()
	return string(w.b)
}

func accessibility(title string) string {
	if a, known := abilities[strings.ToLower(path.Ext(title))]; known {
		return a
	}
	return noAbilities
}
