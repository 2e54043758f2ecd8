package mutants_test

// setupMutants break what is provisioned, the names under which things are kept,
// and what the configuration promises.
var setupMutants = []mutant{
	{
		"a mistyped subject is refused to its producer", "the stream takes all below events",
		"internal/app/setup.go", "		s.Events.Subjects = append(s.Events.Subjects, l.subjects...)\n", "		s.Events.Subjects = []string{\"events.>\"}\n",
		"internal/app", "TestProvisionRefusesMistypedSubjects",
	},
	{
		"history can be replayed", "a message goes when it is acked",
		"internal/app/setup.go", "Retention: jetstream.LimitsPolicy,", "Retention: jetstream.WorkQueuePolicy,",
		"internal/app", "TestProvision",
	},
	{
		"this program decides when to give up", "the server does",
		"internal/app/setup.go", "			MaxDeliver: -1, MaxAckPending", "			MaxDeliver: 8, MaxAckPending",
		"internal/app", "TestProvision",
	},
	{
		"a full DLQ holds its events up", "it drops its oldest letters",
		"internal/app/setup.go", "Discard: jetstream.DiscardNew,", "Discard: jetstream.DiscardOld,",
		"internal/app", "TestProvision",
	},
	{
		"what is provisioned has three replicas where it can", "it has one",
		"internal/app/provision.go", "		return 3\n", "		return 1\n",
		"internal/app", "TestProvisionInsistsOnReplicas",
	},
	{
		"only LOTA is asked to fill", "any host is taken for it",
		"internal/app/validate.go", "	if host != lotaHost && !c.LOTATrustEndpoint {", "	if false {",
		"internal/app", "TestLOTAEndpoint",
	},
	{
		"a wrong setting stops the program at start", "limits are not looked at",
		"internal/app/validate.go", ", c.checkLimits, ", ", ",
		"internal/app", "TestParseConfigRefuses",
	},
	{
		"a wrong setting stops the program at start", "a cluster's name may be anything",
		"internal/app/validate.go", "	if !token.MatchString(c.Cluster) {", "	if false {",
		"internal/app", "TestParseConfigRefuses",
	},
	{
		"a listener on port 0 tells its address", "under another name",
		"internal/app/http.go", `"listening", slog.String("name", name), `, `"bound", slog.String("name", name), `,
		"internal/app", "TestListeningIsLogged",
	},
	{
		"what a replay writes bears its name", "its letters do not",
		"internal/consumer/outbox.go", "named(dlq.Subject(r.Cluster, d.Stream, d.Seq), o.name)", "dlq.Subject(r.Cluster, d.Stream, d.Seq)",
		"internal/consumer", "TestNamed",
	},
	{
		"a wrong setting stops the program at start", "with the code of a failure",
		"cmd/consumer/main.go", "	case errors.As(err, &setting):\n		return exitUsage\n", "	case errors.As(err, &setting):\n		return exitFailed\n",
		"cmd/consumer", "TestExit",
	},
	{
		"keys and subjects are made of hashes and numbers", "a ledger's key is the object's",
		"internal/dedupe/kv.go", "hex.EncodeToString(h[:])", "hex.EncodeToString(h[:0]) + ref.Key",
		"internal/dedupe", "TestKVStoredForm",
	},
	{
		"keys and subjects are made of hashes and numbers", "events of one id and several sources have one receipt",
		"internal/consumer/receipt.go", "cluster, Hash(id), Hash(source), stream, seq)", `cluster, Hash(id), Hash(""), stream, seq)`,
		"internal/consumer", "TestReceiptKey",
	},
	{
		"each cluster has a ledger of its own", "all have one",
		"internal/dedupe/kv.go", `	return k.cluster + "." + ref.Bucket`, `	return "default." + ref.Bucket`,
		"internal/dedupe", "TestKVClustersAreApart",
	},
	{
		"only its own event closes a letter", "whoever names it does",
		"internal/dlq/close.go", "			if !l.carries(subject, h, data) {", "			if false {",
		"internal/dlq", "TestCloseForged",
	},
	{
		"an omitted payload is read again, or the letter stays", "whatever has its sequence now is",
		"internal/dlq/redrive.go", "	case !m.Time.Equal(l.EventTime) || !l.holds(m.Data): // the", "	case false: // the",
		"internal/dlq", "TestRedriveRefused",
	},
	{
		"no text from outside ends a header or a line", "control characters stay",
		"internal/consumer/letter.go", "		if c < ' ' || ", "		if false && c < ' ' || ",
		"internal/consumer", "TestLetterKeepsTheOriginal",
	},
}

