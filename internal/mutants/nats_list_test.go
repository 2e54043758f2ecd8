package mutants_test

// natsMutants break what defends against faults of NATS.
var natsMutants = []mutant{
	{
		"while NATS is down it waits", "whoever probes the program waits as well",
		"internal/app/app.go", "!a.link.IsConnected()", "!s.nc.IsConnected()",
		"internal/app", "TestReadyBesideASilentServer",
	},
	{
		"while NATS is down it waits", "wait ends at once",
		"cmd/consumer/wait.go", "w.jetStreamUntil(ctx)", "w.jetStream()",
		"cmd/consumer", "TestWaitForNATS",
	},
	{
		"credentials of NATS that end are told", "wait takes a refusal for an outage",
		"internal/app/dial.go", "		case err != nil && !isDown(err):", "		case false:",
		"cmd/consumer", "TestWaitForNoRefusal",
	},
	{
		"while NATS is down it waits", "a cluster without a leader ends the program",
		"internal/app/refusal.go", "	return api.Code == 400 && !slices", "	return !slices",
		"internal/app", "TestHopeless",
	},
	{
		"while NATS is down it waits", "an answer that was lost is waited for",
		"internal/persist/persist.go", "tryTimeout   = 5 * time.Second", "tryTimeout   = 5 * time.Hour",
		"internal/dedupe", "TestKVLostAnswer",
	},
	{
		"while NATS is down it waits", "a pull waits in the client, and is answered to nobody",
		"internal/consumer/pull.go", "	if p.cfg.Conn.IsReconnecting() {", "	if false {",
		"internal/consumer", "TestPullWaitsForAConnection",
	},
	{
		"while NATS is down it waits", "a partition is not noticed",
		"internal/app/nats.go", "		nats.PingInterval(20 * time.Second),\n", "",
		"internal/app", "TestReconnectsForEver",
	},
	{
		"while NATS is down it waits", "what fails at once is tried at once",
		"internal/consumer/pull.go", "		pause(fetch, time.Second)\n", "",
		"internal/consumer", "TestPullThatFailsIsNotSpunOn",
	},
	{
		"while NATS is down it waits", "a bucket without room holds up the ledger's fills",
		"internal/dedupe/kv.go", "		case persist.Full(err):", "		case false:",
		"internal/dedupe", "TestKVRefusals",
	},
	{
		"credentials of NATS that end are told", "the program goes on without a connection",
		"internal/app/app.go", "		case err := <-closed:", "		case err := <-make(chan error):",
		"internal/app", "TestRunEndsWithItsCredentials",
	},
	{
		"a deleted consumer is noticed, and made anew", "it is pulled for ever",
		"internal/consumer/pull.go", "	case errors.Is(infoErr, jetstream.ErrConsumerNotFound), errors.Is(infoErr, jetstream.ErrStreamNotFound):\n", "	case false:\n",
		"internal/consumer", "TestLaneConsumerGoneBefore",
	},
	{
		"a deleted consumer is noticed, and made anew", "the program ends, though it may provision",
		"internal/app/app.go", "		if !errors.Is(err, consumer.ErrGone) || !cfg.Provision {", "		if true {",
		"internal/app", "TestRunProvisionsAgain",
	},
	{
		"a message has one owner when it is settled", "it is settled for a consumer that has just gone",
		"internal/consumer/lane.go", "	if gone(ctx, start) { // since process ended, perhaps\n		return\n	}\n", "",
		"internal/consumer", "TestLaneAbandonsInTheLastMoment",
	},
	{
		"a message has one owner when it is settled", "it is given back while a pull of ours is parked",
		"internal/consumer/lane.go", "	if s.Action == Release {\n		<-withdrawn\n	}\n", "",
		"internal/consumer", "TestLaneGivesBack",
	},
	{
		"a long fill keeps its message", "an AckWait that is shortened is not followed",
		"internal/consumer/keepalive.go", "	if wait == a.wait {", "	if wait == a.wait || a.wait > 0 {",
		"internal/consumer", "TestKeepAliveFollows",
	},
	{
		"an ack is confirmed", "a lost answer is waited for",
		"internal/consumer/settle.go", "settleTry = 3 * time.Second", "settleTry = 3 * time.Hour",
		"internal/consumer", "TestSettleTriesAgain",
	},
	{
		"SIGTERM starts no new fill", "what is under way may take any time",
		"internal/app/app.go", "		timer := time.NewTimer(timeout)", "		timer := time.NewTimer(timeout + 24*time.Hour)",
		"internal/app", "TestDrainContext",
	},
	{
		"SIGTERM starts no new fill", "what comes with the signal is begun",
		"internal/consumer/lane.go", "	if start.Err() != nil { // it came", "	if false { // it came",
		"internal/consumer", "TestLaneGivesBackWhatComesLate",
	},
}
