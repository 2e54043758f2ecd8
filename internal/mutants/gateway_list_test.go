package mutants_test

// gatewayMutants break what lets events in, finds out what they mean, and finds
// those that never came.
var gatewayMutants = []mutant{
	{
		"a route of the gateway without a secret is closed", "tokens are not looked at",
		"internal/gateway/take.go", "	if !r.guard.signed { // before anything is read", "	if false { // before anything is read",
		"internal/gateway", "TestBodiesAreBounded",
	},
	{
		"a route of the gateway without a secret is closed", "receipts are told to all",
		"internal/gateway/receipt.go", "	if p := g.admit(req.Context(), r, req.Header, nil); p != nil {", "	if p := (*problem)(nil); p != nil {",
		"internal/gateway", "TestRefusals",
	},
	{
		"a secret is one of several, and no time tells which", "only the first counts",
		"internal/gateway/keyring.go", "	for _, s := range secrets {", "	for _, s := range secrets[:min(1, len(secrets))] {",
		"internal/gateway", "TestSecretsInHeaders",
	},
	{
		"a secret is one of several, and no time tells which", "the comparison ends at the one that matches",
		"internal/gateway/keyring.go", "		found |= subtle.ConstantTimeCompare(have[:], sum[:])\n", "		if found |= subtle.ConstantTimeCompare(have[:], sum[:]); found == 1 {\n			break\n		}\n",
		"internal/gateway", "TestAllSecretsAreTried",
	},
	{
		"a secret is one of several, and no time tells which", "a file of secrets is read once",
		"internal/gateway/live.go", "	if time.Since(l.looked) >= lookEvery {", "	if false {",
		"internal/gateway", "TestKeyring",
	},
	{
		"a hook's signature is checked", "one that is missing does no harm",
		"internal/gateway/take.go", "	if r.guard.signed {", "	if false {",
		"internal/gateway", "TestRefusals",
	},
	{
		"no body of a request takes more than a message may", "it is read to its end",
		"internal/gateway/take.go", "http.MaxBytesReader(w, req.Body, limit)", "http.MaxBytesReader(w, req.Body, 2*limit)",
		"internal/gateway", "TestBodiesAreBounded",
	},
	{
		"no body of a request takes more than a message may", "it is read before its sender is known",
		"internal/gateway/take.go", "	if !r.guard.signed { // before anything is read", "	if b, p := g.read(w, req); p != nil {\n		return p\n	} else if req.Body = io.NopCloser(strings.NewReader(string(b))); !r.guard.signed {",
		"internal/gateway", "TestBodiesAreBounded",
	},
	{
		"a sender that is slow or has gone mad holds up no other", "an address may ask as often as it likes",
		"internal/gateway/gateway.go", "	case !g.sources.allow(req.RemoteAddr):", "	case false:",
		"internal/gateway", "TestSourceIsRefused",
	},
	{
		"a sender that is slow or has gone mad holds up no other", "a request may take any time",
		"internal/gateway/gateway.go", "		ReadTimeout:       15 * time.Second,\n", "",
		"internal/gateway", "TestServerWaitsForNobody",
	},
	{
		"the gateway is ready when NATS is", "it always is",
		"internal/gateway/link.go", "	if js == nil || !l.IsConnected() {", "	if js == nil {",
		"internal/gateway", "TestOutage",
	},
	{
		"what a sender sends twice is stored once", "messages have no id",
		"internal/gateway/letter.go", `	if id := messageID(route, ev, body); id != "" {`, `	if id := ""; id != "" {`,
		"internal/gateway", "TestDuplicates",
	},
	{
		"what a sender sends twice is stored once", "but for what prestage publish sends",
		"internal/publish/publish.go", "	m.Header.Set(nats.MsgIdHdr, MessageID(e.Source, e.ID))\n", "",
		"internal/publish", "TestMessage",
	},
	{
		"no secret is told", "a hook's headers go into the stream",
		"internal/gateway/letter.go", `		case lower == "content-type":`, "		default:\n			out[name] = values\n		case lower == \"content-type\":",
		"internal/gateway", "TestRoutes",
	},
	{
		"only the configured tracking server is asked", "a proxy is used",
		"internal/resolve/tracking.go", "				TLSHandshakeTimeout:    dialTimeout,\n", "				TLSHandshakeTimeout:    dialTimeout,\n				Proxy: http.ProxyFromEnvironment,\n",
		"internal/resolve", "TestOnlyTheHost",
	},
	{
		"only the configured tracking server is asked", "about what is in another's registry",
		"internal/resolve/place.go", `			if !ours || strings.HasPrefix(path, "/") {`, `			if !ours && strings.HasPrefix(path, "/") {`,
		"internal/resolve", "TestPlace",
	},
	{
		"only the configured tracking server is asked", "for any path of it",
		"internal/resolve/place.go", "`^[A-Za-z0-9_-]{1,128}$`", "`.`",
		"internal/resolve", "TestPlace",
	},
	{
		"while the tracking server is down, events wait", "each of them asks it",
		"internal/resolve/tracking.go", "	if err := t.rest.over(time.Now()); err != nil {", "	if err := error(nil); err != nil {",
		"internal/resolve", "TestOneAsksForAll",
	},
	{
		"while the tracking server is down, events wait", "for its answer, as long as that takes",
		"internal/resolve/tracking.go", "context.WithTimeout(ctx, askTimeout)", "context.WithCancel(ctx)",
		"internal/resolve", "TestOneAsksForAll",
	},
	{
		"hostile input is refused", "a tracking server's answer may have any size",
		"internal/resolve/tracking.go", "	case len(body) > maxAnswer:", "	case false:",
		"internal/resolve", "TestAnswers",
	},
	{
		"a bucket outside PRESTAGE_BUCKETS gets no request", "sources of the rules file may be in any",
		"internal/rules/check.go", "	if bucket := bucketOf(uri); !allow(bucket) {", "	if bucket := bucketOf(uri); bucket == \"\" {",
		"internal/rules", "TestParseRefuses",
	},
	{
		"an alias or a tag publishes a model only where it says so", "every alias does",
		"internal/resolve/mlflow.go", "	return false\n}\n\n// Tag is Alias", "	return true\n}\n\n// Tag is Alias",
		"internal/resolve", "TestDefaultMarks",
	},
	{
		"reconcile publishes an event once", "also when it waits for another attempt",
		"internal/reconcile/pass.go", "	case r.Outcome == consumer.Pending:", "	case false:",
		"internal/reconcile", "TestFates",
	},
	{
		"reconcile publishes what is missing", "one that is to be filled again has the id of its last fill",
		"internal/reconcile/event.go", "		at = record.At.UTC().Format(time.RFC3339Nano)\n", "		_ = record.At.UTC().Format(time.RFC3339Nano)\n",
		"internal/reconcile", "TestEventID",
	},
	{
		"reconcile publishes what is missing", "its events do not say from when on records count",
		"internal/reconcile/event.go", "			RewarmBefore: p.rewarmBefore,\n", "",
		"internal/reconcile", "TestMissing",
	},
	{
		"reconcile publishes what is missing", "and what is warm",
		"internal/reconcile/pass.go", "now, p.TTL) == dedupe.Warm {", "now, p.TTL) == dedupe.Older {",
		"internal/reconcile", "TestMissing",
	},
	{
		"reconcile publishes what is missing", "more than --max-events",
		"internal/reconcile/pass.go", "		if p.sent >= p.MaxEvents {", "		if false {",
		"internal/reconcile", "TestMaxEvents",
	},
	{
		"reconcile publishes what is missing", "also with --dry-run",
		"internal/reconcile/pass.go", "		if !p.DryRun {", "		if true {",
		"internal/reconcile", "TestMaxEvents",
	},
	{
		"a hook's sender passes for no other", "its events have the identities of all",
		"internal/gateway/letter.go", `return "#" + string(route) + "#" + id`, "return id",
		"internal/gateway", "TestIdentitiesOfRoutes",
	},
	{
		"a secret that was withdrawn opens nothing", "a file that was emptied does",
		"internal/gateway/take.go", "g.cfg.Insecure && !r.keys.Given()", "g.cfg.Insecure",
		"internal/gateway", "TestWithdrawnSecrets",
	},
	{
		"a secret that was withdrawn opens nothing", "one is withdrawn while its file is being written",
		"internal/gateway/live.go", "		time.Sleep(settle)\n		now, err = l.contents()\n", "",
		"internal/gateway", "TestKeyring",
	},
	{
		"a sender that is slow or has gone mad holds up no other", "every body needs a turn to be read",
		"internal/gateway/take.go", "	if req.ContentLength < 0 || req.ContentLength > smallBody {", "	if true {",
		"internal/gateway", "TestSlowBodies",
	},
	{
		"each event ends, whatever it holds", "a name that no header can have is asked about for ever",
		"internal/resolve/tracking.go", `	if workspace != "" && !isID(workspace) {`, "	if false {",
		"internal/resolve", "TestQuestion",
	},
	{
		"all that an event names is warmed", "of several images the first is",
		"internal/resolve/resolver.go", "	for _, a := range others {", "	for _, a := range others[:0] {",
		"internal/resolve", "TestSeveral",
	},
}