// dialectMutants break how events are read.
var dialectMutants = []mutant{
	{
		"rewarm_before is no later than its event", "it may be",
		"internal/events/native.go", "	if ev.RewarmBefore.After(stored) {", "	if false {",
		"internal/events", "TestCorpora",
	},
	{
		"an event has an identity, however bad it is", "without an id of its own it has none",
		"internal/events/decode.go", `	ev := Event{ID: fmt.Sprintf("%s/%d", m.Stream, m.Seq), Format: d.format}`, `	ev := Event{ID: fmt.Sprint(), Format: d.format}`,
		"internal/events", "TestIdentityOfRefusedEvents",
	},
	{
		"what asks for nothing warms nothing", "every notification tells of a new object",
		"internal/events/s3.go", "		if !isCreated(name) {", "		if false {",
		"internal/events", "TestCorpora",
	},
	{
		"what asks for nothing warms nothing", "a test ping is malformed",
		"internal/events/s3.go", `root("").get("Event").is(testEvent) }`, `root("").get("Event").is("") }`,
		"internal/events", "TestCorpora",
	},
	{
		"hostile input is refused", "a template that was not filled in is a key",
		"internal/events/native.go", "	if hasPlaceholder(s) {", "	if false {",
		"internal/events", "TestCorpora",
	},
	{
		"hostile input is refused", "JSON may be nested as deep as it likes",
		"internal/events/json.go", "	if depth > maxDepth {", "	if false {",
		"internal/events", "TestBounds",
	},
	{
		"cw:// means s3://", "it means nothing",
		"internal/object/ref.go", `"s3://", "cw://"} {`, `"s3://"} {`,
		"internal/object", "TestParseURI",
	},
}

// verdictMutants break what is said of fills.
var verdictMutants = []mutant{
	{
		"PRESTAGE_CONFIRM=probe takes nothing on trust", "what was accepted is enough",
		"internal/confirm/confirmer.go", "func (c *Confirmer) Strict() bool { return c.mode == Probe }", "func (c *Confirmer) Strict() bool { return false }",
		"internal/prestage", "TestProbeIsStrict",
	},
	{
		"a 2xx is synchronous only where this was seen", "every one is",
		"internal/confirm/confirmer.go", "	if read || !c.synchrony.Ranged(size, latency) {", "	if c.synchrony.Ranged(size, latency); false {",
		"internal/prestage", "TestAutoAccepts",
	},
	{
		"a 2xx is synchronous only where this was seen", "one that came too fast refutes nothing",
		"internal/confirm/synchrony.go", "	if s.fit.known && s.fit.tooFast(f) {", "	if false {",
		"internal/confirm", "TestSynchronyIsRefuted",
	},
	{
		"a fill is verified only where reads tell hits from misses", "where few misses were seen",
		"internal/confirm/reads.go", "	if len(fastest) < minObjects || ", "	if len(fastest) < 1 || ",
		"internal/confirm", "TestReadsTell",
	},
	{
		"a fill is verified only where reads tell hits from misses", "a slow read is as good as a fast one",
		"internal/confirm/reads.go", "		case slower || p.first > t.limit:\n			f = unclear\n", "",
		"internal/confirm", "TestJudge",
	},
	{
		"a miss is believed beside a HEAD", "where the HEAD was slow too",
		"internal/confirm/before.go", "slowest > often+most-head {", "slowest > often+most-head+99 {",
		"internal/confirm", "TestStarving",
	},
	{
		"a miss is believed beside a HEAD", "however much longer HEADs take before fills",
		"internal/confirm/before.go", "	often := max(middle(slices.Clone(excess)), 0)", "	often := 0.0",
		"internal/confirm", "TestBesideHead",
	},
	{
		"a miss is believed beside a HEAD", "whatever HEADs took beside an object's own misses",
		"internal/confirm/reads.go", " - (slices.Max(g.heads) - heads[len(heads)/4])", "",
		"internal/confirm", "TestOwnMissesBesideHeads",
	},
	{
		"no probe while the store is short of capacity", "throttling does not keep them back",
		"internal/confirm/budget.go", "func (b *budget) isQuiet(now time.Time) bool { return now.Before(b.quiet) }", "func (b *budget) isQuiet(now time.Time) bool { return now.IsZero() }",
		"internal/confirm", "TestQuiet",
	},
	{
		"at most 32 objects of an event are read", "all are",
		"internal/confirm/sample.go", "	MaxSample  = 32", "	MaxSample  = 3200",
		"internal/confirm", "TestSample",
	},
	{
		"an object that alone is throttled ends as fill_failed", "it is waited for, for ever",
		"internal/consumer/settlement.go", "		if d.alone {", "		if false {",
		"internal/consumer", "TestDecide",
	},
	{
		"all objects already warm is warm", "it is a skip",
		"internal/consumer/settlement.go", "	case report.Objects.Filled+report.Objects.AlreadyWarm+report", "	case report.Objects.Filled+report",
		"internal/consumer", "TestDecide",
	},
	{
		"a skipped event tells the reason of most of its objects", "it tells the last one",
		"internal/consumer/settlement.go", "		if skips[r] > n {", "		if skips[r] > 0 && n >= 0 {",
		"internal/consumer", "TestMostSkips",
	},
	{
		"event_to_warm_seconds counts from the stream's timestamp", "it counts from when the event was taken",
		"internal/consumer/process.go", "r.WarmAt.Sub(r.StreamTime)", "r.WarmAt.Sub(r.Received)",
		"internal/consumer", "TestEventToWarm",
	},
}
