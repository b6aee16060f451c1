package publisher

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"docspace-nats/checkpoint"
)

// A StoreError is a stream that did not take a commit, or did not answer. All
// of the commit is missing then, or in mode Dedup its mark and some events.
type StoreError struct {
	Stream string
	Code   int    // JetStream error code, 0 when there was no answer
	Reason string // in the server's words
	Hint   string // what an operator can do, if anything
	Later  bool   // the same commit may succeed later

	err error
}

func (e *StoreError) Error() string {
	text := fmt.Sprintf("stream %s: %s", e.Stream, e.Reason)
	if e.Code != 0 {
		text += fmt.Sprintf(" (JetStream error %d)", e.Code)
	}
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

func (e *StoreError) Unwrap() error { return e.err }

// Temporary reports whether the same commit may succeed later, without a
// change to the commit itself.
func (e *StoreError) Temporary() bool { return e.Later }

// A verdict is what an answer means once the mark has been read back and is
// neither ours (then the commit has happened) nor another's (then it is a
// conflict). No answer is taken as proof that nothing was stored.
type verdict int

const (
	again verdict = iota // the server could not, this time: try again at once
	later                // the server has no room, or the stream is gone: the caller waits
	never                // a setting or a bug: the same commit will be refused again
)

// An answerClass is one row of the table of answers.
type answerClass struct {
	verdict verdict
	hint    string
}

const (
	makeRoom   = "make room, or raise the limit"
	fixSetting = "the settings of the stream were changed; the check command names them"
	ourBug     = "this is a bug in docspace-nats or in the server"
)

// Codes this package speaks of by name.
const (
	codeNoCluster         = 10008
	codeNoLeader          = 10009
	codeWrongLastSequence = 10071
	codeFenceInFlight     = 10164
	codeIncompleteBatch   = 10176
	codeTooLargeBatch     = 10199
)

// answers is the table of answers to a commit and to reading a mark, by
// JetStream error code. The names are the server's (server/errors.json); a test
// reads its source for answers that are missing here. Codes that are not listed
// all the same count as again when the server calls them its own fault (429 and
// 5xx), and as never otherwise. That a read found no message is no error.
var answers = map[int]answerClass{
	// The fence. After reading the mark it is a conflict, or ours, or a reader
	// that lags behind the leader.
	codeWrongLastSequence: {again, ""}, // JSStreamWrongLastSequenceErrF
	codeFenceInFlight:     {again, ""}, // JSStreamWrongLastSequenceConstantErr: another commit of this mark is on its way through the cluster
	10163:                 {again, ""}, // JSStreamExpectedLastSeqPerSubjectNotReady

	// The batch did not arrive as a whole: a reconnect in its middle, more than
	// 10 s between two messages, a message dropped at the ingest limit, or too
	// many batches open when it began, which is said only to a first message
	// that asks: that of a repetition does.
	codeIncompleteBatch: {again, ""}, // JSAtomicPublishIncompleteBatchErr
	10210:               {again, ""}, // JSAtomicPublishTooManyInflight
	10167:               {again, ""}, // JSStreamTooManyRequests: ingest limit of the stream

	// The server is starting, stopping, or electing.
	codeNoCluster: {again, ""},                                                                              // JSClusterNotAvailErr
	codeNoLeader:  {again, ""},                                                                              // JSClusterNotLeaderErr
	10076:         {again, "JetStream is switched off; a server does that by itself when its disk is full"}, // JSNotEnabledErr

	// Room.
	10002: {later, makeRoom},                                                               // JSAccountResourcesExceededErr
	10023: {later, makeRoom},                                                               // JSInsufficientResourcesErr: limit of the server
	10028: {later, makeRoom},                                                               // JSMemoryResourcesExceededErr
	10047: {later, makeRoom},                                                               // JSStorageResourcesExceededErr
	10077: {later, "the stream is full and keeps old messages (discard new): " + makeRoom}, // JSStreamStoreFailedF

	// With message ids: an event of this batch is in the stream already and its
	// id not yet forgotten, as after a mark was set back by hand.
	10201: {later, "an event with the same Nats-Msg-Id was stored a moment ago; it is forgotten after the stream's duplicate_window"}, // JSAtomicPublishContainsDuplicateMessageErr
	10158: {again, ""},                                                                                                                // JSStreamDuplicateMessageConflict

	// The operator took it away, and can bring it back.
	10039: {later, "the account has lost JetStream"},                              // JSNotEnabledForAccountErr
	10059: {later, "the stream was deleted; a restart creates it"},                // JSStreamNotFoundErr
	10118: {later, "a server is too old for the stream's settings"},               // JSStreamOfflineErr
	10194: {later, "a server is too old for the stream's settings"},               // JSStreamOfflineReasonErrF
	10120: {later, "the account has no limits for this many copies"},              // JSNoLimitsErr
	10054: {never, "max_msg_size of the stream is too small"},                     // JSStreamMessageExceedsMaximumErr
	10060: {never, "another stream takes the subjects of the marks"},              // JSStreamNotMatchErr
	10109: {never, "the stream is sealed"},                                        // JSStreamSealedErr
	10111: {never, fixSetting},                                                    // JSStreamRollupFailedF
	10166: {never, fixSetting},                                                    // JSMessageTTLDisabledErr
	10174: {never, fixSetting + ", or another stream takes some of the subjects"}, // JSAtomicPublishDisabledErr
	10168: {never, fixSetting},                                                    // JSMessageIncrDisabledErr
	10169: {never, fixSetting},                                                    // JSMessageIncrMissingErr: the stream became one of counters
	10170: {never, fixSetting},                                                    // JSMessageIncrPayloadErr
	10171: {never, fixSetting},                                                    // JSMessageIncrInvalidErr
	10172: {never, fixSetting},                                                    // JSMessageCounterBrokenErr
	10185: {never, fixSetting},                                                    // JSRequiredApiLevelErr

	10003:             {never, ourBug},                                           // JSBadRequestErr, of a read
	10025:             {never, ourBug},                                           // JSInvalidJSONErr, of a read
	10070:             {never, ourBug},                                           // JSStreamWrongLastMsgIDErrF
	10097:             {never, ourBug},                                           // JSStreamHeaderExceedsMaximumErr
	10165:             {never, ourBug},                                           // JSMessageTTLInvalidErr
	10175:             {never, ourBug},                                           // JSAtomicPublishMissingSeqErr
	10177:             {never, ourBug},                                           // JSAtomicPublishUnsupportedHeaderBatchErr
	10179:             {never, ourBug},                                           // JSAtomicPublishInvalidBatchIDErr
	10193:             {never, ourBug},                                           // JSStreamExpectedLastSeqPerSubjectInvalid
	10200:             {never, ourBug},                                           // JSAtomicPublishInvalidBatchCommitErr
	codeTooLargeBatch: {never, "the server's limit max_batch_size is too small"}, // JSAtomicPublishTooLargeBatchErrF; where it tells the limit, commits are split
	10227:             {never, ourBug},                                           // JSMessageSourceHdrNotAllowedErr

	// Of messages that ask to be sent later, which ours never do.
	10188: {never, ourBug}, // JSMessageSchedulesDisabledErr
	10190: {never, ourBug}, // JSMessageSchedulesTargetInvalidErr
	10191: {never, ourBug}, // JSMessageSchedulesTTLInvalidErr
	10192: {never, ourBug}, // JSMessageSchedulesRollupInvalidErr
	10203: {never, ourBug}, // JSMessageSchedulesSourceInvalidErr
	10212: {never, ourBug}, // JSMessageSchedulesSchedulerInvalidErr
}

// An apiError is the error part of every JetStream answer.
type apiError struct {
	Status      int    `json:"code"` // like HTTP
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

// fit is how many events a server takes at once that says that it does not take
// so many; 0 when it says something else.
func (e apiError) fit() int {
	if e.Code != codeTooLargeBatch {
		return 0
	}
	limit, _ := strconv.Atoi(e.Description[strings.LastIndexByte(e.Description, ' ')+1:])
	return max(0, min(limit-1, MaxEvents)) // one is the mark
}

func (j *JetStream) classify(e apiError) (verdict, error) { return classify(j.o.Stream, e) }

// classify turns a JetStream error into ours.
func classify(stream string, e apiError) (verdict, error) {
	class, listed := answers[e.Code]
	if !listed && e.Status < 500 && e.Status != 429 {
		class.verdict = never
	}
	return class.verdict, &StoreError{
		Stream: stream,
		Code:   e.Code,
		Reason: e.Description,
		Hint:   class.hint,
		Later:  class.verdict != never,
	}
}

// verdictOf is the verdict on an error of reading.
func verdictOf(err error) verdict {
	var refused *StoreError
	if errors.Is(err, checkpoint.ErrConflict) || errors.As(err, &refused) && refused.Temporary() {
		return again
	}
	return never
}

func (j *JetStream) unanswered(err error) (verdict, error) { return unanswered(j.nc, j.o.Stream, err) }

// unanswered is an attempt without an answer: what was stored is unknown.
func unanswered(nc *nats.Conn, stream string, err error) (verdict, error) {
	e := &StoreError{Stream: stream, Later: true, err: err}
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		e.Reason, e.Hint, e.Later = "an event is larger than the server takes", "raise max_payload of the server", false
		return never, e
	case errors.Is(err, nats.ErrNoResponders):
		e.Reason = "nothing listens: it was deleted, or has no leader"
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, errDisconnected):
		e.Reason = "not connected to NATS"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		e.Reason = "no answer"
		if last := nc.LastError(); errors.Is(last, nats.ErrPermissionViolation) {
			e.Hint = "the server also said: " + last.Error()
		}
	default:
		e.Reason = err.Error()
	}
	return again, e
}

