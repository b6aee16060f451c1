package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Table renders every setting as the Markdown table of the README.
func Table() string {
	var b strings.Builder
	b.WriteString("| Variable | Default | Meaning |\n|---|---|---|\n")
	for _, s := range settings(new(Config)) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.name, codeCell(s.field.Tag.Get("default")), textCell(s.field))
	}
	return b.String()
}

// Help renders every setting for a terminal.
func Help() string {
	var b strings.Builder
	for _, s := range settings(new(Config)) {
		b.WriteString("  " + s.name)
		if value := s.field.Tag.Get("default"); value != "" {
			b.WriteString(" (default " + value + ")")
		}
		b.WriteString(wrapped(s.field.Tag.Get("desc")) + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// wrapped breaks text into indented lines of at most 80 columns.
func wrapped(text string) string {
	const width, indent = 80, "\n      "
	var b strings.Builder
	column := width
	for word := range strings.FieldsSeq(text) {
		if column+1+len(word) > width {
			b.WriteString(indent + word)
			column = len(indent) - 1 + len(word)
			continue
		}
		b.WriteString(" " + word)
		column += 1 + len(word)
	}
	return b.String()
}

func codeCell(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// textCell escapes what Markdown would take for markup.
func textCell(field reflect.StructField) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;").Replace(field.Tag.Get("desc"))
}
