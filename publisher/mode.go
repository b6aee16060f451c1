package publisher

import "fmt"

// A Mode is how events and the mark that accounts for them reach the stream.
type Mode string

// The modes.
const (
	// Auto is Atomic where the server and the stream can do it, otherwise Dedup.
	Auto Mode = "auto"
	// Atomic stores events and mark together or not at all.
	Atomic Mode = "atomic"
	// Dedup stores the events one by one and then the mark, for servers before
	// 2.12 and for streams whose owner does not set allow_atomic.
	Dedup Mode = "dedup"
)

// Modes are the modes that can be asked for.
func Modes() []Mode { return []Mode{Auto, Atomic, Dedup} }

// Promise says what the mode promises, in one line.
func (m Mode) Promise() string {
	if m == Dedup {
		return "events are stored one by one, then their mark (dedup): nothing is lost, and a restart after any outage repeats nothing, " +
			"but where two processes publish one folder, an event that is held up, or whose process is paused, " +
			"for longer than half the duplicate_window of the stream just before it is stored, is stored twice; " +
			"from nats-server 2.11 on only if the other process stopped between this event and its mark"
	}
	return "events and marks are committed together (atomic)"
}

// modeFor is the mode to use where these are the facts. An existing stream is
// never changed, so its setting decides.
func (f facts) modeFor(asked Mode) Mode {
	if asked != Auto {
		return asked
	}
	if f.level < apiLevel || f.stream != nil && !f.stream.AllowAtomicPublish {
		return Dedup
	}
	return Atomic
}

func (m Mode) check() error {
	for _, known := range Modes() {
		if m == known {
			return nil
		}
	}
	return fmt.Errorf("commit mode %q: must be auto, atomic or dedup", m)
}
