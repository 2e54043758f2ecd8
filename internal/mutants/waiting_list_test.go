package mutants_test

// waitingMutants break what an outage and a shutdown may cost.
var waitingMutants = []mutant{
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
		"internal/prestage/ask.go", "	_, headErr := e.plain(ctx, begin, run, ref)\n", "	var headErr error\n",
		"internal/prestage", "TestOneObject",
	},
	{
		"only an event's own failures are attempts", "an outage that plain HEADs see is the object's",
		"internal/prestage/ask.go", "otherErr != nil && !errors.Is(otherErr, outcome.Failed) {", "otherErr != nil && false {",
		"internal/prestage", "TestFailsAlone",
	},
	{
		"only an event's own failures are attempts", "many that fail at once are each at fault",
		"internal/prestage/witness.go", `	return other, other.Key != "" && len(a.failing) < ownKeys`, `	return other, other.Key != ""`,
		"internal/prestage", "TestFailingIsForgotten",
	},
	{
		"only an event's own failures are attempts", "many of one event that fail are each at fault",
		"internal/prestage/report.go", "		if alike >= ownKeys {", "		if false {",
		"internal/prestage", "TestFailsAlone",
	},
	{
		"only an event's own failures are attempts", "a try that had little time says most",
		"internal/prestage/ask.go", "		if short && errors.As", "		if short = false; short && errors.As",
		"internal/prestage", "TestFillTimeout",
	},
	{
		"attempts end at PRESTAGE_MAX_ATTEMPTS", "an object that fails beside others is waited for",
		"internal/prestage/ask.go", "	other, ok := e.guard.buckets.witness(ref)\n	if !ok {", "	other, _ := e.guard.buckets.witness(ref)\n	if true {",
		"internal/prestage", "TestFailsAlone",
	},
	{
		"a fill takes no longer than PRESTAGE_FILL_TIMEOUT", "each of its tries may",
		"internal/prestage/ask.go", "withTimeout(ctx, left.left)", "withTimeout(ctx, left.whole)",
		"internal/prestage", "TestFillTimeout",
	},
	{
		"a fill takes no longer than PRESTAGE_FILL_TIMEOUT", "an outage meanwhile is part of it",
		"internal/prestage/ask.go", "		short := left.isShort()\n", "		short, began := left.isShort(), time.Now()\n		defer func() { left.burn(time.Since(began)) }()\n",
		"internal/prestage", "TestWaitingIsNoFill",
	},
	{
		"only an event's own failures are attempts", "429 is taken for a refusal",
		"internal/prestage/classify.go", "	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:\n", "	case status == http.StatusServiceUnavailable:\n",
		"integration", "TestThrottledIsNotRefused",
	},
	{
		"one bucket does not slow another", "throttling of one bucket counts for all",
		"internal/prestage/shortage.go", "	if b.short.refused < shortageLeast {", "	if true {",
		"internal/prestage", "TestShortageEnds",
	},
	{
		"a fill is verified only where reads tell hits from misses", "what nothing is known of is verified",
		"internal/confirm/reads.go", "	if !t.ok || len(pairs) == 0 {\n		return unclear\n", "	if !t.ok || len(pairs) == 0 {\n		return present\n",
		"internal/confirm", "TestRounds",
	},
	{
		"only an event's own failures are attempts", "an endpoint that cannot be reached is given up",
		"internal/consumer/settlement.go", "		return \"\", false, minCapacityWait\n	default", "		return pr.Reason, true, 0\n	default",
		"internal/consumer", "TestDecide",
	},
	{
		"attempts end at PRESTAGE_MAX_ATTEMPTS", "they never end",
		"internal/consumer/settlement.go", "if d.attempts >= p.MaxAttempts {", "if false {",
		"internal/consumer", "TestDecide",
	},
	{
		"attempts are spaced 1 s, 5 s, 25 s, 2 min, 10 min", "the last wait is the first",
		"internal/consumer/settlement.go", "schedule[min(max(n, 1), len(schedule))-1]", "schedule[0]",
		"internal/consumer", "TestScheduleSpansHalfAnHour",
	},
	{
		"PRESTAGE_GIVE_UP_AFTER counts from the first refusal", "it counts from the last",
		"internal/consumer/settlement.go", "d.refusedSince = firstOf(held.FirstRefusal, now)", "d.refusedSince = now",
		"internal/consumer", "TestDecide",
	},
	{
		"429 and 503 are waited for", "they are refusals",
		"internal/prestage/classify.go", "		e.Class, e.Reason = outcome.Throttled, outcome.FillFailed\n		e.RetryAfter", "		e.Class, e.Reason = outcome.Refused, outcome.FillFailed\n		e.RetryAfter",
		"internal/prestage", "TestClassifyStatus",
	},
	{
		"Retry-After is obeyed", "it is ignored",
		"internal/prestage/retry.go", "	if d = max(d, s.asked); ", "	if ",
		"internal/prestage", "TestRetry",
	},
	{
		"while the endpoint is down it waits", "requests do not wait for the endpoint",
		"internal/prestage/guard.go", "	if err := g.endpoint.Wait(start); err != nil {", "	if err := error(nil); err != nil {",
		"internal/prestage", "TestGate",
	},
	{
		"while the endpoint is down it waits", "/readyz says that all is well",
		"internal/app/app.go", "		return s.endpoint.Ready()", "		return nil",
		"internal/app", "TestReadySaysWhyNot",
	},
	{
		"a bucket that refuses holds up no other", "one refused key is enough",
		"internal/prestage/bucket.go", "refusedKeys    = 5 ", "refusedKeys    = 1 ",
		"internal/prestage", "TestBreakerOpens",
	},
	{
		"while the tracking server is down, events wait", "a 503 ends the event",
		"internal/resolve/refusal.go", "e := fault(outcome.Transient, status, hintDown, what)", "e := fault(outcome.Permanent, status, hintDown, what)",
		"integration", "TestRegistryIsDown",
	},
	{
		"while NATS is down it waits", "its connection ends after a minute",
		"internal/app/nats.go", "nats.MaxReconnects(-1),", "nats.MaxReconnects(60),",
		"internal/app", "TestReconnectsForEver",
	},
	{
		"while NATS is down it waits", "all replicas come back at once",
		"internal/app/nats.go", "		nats.ReconnectJitter(500*time.Millisecond, 500*time.Millisecond),\n", "		nats.ReconnectJitter(0, 0),\n",
		"internal/app", "TestReconnectsForEver",
	},
	{
		"while NATS is down it waits", "writes are given up after a minute",
		"internal/persist/persist.go", "backoff.WithMaxElapsedTime(0), // never", "backoff.WithMaxElapsedTime(time.Minute), // never",
		"internal/persist", "TestDoSendsNothingWithoutConnection",
	},
	{
		"while NATS is down it waits", "tries are stored in the client",
		"internal/persist/persist.go", "	if !r.conn.IsConnected() {", "	if false {",
		"internal/persist", "TestDoSendsNothingWithoutConnection",
	},
	{
		"while NATS is down it waits", "a stream that cannot be asked for is gone",
		"internal/app/stores.go", `			return nil, wrap("stream "+name, err)`, `			gone = append(gone, "stream "+name)`,
		"internal/app", "TestStoresCannotBeAsked",
	},
	{
		"while NATS is down it waits", "a bucket that cannot be asked for is gone",
		"internal/app/stores.go", `			return nil, wrap("bucket "+bucket.Bucket(), err)`, `			gone = append(gone, "bucket "+bucket.Bucket())`,
		"internal/app", "TestStoresCannotBeAsked",
	},
	{
		"while NATS is down it waits", "a deleted store is not noticed",
		"internal/app/app.go", "		return s.missing\n", "		return nil\n",
		"internal/app", "TestStoreDeleted",
	},
	{
		"a consumer that delivers nothing is noticed", "it is not",
		"internal/consumer/pull.go", "	if s.empty < stalledAfter {", "	if true {",
		"internal/consumer", "TestLaneStalled",
	},
	{
		"a passing limit of the account is waited out", "the program ends",
		"internal/app/refusal.go", "	codeAccountResources, codeNoPeers, codeConsumersLimit, codeStreamsLimit,", "	codeNoPeers,",
		"internal/app", "TestHopeless",
	},
	{
		"SIGTERM starts no new fill", "only the end of the drain time stops fills",
		"internal/consumer/desk.go", "l.cfg.Warmer.Warm(ctx, start, ", "l.cfg.Warmer.Warm(ctx, ctx, ",
		"integration", "TestTerminatedWhileFilling",
	},
	{
		"what is not done at shutdown is given back", "it is acked",
		"internal/consumer/settle.go", "		body = \"-NAK\"\n", "		body = \"+ACK\"\n",
		"internal/consumer", "TestSettleReleaseComesAtOnce",
	},
}
