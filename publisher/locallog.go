package publisher

import (
	"fmt"
	"strings"
)

// A LocalLevel says how serious a message of the embedded server is.
type LocalLevel int

// The levels of the embedded server.
const (
	LocalDebug LocalLevel = iota
	LocalInfo
	LocalWarn
	LocalError
)

// localLog is the embedded server's logger. A server of its own would end the
// process on a fatal message; this one fails to start instead.
type localLog struct {
	to     func(LocalLevel, string)
	fatal  chan string // holds the first fatal message
	failed chan string // holds the first message about a write that failed
}

// writeError is in every message by which the server says that a stream takes
// nothing any more until the server is started again.
const writeError = "critical write error"

func (l *localLog) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	select {
	case l.fatal <- text:
	default:
	}
	l.write(LocalError, "%s", text)
}

func (l *localLog) Errorf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if strings.Contains(strings.ToLower(text), writeError) {
		select {
		case l.failed <- text:
		default:
		}
	}
	l.write(LocalError, "%s", text)
}

func (l *localLog) Warnf(format string, args ...any)   { l.write(LocalWarn, format, args...) }
func (l *localLog) Noticef(format string, args ...any) { l.write(LocalInfo, format, args...) }
func (l *localLog) Debugf(format string, args ...any)  { l.write(LocalDebug, format, args...) }
func (l *localLog) Tracef(format string, args ...any)  { l.write(LocalDebug, format, args...) }

func (l *localLog) write(level LocalLevel, format string, args ...any) {
	if l.to != nil {
		l.to(level, fmt.Sprintf(format, args...))
	}
}
