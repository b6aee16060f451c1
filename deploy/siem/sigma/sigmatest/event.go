package sigmatest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// An Event is a JSON object that happened at a time.
type Event struct {
	At     time.Time
	Fields map[string]any
}

// ParseEvent reads an event from JSON. Its field time, in RFC 3339, is when it
// happened.
func ParseEvent(text []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(text, &e.Fields); err != nil {
		return e, fmt.Errorf("event: %w", err)
	}
	told, _ := e.Fields["time"].(string)
	at, err := time.Parse(time.RFC3339, told)
	if err != nil {
		return e, fmt.Errorf("time of an event: %w", err)
	}
	e.At = at
	return e, nil
}

// field finds a value by its path, the names parted by dots. A null is there,
// and is nil.
func (e Event) field(path string) (value any, there bool) {
	value = e.Fields
	for name := range strings.SplitSeq(path, ".") {
		object, isObject := value.(map[string]any)
		if !isObject {
			return nil, false
		}
		if value, there = object[name]; !there {
			return nil, false
		}
	}
	return value, true
}

// texts returns the values of a field as Sigma compares them: as strings, and
// each element of an array by itself. A null, an object and what is not there
// have none.
func (e Event) texts(path string) []string {
	value, _ := e.field(path)
	return appendTexts(nil, value)
}

func appendTexts(dst []string, value any) []string {
	switch value := value.(type) {
	case string:
		return append(dst, value)
	case float64:
		return append(dst, strconv.FormatFloat(value, 'f', -1, 64))
	case bool:
		return append(dst, strconv.FormatBool(value))
	case []any:
		for _, element := range value {
			dst = appendTexts(dst, element)
		}
	}
	return dst
}
