package main

import (
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
)

// newLogger returns the program's log: one line for each thing an operator
// acts on, as JSON or, on a terminal, readable.
func newLogger(cfg config.Log, w io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(cfg.Level)
	if err != nil {
		level = zerolog.InfoLevel
	}
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: !isTerminal(w)}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// natsLog passes on what the embedded server has to say: its warnings as they
// are, its news only when debugging.
func natsLog(log zerolog.Logger) func(publisher.LocalLevel, string) {
	return func(level publisher.LocalLevel, text string) {
		line := log.Debug()
		switch level {
		case publisher.LocalWarn:
			line = log.Warn()
		case publisher.LocalError:
			line = log.Error()
		}
		line.Msg("embedded NATS: " + text)
	}
}
