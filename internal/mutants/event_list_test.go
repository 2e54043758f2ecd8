package mutants_test

// eventMutants break what becomes of an event.
var eventMutants = []mutant{
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
		"every event ends once, in what its receipt says", "a pending receipt is forgotten",
		"internal/consumer/settlement.go", "d := decision{attempts: held.Attempts}", "d := decision{}",
		"internal/consumer", "TestDecide",
	},
	{
		"every event ends once, in what its receipt says", "an early redelivery is an attempt",
		"internal/consumer/receipt.go", "early <= earlySlack || ", "true || early <= earlySlack || ",
		"internal/consumer", "TestProcessEarlyRedelivery",
	},
	{
		"every event ends once, in what its receipt says", "what can still succeed is given up with the rest",
		"internal/consumer/settlement.go", "			open = true\n", "			open = false\n",
		"internal/consumer", "TestDecide",
	},
	{
		"every event ends once, in what its receipt says", "the first reason decides, not the worst",
		"internal/consumer/settlement.go", "if d.problem == nil || outcome.Worse(reason, d.reason) {", "if d.problem == nil {",
		"internal/consumer", "TestDecide",
	},
	{
		"every event ends once, in what its receipt says", "a panic is no attempt",
		"internal/consumer/panic.go", "	r.Attempts++\n", "",
		"internal/consumer", "TestProcessPanicIsAnAttempt",
	},
	{
		"a receipt names at most 100 failures", "it names all",
		"internal/prestage/report.go", "if len(r.Failures) < MaxFailures {", "if true {",
		"internal/prestage", "TestReportIsBounded",
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
		"there is a result for each event that ended warm or dead-lettered", "a full stream of results holds events up",
		"internal/consumer/outbox.go", "if errors.Is(err, errFull) || persist.TooLarge(err) {", "if persist.TooLarge(err) {",
		"internal/consumer", "TestOutboxFullResults",
	},
	{
		"a letter holds what redrives it, and its headers do no harm", "the server's headers are copied as they are",
		"internal/consumer/letter.go", `		if hasFold(name, "Nats-") || `, `		if `,
		"integration", "TestOriginalServerHeaders",
	},
	{
		"a letter holds what redrives it, and its headers do no harm", "a payload that does not fit is no letter",
		"internal/consumer/outbox.go", "if persist.TooLarge(err) && m.Data != nil {", "if false {",
		"internal/consumer", "TestOutboxLimitChangedMeanwhile",
	},
	{
		"a full DLQ holds its events up", "for a long time after there is room again",
		"internal/consumer/full.go", "fullPause    = 5 * time.Second", "fullPause    = time.Minute",
		"internal/consumer", "TestOutboxFullLetters",
	},
	{
		"a full DLQ holds its events up", "thousands keep coming back at once",
		"internal/consumer/full.go", "q.last.Add(fullEvery)", "q.last",
		"internal/consumer", "TestFullQueue",
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
		"an event is known as well as its weakest object", "as its best",
		"internal/outcome/verdict.go", "strength[b] < strength[a]", "strength[b] > strength[a]",
		"internal/outcome", "TestWeaker",
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
		"a long fill keeps its message", "heartbeats come at the end of AckWait",
		"internal/consumer/keepalive.go", "third := wait / 3", "third := wait",
		"internal/consumer", "TestKeepAlive",
	},
	{
		"a message has one owner when it is settled", "the heartbeat is not joined",
		"internal/consumer/keepalive.go", "		cancel()\n		<-ended\n", "		cancel()\n",
		"internal/consumer", "TestKeepAliveStopJoins",
	},
}
