package publisher

import "fmt"

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
	to    func(LocalLevel, string)
	fatal chan string // holds the first fatal message
}

func (l *localLog) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	select {
	case l.fatal <- text:
	default:
	}
	l.write(LocalError, "%s", text)
}

func (l *localLog) Errorf(format string, args ...any)  { l.write(LocalError, format, args...) }
func (l *localLog) Warnf(format string, args ...any)   { l.write(LocalWarn, format, args...) }
func (l *localLog) Noticef(format string, args ...any) { l.write(LocalInfo, format, args...) }
func (l *localLog) Debugf(format string, args ...any)  { l.write(LocalDebug, format, args...) }
func (l *localLog) Tracef(format string, args ...any)  { l.write(LocalDebug, format, args...) }

func (l *localLog) write(level LocalLevel, format string, args ...any) {
	if l.to != nil {
		l.to(level, fmt.Sprintf(format, args...))
	}
}
