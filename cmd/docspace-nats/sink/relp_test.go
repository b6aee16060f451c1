package sink

import (
	"math/rand/v2"
	"net"
	"strings"
	"testing"
)

func TestAnswersThatAreNoRELPAreErrors(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"HTTP/1.1 400 Bad Request\r\n\r\n", "1 rsp 6 500 No\n", "2 rsp 6 200 OK\n", "1 rsp 999999999 200 OK\n", "1 rsp -1 \n", strings.Repeat("1", 100), "0 serverclose 0\n", ""} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := listener.Accept()
			if err == nil {
				_, _ = conn.Read(make([]byte, 1000))
				_, _ = conn.Write([]byte(answer))
				_ = conn.Close()
			}
		}()
		if _, err := openRELP(t.Context(), dialer{address: listener.Addr().String()}); err == nil {
			t.Errorf("%q was taken for an answer", answer)
		}
		_ = listener.Close()
	}
}

func TestTransactionNumbersBeginAnew(t *testing.T) {
	t.Parallel()
	if got := nextRELP(relpLast); got != 1 {
		t.Errorf("got %d", got)
	}
	n := 1 + rand.IntN(relpLast-1)
	if got := nextRELP(n); got != n+1 {
		t.Errorf("got %d after %d", got, n)
	}
}
