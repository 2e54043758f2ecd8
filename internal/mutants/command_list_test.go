package mutants_test

// commandMutants break the set-up, the commands and the gateway.
var commandMutants = []mutant{
	{
		"letters can be worked with", "one without its payload does not say whose it is",
		"internal/dlq/letter.go", "ev.ID, ev.Source = l.raw.Get(HeaderID), l.raw.Get(HeaderSource)", `ev.ID = ""`,
		"cmd/consumer", "TestDLQOmitted",
	},
	{
		"a missing object ends as not_found", "whether a slash is missing is asked at each attempt",
		"internal/consumer/process.go", "held.Attempts+1 >= l.cfg.Policy.MaxAttempts", "true",
		"internal/consumer", "TestProcessAttempts",
	},
	{
		"no secret is told", "a secret prints itself",
		"internal/app/config.go", `func (Secret) String() string { return "(hidden)" }`, `func (s Secret) String() string { return string(s) }`,
		"internal/app", "TestSecretStaysSecret",
	},
	{
		"no secret is told", "a credential helper may say anything",
		"internal/prestage/classify.go", `	return "get credentials: the provider failed"`, `	return "get credentials: " + e.err.Error()`,
		"internal/prestage", "TestClassifyBroken",
	},
	{
		"a durable that breaks the promises is refused", "its settings are not looked at",
		"internal/app/provision.go", "	if err := KeepsPromises(have); err != nil {", "	if err := error(nil); err != nil {",
		"internal/app", "TestProvisionRefusesBrokenPromises",
	},
	{
		"what exists is not changed", "a durable of others follows the configuration",
		"internal/app/provision.go", "	if !p.cfg.Follows(have) {", "	if false {",
		"internal/app", "TestProvisionConsumerUpdates",
	},
	{
		"nothing is created with PRESTAGE_PROVISION=false", "streams are",
		"internal/app/provision.go", "	if !p.cfg.Provision {\n		return nil, fmt.Errorf(\"%w: stream %s", "	if false {\n		return nil, fmt.Errorf(\"%w: stream %s",
		"internal/app", "TestProvisionOff",
	},
	{
		"nothing on the admin listener changes state", "it answers any method",
		"internal/app/http.go", `mux.HandleFunc("GET "+path, answer)`, `mux.HandleFunc(path, answer)`,
		"internal/app", "TestAdminChangesNothing",
	},
	{
		"what others wrote does nothing on the status page", "scripts of others may run",
		"internal/app/page.go", `"default-src 'none'; style-src`, `"default-src *; style-src`,
		"internal/app", "TestPage",
	},
	{
		"publish succeeds only when the stream has the event", "when it was sent",
		"internal/publish/publish.go", "	case err != nil:\n		return nil, fmt.Errorf(\"publish to", "	case err != nil:\n		return &jetstream.PubAck{Stream: stream}, nil\n	case false:\n		return nil, fmt.Errorf(\"publish to",
		"internal/publish", "TestSendWithoutServer",
	},
	{
		"publish succeeds only when the stream has the event", "a stream that nobody consumes is as good",
		"internal/publish/publish.go", "	case ack.Stream != stream:", "	case false:",
		"internal/publish", "TestSendRefused",
	},
	{
		"wait exits 3 after its time", "it exits 1",
		"cmd/consumer/wait.go", "r.code, r.Outcome, r.Error = exitTimeout, ", "r.code, r.Outcome, r.Error = exitFailed, ",
		"cmd/consumer", "TestWait",
	},
	{
		"wait is told of what is there, and of what comes", "what is there already is not seen",
		"internal/persist/watch.go", "jetstream.IgnoreDeletes()", "jetstream.IgnoreDeletes(), jetstream.UpdatesOnly()",
		"cmd/consumer", "TestWait",
	},
	{
		"a redriven event is a new message of the old source and id", "it has the old message id",
		"internal/dlq/redrive.go", "m.Header.Set(nats.MsgIdHdr, base+msgIDInfix+strconv.Itoa(n))", "m.Header.Set(nats.MsgIdHdr, base)",
		"internal/dlq", "TestRedrive",
	},
	{
		"a redriven event is a new message of the old source and id", "it keeps the server's headers",
		"internal/dlq/header.go", `		if !hasFold(name, "Nats-") && !hasFold`, "		if !hasFold",
		"internal/dlq", "TestRedrive",
	},
	{
		"plan exits 1 when the store did not answer", "it exits 0",
		"cmd/consumer/plan.go", "		if outcome.As(problem).Reason != outcome.Incomplete {", "		if false {",
		"cmd/consumer", "TestPlan",
	},
	{
		"a redrive sends events, and what only looks like one stays", "a letter may name a subject of the server's own",
		"internal/dlq/redrive.go", `	return !strings.HasPrefix(s, "$") && `, "	return ",
		"internal/dlq", "TestRedriveRefused",
	},
	{
		"a redrive may be repeated", "a marked letter is redriven again",
		"internal/dlq/redrive.go", "if l.Mark.Count > 0 && !again {", "if false {",
		"internal/dlq", "TestRedrive",
	},
	{
		"a replay leaves the live lanes alone", "it takes the durable of a lane",
		"internal/replay/durable.go", `"-replay-" + r.Lane.Name }`, `"-checkpoint" }`,
		"integration", "TestReplayBesideLiveTraffic",
	},
	{
		"a replay leaves the live lanes alone", "its receipts are those of the live lanes",
		"internal/consumer/process.go", "named(ReceiptKey(l.cfg.Cluster, ev.ID, ev.Source, d.Stream, d.Seq), l.cfg.Name)", "ReceiptKey(l.cfg.Cluster, ev.ID, ev.Source, d.Stream, d.Seq)",
		"internal/consumer", "TestDryRun",
	},
	{
		"a dry run writes names of its own", "its durables are those of the lanes",
		"internal/app/provision.go", "	if c.DryRun {\n		name +=", "	if false {\n		name +=",
		"integration", "TestDryRun",
	},
	{
		"the gateway answers 202 after the stream has the event", "before",
		"internal/gateway/take.go", "			if err != nil {\n				return err\n			}\n			sent[i] = l.sent(ack)", "			if err != nil {\n				ack = &jetstream.PubAck{}\n			}\n			sent[i] = l.sent(ack)",
		"internal/gateway", "TestOutage",
	},
	{
		"a route of the gateway without a secret is closed", "it is open",
		"internal/gateway/take.go", "		if g.cfg.Insecure && !r.keys.Given() {", "		if true {",
		"internal/gateway", "TestClosedRoutes",
	},
	{
		"a hook's signature is checked", "it may be of any age",
		"internal/gateway/guard.go", "seconds < now-most || seconds > now+most", "seconds < now-most && seconds > now+most",
		"internal/gateway", "TestMLflowSignature",
	},
	{
		"a hook's signature is checked", "it may be of another body",
		"internal/gateway/guard.go", "base64HMAC(secret, p.body) })", "base64HMAC(secret) })",
		"internal/gateway", "TestWandBSignature",
	},
	{
		"only the configured tracking server is asked", "a redirect is followed",
		"internal/resolve/tracking.go", "			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },\n", "",
		"internal/resolve", "TestOnlyTheHost",
	},
	{
		"reconcile publishes an event once", "each pass has ids of its own",
		"internal/reconcile/event.go", `return "reconcile-" + consumer.Hash(string(parts))`, `return "reconcile-" + consumer.Hash(string(parts)+time.Now().String())`,
		"internal/reconcile", "TestTwoPasses",
	},
	{
		"models go first", "no permit is kept for them",
		"internal/prestage/priority.go", "	if !l.shared {", "	if true {",
		"internal/prestage", "TestModelBehindCheckpoints",
	},
	{
		"models go first", "a model does not raise a fill that waits",
		"internal/dedupe/flight.go", "	if c.Priority < r.priority {", "	if false {",
		"internal/prestage", "TestUrgentCallerRaisesAFlight",
	},
	{
		"no hour has more bytes than its budget", "minutes are forgotten too early",
		"internal/budget/account.go", "	counts = time.Hour + time.Minute", "	counts = time.Hour",
		"internal/budget", "TestHour",
	},
	{
		"a plan larger than the cache is refused", "its size is not looked at",
		"internal/prestage/capacity.go", "		if bytes > e.cacheBytes {", "		if false {",
		"integration", "TestLargerThanTheCache",
	},
}
