package mutants_test

// historyMutants break the daily work around the stream: replay, wait, pause,
// what is superseded, and what may be filled.
var historyMutants = []mutant{
	{
		"replay exits 4 when events were dead-lettered", "it exits as if it had failed",
		"cmd/consumer/replayoutput.go", `&exitError{exitPartly, fmt.Errorf("replay %s: %s"`, `&exitError{exitFailed, fmt.Errorf("replay %s: %s"`,
		"cmd/consumer", "TestReplayPartlyFails",
	},
	{
		"replay exits 4 when events were dead-lettered", "of a list it exits 0",
		"cmd/consumer/replayobjects.go", "	if result.Failed > 0 {", "	if false {",
		"cmd/consumer", "TestReplayPartlyFails",
	},
	{
		"replay is left out of the histograms", "it is in them",
		"internal/consumer/process.go", "		if l.cfg.Replay != nil { // its events waited for an operator\n			return\n		}\n", "",
		"internal/consumer", "TestReplayedLatency",
	},
	{
		"a replay leaves the live lanes alone", "it does not let them go first",
		"internal/replay/behind.go", "		if busy == nil {", "		if true {",
		"internal/replay", "TestBehind",
	},
	{
		"a replay leaves the live lanes alone", "its fills are as urgent as theirs",
		"internal/consumer/replay.go", "	req.Priority = prestage.Backfill\n", "",
		"internal/consumer", "TestReplayedRequest",
	},
	{
		"a replay is gone on with under its name", "it begins anew each time",
		"internal/replay/durable.go", "	if errors.Is(err, jetstream.ErrConsumerNotFound) {", "	if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {",
		"internal/replay", "TestGoesOn",
	},
	{
		"a replay is gone on with under its name", "whatever it is asked for then",
		"internal/replay/durable.go", "	if !r.same(t) {", "	if false {",
		"internal/replay", "TestGoesOn",
	},
	{
		"a replay keeps to its caps", "--max-bytes is not compared",
		"internal/replay/meter.go", "	if m.most > 0 && (", "	if false && (",
		"internal/replay", "TestMeterCaps",
	},
	{
		"a replay keeps to its caps", "--rate does not matter",
		"internal/replay/meter.go", "	if m.rate != nil {", "	if false {",
		"internal/replay", "TestMeterRate",
	},
	{
		"a replay keeps to what was selected", "all of the history is",
		"internal/replay/selection.go", "	case len(s.Runs) > 0 && !slices.Contains(s.Runs, ev.Run):", "	case false:",
		"internal/replay", "TestMatches",
	},
	{
		"a replay keeps to what was selected", "--latest keeps more",
		"internal/replay/selection.go", "len(k.seqs[g]) - k.n; more > 0 {", "len(k.seqs[g]) - k.n - 1; more > 0 {",
		"internal/replay", "TestNewest",
	},
	{
		"a dry run sends no ranged HEAD", "replay --dry-run is a replay",
		"cmd/consumer/replay.go", "	cfg.DryRun = cfg.DryRun || c.DryRun\n", "",
		"cmd/consumer", "TestReplayDryRunOfAnArchive",
	},
	{
		"a dry run sends no ranged HEAD", "warm --dry-run warms",
		"cmd/consumer/warm.go", "		if c.DryRun || cfg.DryRun {", "		if false {",
		"cmd/consumer", "TestWarmDryRunSendsNothing",
	},
	{
		"wait asks whether the version on record is still there", "it does not",
		"cmd/consumer/waituri.go", "		if !x.cmd.AnyVersion {", "		if false {",
		"cmd/consumer", "TestWaitDeleted",
	},
	{
		"wait is told of what is there, and of what comes", "it asks for what is there once more",
		"cmd/consumer/wait.go", "		r, err = consumer.Await(ctx, x.receipts, ", "		_, _ = consumer.Latest(ctx, x.receipts, consumer.ReceiptKeys(x.cfg.Cluster, id))\n		r, err = consumer.Await(ctx, x.receipts, ",
		"cmd/consumer", "TestWaitWithoutPolling",
	},
	{
		"wait exits 1 when the event is dead-lettered", "it is content",
		"cmd/consumer/wait.go", "	case r.Outcome == consumer.DeadLettered:\n		out.code = exitFailed\n", "	case r.Outcome == consumer.DeadLettered:\n		out.code = exitDone\n",
		"cmd/consumer", "TestWait",
	},
	{
		"wait keeps to what --require asks for", "accepted is enough",
		"cmd/consumer/wait.go", "	return need == outcome.Accepted || (", "	return true || need == outcome.Accepted || (",
		"cmd/consumer", "TestWait",
	},
	{
		"pause stops a lane for all replicas", "the pause is over at once",
		"cmd/consumer/pause.go", "PauseConsumer(ctx, stream, durable, until)", "PauseConsumer(ctx, stream, durable, until.Add(-c.For))",
		"cmd/consumer", "TestPause",
	},
	{
		"pause stops a lane for all replicas", "of both lanes",
		"cmd/consumer/pause.go", `		if a.Lane != "all" && a.Lane != l.Lane {`, "		if false {",
		"cmd/consumer", "TestPause",
	},
	{
		"pause stops a lane for all replicas", "it is taken for a stall",
		"internal/consumer/pull.go", " || info.Paused ", " ",
		"internal/consumer", "TestStall",
	},
	{
		"dlq touches what was selected", "letters of other reasons, too",
		"cmd/consumer/dlqselect.go", "	case len(f.Reason) > 0 && !slices.Contains(f.Reason, string(l.Reason)):", "	case false:",
		"cmd/consumer", "TestDLQSelects",
	},
	{
		"dlq touches what was selected", "younger letters, too",
		"cmd/consumer/dlqselect.go", "	case f.OlderThan > 0 && age < f.OlderThan:", "	case false:",
		"cmd/consumer", "TestDLQSelects",
	},
	{
		"dlq touches what was selected", "purge takes an event's number for a letter's",
		"cmd/consumer/dlqselect.go", "(m.placesOnly || name != digits)", "name != digits",
		"cmd/consumer", "TestDLQPurge",
	},
	{
		"who asks leaves nothing at the server", "a list of letters leaves a consumer",
		"internal/dlq/box.go", "	defer b.forget(ctx, cons)\n", "",
		"internal/dlq", "TestEach",
	},
	{
		"dlq touches what was selected", "letters that are slow to arrive are left out",
		"internal/dlq/box.go", "		if info.NumPending == 0 && arrived(info, last) {", "		if info.NumPending == 0 {",
		"internal/dlq", "TestEachOverBadLink",
	},
	{
		"dlq touches what was selected", "a letter with an odd time ends the list",
		"internal/dlq/letter.go", "	if at = at.UTC(); err == nil && (at.Year() < 0 || at.Year() > 9999) {", "	if false {",
		"cmd/consumer", "TestDLQOddTimes",
	},
	{
		"dlq deletes and sends what it was told to", "purge --dry-run deletes",
		"cmd/consumer/dlq.go", "	if c.DryRun {\n		row.Result = dryRun\n		return row\n", "	if false {\n		row.Result = dryRun\n		return row\n",
		"cmd/consumer", "TestDLQPurge",
	},
	{
		"dlq deletes and sends what it was told to", "purge asks nobody",
		"cmd/consumer/dlq.go", "	if !c.Yes && !c.DryRun && !isTerminal(w.stdin) {", "	if false {",
		"cmd/consumer", "TestDLQUsage",
	},
	{
		"dlq deletes and sends what it was told to", "redrive --dry-run sends",
		"cmd/consumer/dlq.go", "	if c.DryRun {\n		row.Result = dryRun\n		if l.Mark", "	if false {\n		row.Result = dryRun\n		if l.Mark",
		"cmd/consumer", "TestDLQRedrive",
	},
	{
		"a superseded checkpoint is skipped", "one on another subject supersedes",
		"internal/consumer/supersede.go", "GetLastMsgForSubject(ctx, d.Subject)", `GetLastMsgForSubject(ctx, "events.checkpoint.>")`,
		"internal/consumer", "TestSuperseded",
	},
	{
		"a superseded checkpoint is skipped", "its own second copy supersedes it",
		"internal/consumer/supersede.go", "		(newer.ID != ev.ID || newer.Source != ev.Source)", "		true",
		"internal/consumer", "TestSuperseded",
	},
	{
		"a superseded checkpoint is skipped", "a redriven one supersedes",
		"internal/consumer/supersede.go", " || l.letters.IsRedriven(last.Header) {", " {",
		"internal/consumer", "TestSuperseded",
	},
	{
		"a superseded checkpoint is skipped", "also with PRESTAGE_SUPERSEDE=false",
		"internal/consumer/supersede.go", "	if !l.cfg.Supersede || ", "	if ",
		"internal/consumer", "TestSuperseded",
	},
	{
		"a superseded checkpoint is skipped", "also when nobody can say so",
		"internal/consumer/supersede.go", "		return false\n	}\n	if last.Sequence", "		return true\n	}\n	if last.Sequence",
		"internal/consumer", "TestSupersededUnsure",
	},
	{
		"no hour has more bytes than its budget", "every fill fits",
		"internal/budget/account.go", "	return a.Used(now) <= limit-min(need, limit)", "	return true",
		"internal/budget", "TestAccountFits",
	},
	{
		"no hour has more bytes than its budget", "fills do not ask",
		"internal/prestage/pace.go", "	if e.budget != nil {", "	if false {",
		"internal/prestage", "TestRoutineWorkWaitsForTheBudget",
	},
	{
		"no hour has more bytes than its budget", "instances overwrite each other's account",
		"internal/budget/kv.go", "_, err = s.kv.Update(ctx, s.key, value, revision)", "_, err = s.kv.Put(ctx, s.key, value)",
		"internal/budget", "TestAccountIsNotOverwritten",
	},
	{
		"models go first", "they wait for the budget",
		"internal/prestage/pace.go", "waitFor(begin, run, Routine, e.budget, ", "waitFor(begin, run, Urgent, e.budget, ",
		"internal/prestage", "TestUrgentCallerNeedNotWait",
	},
}
