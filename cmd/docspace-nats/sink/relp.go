package sink

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of RELP, the Reliable Event Logging Protocol.
const (
	relpLast     = 999_999_999 // transaction number after which 1 follows
	relpResponse = 64 << 10    // longest answer that is read
	relpCommands = "relp_version=0\nrelp_software=docspace-nats\ncommands=syslog"
)

// A relpSink sends lines over RELP, which answers each message once the
// receiver has taken it. What "taken" means is the receiver's: rsyslog answers
// when the message is in its queue, so that queue must be one that survives it:
// queue.type="Direct", or one on disk.
type relpSink struct {
	dialer dialer
	conn   *relpConn // nil while there is none
}

func (s *relpSink) Write(ctx context.Context, lines [][]byte) (int, error) {
	if s.conn == nil {
		var err error
		if s.conn, err = openRELP(ctx, s.dialer); err != nil {
			return 0, err
		}
	}
	if err := s.conn.send(lines); err != nil {
		s.Reopen()
		return 0, err
	}
	return len(lines), nil
}

func (s *relpSink) Confirm(ctx context.Context) error {
	if s.conn == nil {
		return nil
	}
	if err := s.conn.wait(ctx); err != nil {
		s.Reopen()
		return err
	}
	return nil
}

func (s *relpSink) Keeps() bool { return false }

func (s *relpSink) Lag() time.Duration { return 0 }

func (s *relpSink) Reopen() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

func (s *relpSink) Close() error {
	if s.conn != nil {
		_ = s.conn.command("close", nil) // a courtesy: everything is confirmed
		s.Reopen()
	}
	return nil
}

// A relpConn is a session.
type relpConn struct {
	net.Conn
	number int // of the last transaction
	sent   int // messages

	mu       sync.Mutex
	answered int           // messages the receiver has taken
	expected int           // number of the next answer
	err      error         // why no more answers come
	news     chan struct{} // something of the above has changed
}

// openRELP connects and offers what we speak.
func openRELP(ctx context.Context, d dialer) (*relpConn, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &relpConn{Conn: conn, news: make(chan struct{}, 1)}
	reader := bufio.NewReader(conn)
	if err := c.offer(reader); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open a RELP session: %w", err)
	}
	c.expected = nextRELP(c.number)
	go c.listen(reader)
	return c, nil
}

func (c *relpConn) offer(reader *bufio.Reader) error {
	if err := c.command("open", []byte(relpCommands)); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(netPatience)); err != nil {
		return err
	}
	if _, err := readRELP(reader, c.number); err != nil {
		return err
	}
	return c.SetReadDeadline(time.Time{})
}

// command sends one frame.
func (c *relpConn) command(name string, data []byte) error {
	c.number = nextRELP(c.number)
	return sendAll(c.Conn, appendRELP(nil, c.number, name, data))
}

// send sends messages without waiting for the answers.
func (c *relpConn) send(lines [][]byte) error {
	if err := c.failed(); err != nil {
		return err
	}
	var all []byte
	for _, line := range lines {
		c.number = nextRELP(c.number)
		all = appendRELP(all, c.number, "syslog", line)
	}
	c.sent += len(lines)
	return sendAll(c.Conn, all)
}

// wait waits for the answer to every message, as long as some come.
func (c *relpConn) wait(ctx context.Context) error {
	timer := time.NewTimer(netPatience)
	defer timer.Stop()
	for {
		c.mu.Lock()
		answered, err := c.answered, c.err
		c.mu.Unlock()
		if answered == c.sent || err != nil {
			return err
		}
		select {
		case <-c.news:
			timer.Reset(netPatience)
		case <-timer.C:
			return fmt.Errorf("the receiver does not answer: %d messages wait", c.sent-answered)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *relpConn) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// listen counts answers until the session ends.
func (c *relpConn) listen(reader *bufio.Reader) {
	for {
		_, err := readRELP(reader, c.expected)
		c.mu.Lock()
		if err == nil {
			c.answered++
			c.expected = nextRELP(c.expected)
		} else if c.err = err; errors.Is(err, io.EOF) {
			c.err = errors.New("the receiver closed the session")
		}
		c.mu.Unlock()
		select {
		case c.news <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func nextRELP(number int) int { return number%relpLast + 1 }

// appendRELP appends a frame: number, command, length and data.
func appendRELP(dst []byte, number int, command string, data []byte) []byte {
	dst = append(strconv.AppendInt(dst, int64(number), 10), ' ')
	dst = append(append(dst, command...), ' ')
	dst = strconv.AppendInt(dst, int64(len(data)), 10)
	if len(data) > 0 {
		dst = append(append(dst, ' '), data...)
	}
	return append(dst, '\n')
}

// readRELP reads the answer to one transaction. An answer that is not 200 is an
// error.
func readRELP(reader *bufio.Reader, number int) (string, error) {
	var words [3]string
	for i := range words {
		word, err := relpWord(reader)
		if err != nil {
			return "", err
		}
		words[i] = word
	}
	if words[1] == "serverclose" {
		return "", io.EOF
	}
	length, err := strconv.Atoi(words[2])
	if err != nil || length < 0 || length > relpResponse || words[1] != "rsp" || words[0] != strconv.Itoa(number) {
		return "", fmt.Errorf("the receiver answers %q, not a response to transaction %d; does it speak RELP?", strings.Join(words[:], " "), number)
	}
	// The word before was ended by the space before the data, or by the end.
	data := make([]byte, length)
	if _, err := io.ReadFull(reader, data); err != nil {
		return "", err
	}
	if length > 0 {
		if _, err := reader.Discard(1); err != nil {
			return "", err
		}
	}
	if text := string(data); strings.HasPrefix(text, "200") {
		return text, nil
	}
	return "", fmt.Errorf("the receiver refuses: %q", cutText(string(data), 200))
}

// relpWord reads up to a space or the end of a frame.
func relpWord(reader *bufio.Reader) (string, error) {
	const longest = 32
	var word []byte
	for {
		c, err := reader.ReadByte()
		switch {
		case err != nil:
			return "", err
		case c == ' ' || c == '\n':
			return string(word), nil
		case len(word) == longest:
			return "", fmt.Errorf("the receiver answers %q…; does it speak RELP?", word)
		}
		word = append(word, c)
	}
}

func cutText(s string, n int) string { return s[:min(len(s), n)] }