// An ack is the answer to a commit, or to a message of its own.
type ack struct {
	Stream    string    `json:"stream"`
	Seq       uint64    `json:"seq"` // of the mark, or of the message
	Batch     string    `json:"batch"`
	Count     int       `json:"count"`
	Duplicate bool      `json:"duplicate"`
	Error     *apiError `json:"error"`
}

// parseAck refuses an answer that does not say what a stored batch says, for
// example that of a server that took the messages one by one.
func parseAck(data []byte, id string, count int) (ack, error) {
	var a ack
	if err := json.Unmarshal(data, &a); err != nil {
		return ack{}, fmt.Errorf("answer to the commit: %w", err)
	}
	if a.Error == nil && (a.Batch != id || a.Count != count || a.Seq == 0) {
		return ack{}, fmt.Errorf("answer to the commit: names batch %q with %d messages, not %q with %d", a.Batch, a.Count, id, count)
	}
	return a, nil
}

// parseRefusal reads the answer to the first message of a batch that asked: it
// is empty when the batch may begin.
func parseRefusal(data []byte) (apiError, error) {
	var a ack
	if err := json.Unmarshal(data, &a); err != nil {
		return apiError{}, fmt.Errorf("answer to the beginning of a batch: %w", err)
	}
	if a.Error == nil {
		return apiError{}, fmt.Errorf("answer to the beginning of a batch: names sequence %d and no error", a.Seq)
	}
	return *a.Error, nil
}
