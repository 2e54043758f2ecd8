package mutants_test

// mutants are ordered as the contract makes its promises.
var mutants = []mutant{
	{
		"every event ends once, in what its receipt says", "the receipt is not read first",
		"internal/consumer/process.go", "	if held.Final() {", "	if false && held.Final() {",
		"integration", "TestKilledAtEachStep",
	},
	{
		"every event ends once, in what its receipt says", "the receipt is written without compare-and-set",
		"internal/consumer/receipts.go", "_, err = s.kv.Update(ctx, key, value, rev)", "_, err = s.kv.Put(ctx, key, value)",
		"internal/consumer", "TestReceiptsLoserOfAPending",
	},
	{
		"every event ends once, in what its receipt says", "who lost the race keeps its own outcome",
		"internal/consumer/receipts.go", "stands, won = now.Receipt, err == nil && bytes.Equal(same, value)", "stands, won = r, err == nil && bytes.Equal(same, value)",
		"internal/consumer", "TestProcessLoserFollows",
	},
	{
		"a receipt belongs to the message with its stream timestamp", "the timestamp is not compared",
		"internal/consumer/receipts.go", "	if r.StreamTime.Equal(want.StreamTime) {", "	if true {",
		"integration", "TestStreamMadeAnew",
	},
	{
		"a dead letter is stored before the message is terminated", "the letter is not stored",
		"internal/consumer/process.go", "if err := l.outbox.sendLetter(ctx, d, r); err != nil {", "if err := error(nil); err != nil {",
		"integration", "TestDeadLetters",
	},
	{
		"letters and results are written once", "no last sequence is expected",
		"internal/consumer/outbox.go", "jetstream.WithExpectLastSequencePerSubject(expected), ", "jetstream.WithMsgID(fmt.Sprint(expected, time.Now())), ",
		"internal/consumer", "TestOutboxWritesOnce",
	},
	{
		"there is a result for each event that ended warm or dead-lettered", "the result is not stored",
		"internal/consumer/process.go", "if err := l.outbox.sendResult(ctx, d, r); err != nil {", "if err := error(nil); err != nil {",
		"integration", "TestOneEventOneFill",
	},
	{
		"a letter holds what redrives it, and its headers do no harm", "the server's headers are copied as they are",
		"internal/consumer/letter.go", `		if hasFold(name, "Nats-") || `, `		if `,
		"integration", "TestOriginalServerHeaders",
	},
	{
		"a full DLQ holds its events up", "a letter that finds no room is forgotten",
		"internal/consumer/outbox.go", "			return persist.Final(fmt.Errorf(\"%w: %w\", errFull, err))", "			return nil",
		"internal/consumer", "TestOutboxFullLetters",
	},
	{
		"acked only after every object is filled", "the ack is sent first",
		"internal/consumer/lane.go", "	s := l.process(ctx, start, d)\n", "	settle(ctx, l.cfg.Conn, d, Settlement{Action: Ack}, l.log)\n	s := l.process(ctx, start, d)\n",
		"integration", "TestNotAckedBeforeTheFillEnds",
	},
	{
		"acked only after every object is filled", "failures of objects do not keep an event from being warm",
		"internal/consumer/settlement.go", "	case d.problem != nil:\n		d.final = DeadLettered\n", "",
		"internal/consumer", "TestDecide",
	},
	{
		"an ack is confirmed", "a failed settlement is not tried again",
		"internal/consumer/settle.go", "if errors.Is(err, nats.ErrNoResponders) { // the consumer is gone", "if err != nil || errors.Is(err, nats.ErrNoResponders) {",
		"internal/consumer", "TestSettleTriesAgain",
	},
	{
		"a long fill keeps its message", "no heartbeat is sent",
		"internal/consumer/keepalive.go", "if err := d.msg.InProgress(); err != nil {", "if err := error(nil); err != nil {",
		"integration", "TestFillOfThreeAckWaits",
	},
	{
		"a message has one owner when it is settled", "the heartbeat is not joined",
		"internal/consumer/keepalive.go", "		cancel()\n		<-ended\n", "		cancel()\n",
		"internal/consumer", "TestKeepAliveStopJoins",
	},
	{
		"what is on record is not filled again", "the ledger forgets",
		"internal/dedupe/judge.go", "	case now.Sub(e.At) > ttl && !own:", "	case true:",
		"integration", "TestSameEventFiveTimes",
	},
	{
		"what is on record is not filled again", "a receipt does not wait for the ledger",
		"internal/prestage/fill.go", "	if err := <-stored; err != nil && ctx.Err() != nil {", "	if err := error(nil); err != nil && ctx.Err() != nil {",
		"internal/prestage", "TestWritesAreConfirmed",
	},
	{
		"an overwritten key is filled again", "another ETag counts as the same version",
		"internal/dedupe/judge.go", "	case differ(e.ETag, c.ETag) || differ(e.ID, c.ID):\n		return Fill\n", "	case differ(e.ETag, c.ETag) || differ(e.ID, c.ID):\n		return Warm\n",
		"integration", "TestOverwrittenKeyIsFilledAgain",
	},
	{
		"an overwritten key is filled again", "a fill that was asked for before the event counts for it",
		"internal/dedupe/flight.go", "if r.asked.IsZero() || r.asked.After(c.Seen) {", "if true {",
		"integration", "TestOverwrittenWhileFilling",
	},
	{
		"an older version is skipped", "sequencers are not compared",
		"internal/dedupe/judge.go", "			return Older\n", "			return Fill\n",
		"internal/dedupe", "TestJudge",
	},
	{
		"one request fills: HEAD with Range bytes=0-0", "another range is asked for",
		"internal/prestage/head.go", `const oneByte = "bytes=0-0"`, `const oneByte = "bytes=0-1"`,
		"integration", "TestOneEventOneFill",
	},
	{
		"buckets are addressed by host name", "the bucket is left out of the host",
		"internal/prestage/head.go", `	host := m.ref.Bucket + "." + h.endpoint.Host`, `	host := h.endpoint.Host`,
		"integration", "TestOneEventOneFill",
	},
	{
		"requests go to a bucket of the LOTA endpoint only", "the last check before sending is left out",
		"internal/prestage/transport.go", "	if err := s.check(r); err != nil {", "	if err := error(nil); err != nil {",
		"internal/prestage", "TestNothingGoesElsewhere",
	},
	{
		"a bucket outside PRESTAGE_BUCKETS gets no request", "every bucket is allowed",
		"internal/prestage/planner.go", "	if !w.buckets.Allow(ref.Bucket) {", "	if false {",
		"integration", "TestDeadLetters",
	},
	{
		"only an event's own failures are attempts", "a refusal counts",
		"internal/consumer/settlement.go", "		case outcome.Failed, outcome.Permanent:\n", "		case outcome.Failed, outcome.Permanent, outcome.Refused:\n",
		"internal/consumer", "TestDecide",
	},
	{
		"only an event's own failures are attempts", "throttling counts",
		"internal/consumer/settlement.go", "		case outcome.Failed, outcome.Permanent:\n", "		case outcome.Failed, outcome.Permanent, outcome.Throttled:\n",
		"internal/consumer", "TestDecide",
	},
	{
		"only an event's own failures are attempts", "a failure of the store is the object's",
		"internal/prestage/fill.go", "	_, headErr := e.plain(ctx, begin, run, ref)\n", "	var headErr error\n",
		"internal/prestage", "TestOneObject",
	},
	{
		"only an event's own failures are attempts", "429 is taken for a refusal",
		"internal/prestage/classify.go", "	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:\n", "	case status == http.StatusServiceUnavailable:\n",
		"integration", "TestThrottledIsNotRefused",
	},
	{
		"while the endpoint is down it waits", "requests do not wait for the endpoint",
		"internal/prestage/guard.go", "	if err := g.endpoint.Wait(start); err != nil {", "	if err := error(nil); err != nil {",
		"internal/prestage", "TestGate",
	},
	{
		"SIGTERM starts no new fill", "only the end of the drain time stops fills",
		"internal/consumer/desk.go", "l.cfg.Warmer.Warm(ctx, start, ", "l.cfg.Warmer.Warm(ctx, ctx, ",
		"integration", "TestTerminatedWhileFilling",
	},
	{
		"fewer objects than announced is incomplete", "totals are not compared",
		"internal/prestage/planner.go", "	case found < w.req.TotalObjects:", "	case false:",
		"internal/prestage", "TestPlan",
	},
	{
		"small objects are skipped", "the threshold is not compared",
		"internal/rules/rule.go", "	case size != object.UnknownSize && size <= minBytes:", "	case false:",
		"integration", "TestManyObjects",
	},
	{
		"a checkpoint that is not whole is not filled for its marker", "what is missing does not matter",
		"internal/prestage/claims.go", "	if !found.whole {", "	if false {",
		"internal/prestage", "TestNotices",
	},
	{
		"Retry-After is obeyed", "it is ignored",
		"internal/prestage/retry.go", "	return max(d, s.asked)\n", "	return d\n",
		"internal/prestage", "TestRetry",
	},
	{
		"keys are read as their dialect writes them", "a notification's key is taken as it stands",
		"internal/events/s3.go", "url.QueryUnescape(", "url.PathUnescape(",
		"internal/events", "TestKeysSurviveEveryEncoding",
	},
	{
		"hostile input is refused", "a member may come twice",
		"internal/events/json.go", "	if name, ok := members.duplicate(); ok {", "	if name, ok := members.duplicate(); ok && false {",
		"internal/events", "TestCorpora",
	},
	{
		"no secret is told", "a secret prints itself",
		"internal/app/config.go", `func (Secret) String() string { return "(hidden)" }`, `func (s Secret) String() string { return string(s) }`,
		"internal/app", "TestSecretStaysSecret",
	},
	{
		"a durable that breaks the promises is refused", "its settings are not looked at",
		"internal/app/provision.go", "	if err := KeepsPromises(have); err != nil {", "	if err := error(nil); err != nil {",
		"internal/app", "TestProvisionRefusesBrokenPromises",
	},
	{
		"only LOTA is asked to fill", "cwobject.com is taken",
		"internal/app/validate.go", `	if host == "cwobject.com" || `, `	if `,
		"internal/app", "TestLOTAEndpoint",
	},
	{
		"only the configured tracking server is asked", "a redirect is followed",
		"internal/resolve/tracking.go", "			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },\n", "",
		"internal/resolve", "TestOnlyTheHost",
	},
	{
		"while the tracking server is down, events wait", "a 503 ends the event",
		"internal/resolve/refusal.go", "e := fault(outcome.Transient, status, hintDown, what)", "e := fault(outcome.Permanent, status, hintDown, what)",
		"integration", "TestRegistryIsDown",
	},
}
