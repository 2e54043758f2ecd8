package mutants_test

// storeMutants break what defends against a store that answers wrongly, late, or
// not at all.
var storeMutants = []mutant{
	{
		"a fill is what the store says it is", "a page that is cut is the last one",
		"internal/prestage/answer.go", `		if page.Next == "" {`, "		if false {",
		"internal/prestage", "TestList",
	},
	{
		"a fill is what the store says it is", "keys of a listing may be anywhere",
		"internal/prestage/listing.go", "if !strings.HasPrefix(a.Key, prefix.Key) || a.Key <= last {", "if false && a.Key <= last {",
		"internal/prestage", "TestPlan",
	},
	{
		"a fill is what the store says it is", "page after empty page is taken for the end",
		"internal/prestage/listing.go", "		if empty > maxEmptyPages {", "		if empty > maxEmptyPages {\n			return nil\n		}\n		if false {",
		"internal/prestage", "TestPlan",
	},
	{
		"a fill is what the store says it is", "a probe's answer may be about other bytes",
		"internal/prestage/probe.go", `!strings.HasPrefix(r.header.Get("Content-Range"), want):`, `want == "" && !strings.HasPrefix(r.header.Get("Content-Range"), want):`,
		"internal/prestage", "TestProbeRefusesOtherAnswers",
	},
	{
		"a fill is what the store says it is", "a probe reads whatever version is there",
		"internal/prestage/probe.go", ", ifMatch: etag,", ",",
		"internal/prestage", "TestProbeIsSignedAndConditional",
	},
	{
		"what is on record is what was filled", "it is what the listing or the event told",
		"internal/prestage/fill.go", "object.Attrs{Ref: i.Ref, Version: f.Version, Size: f.Size}", "object.Attrs{Ref: i.Ref, Version: i.Version, Size: f.Size}",
		"internal/prestage", "TestRecordIsTheAnswer",
	},
	{
		"what is on record is what was filled", "a shared fill from before the listing counts",
		"internal/prestage/fill.go", "		case how == dedupe.Shared && i.Current && f.ETag != i.ETag && !f.LastModified.After(i.LastModified):\n", "		case false:\n",
		"internal/prestage", "TestTwoEvents",
	},
	{
		"a store that stalls holds nothing for ever", "an answer's header is waited for",
		"internal/prestage/transport.go", "ResponseHeaderTimeout:  longest,", "ResponseHeaderTimeout:  0,",
		"internal/prestage", "TestBrokenAnswers",
	},
	{
		"a store that stalls holds nothing for ever", "a fill may take any time",
		"internal/prestage/ask.go", "		ctx, cancel := withTimeout(ctx, left.left)\n", "		ctx, cancel := context.WithCancel(ctx)\n",
		"internal/prestage", "TestOneObject",
	},
	{
		"a store that stalls holds nothing for ever", "a listing may take any time",
		"internal/prestage/planner.go", "			ctx, cancel := withTimeout(ctx, ReadTimeout)\n", "			ctx, cancel := context.WithCancel(ctx)\n",
		"internal/prestage", "TestSilentStore",
	},
	{
		"a store that stalls holds nothing for ever", "a plain HEAD may take any time",
		"internal/prestage/guard.go", "		ctx, cancel := withTimeout(ctx, ReadTimeout)\n", "		ctx, cancel := context.WithCancel(ctx)\n",
		"internal/prestage", "TestSilentStore",
	},
	{
		"a store that stalls holds nothing for ever", "a bucket whose host is silent takes all permits",
		"internal/prestage/bucket.go", "newBucketLimit = 8 ", "newBucketLimit = 8000 ",
		"internal/prestage", "TestStallingBucketHoldsNoSlots",
	},
	{
		"a store that stalls holds nothing for ever", "a body may have any length",
		"internal/prestage/transport.go", "left: maxBodyBytes}", "left: 2 * maxBodyBytes}",
		"internal/prestage", "TestBodiesAreBounded",
	},
	{
		"only an event's own failures are attempts", "a connection that is cut is the object's failure",
		"internal/prestage/classify.go", "		e.Class, e.Reason = outcome.Transient, outcome.FillFailed\n		if isTimeout(err) {", "		e.Class, e.Reason = outcome.Failed, outcome.FillFailed\n		if isTimeout(err) {",
		"internal/prestage", "TestBrokenAnswers",
	},
	{
		"only an event's own failures are attempts", "credentials that cannot be had are the object's failure",
		"internal/prestage/classify.go", "e.Class, e.Reason, e.Hint = outcome.Refused, outcome.Forbidden, hintNoCreds", "e.Class, e.Reason, e.Hint = outcome.Failed, outcome.Forbidden, hintNoCreds",
		"internal/prestage", "TestCredentialsRotate",
	},
	{
		"credentials may expire and rotate", "a fill is signed with the first ones",
		"internal/prestage/head.go", "credentials: credentials{cfg.Credentials}, transport", "credentials: aws.NewCredentialsCache(credentials{cfg.Credentials}), transport",
		"internal/prestage", "TestCredentialsRotate",
	},
	{
		"credentials may expire and rotate", "a listing is signed with the first ones",
		"internal/prestage/s3.go", "		Credentials:  credentials{cfg.Credentials},", "		Credentials:  aws.NewCredentialsCache(credentials{cfg.Credentials}),",
		"internal/prestage", "TestCredentialsRotate",
	},
	{
		"a skewed clock is set right", "only for HEADs",
		"internal/prestage/s3.go", "clockSigner{heads.signer, &heads.clock}", "heads.signer",
		"internal/prestage", "TestClockIsSharedByAll",
	},
	{
		"one request fills: HEAD with Range bytes=0-0", "without a key it is about the bucket",
		"internal/prestage/head.go", "	if err := object.CheckKey(m.ref.Key); err != nil {", "	if err := error(nil); err != nil {",
		"internal/prestage", "TestHeadOfNoKeyIsNotSent",
	},
	{
		"a bucket outside PRESTAGE_BUCKETS gets no request", "what a manifest lists is not looked at",
		"internal/prestage/manifestparser.go", "		return check(a.Ref)", "		return a.Ref.Check()",
		"internal/prestage", "TestPlan",
	},
	{
		"requests stay below what the store takes", "429 and time-outs change nothing",
		"internal/prestage/guard.go", "congested(err) && !alone {", "false && !alone {",
		"internal/prestage", "TestThrottledStore",
	},
	{
		"requests stay below what the store takes", "slower plain HEADs change nothing",
		"internal/prestage/guard.go", "			g.limiter.headed(a.Latency)\n", "",
		"internal/prestage", "TestBusyMetadata",
	},
	{
		"one event or bucket holds no others", "one is served to its end",
		"internal/prestage/queue.go", "	r.order.MoveToBack(e)\n", "",
		"internal/prestage", "TestBucketsInTurn",
	},
	{
		"one event or bucket holds no others", "what is less urgent never has its turn",
		"internal/prestage/priority.go", "			l.passed[i]++\n", "",
		"internal/prestage", "TestLeastShare",
	},
	{
		"while the endpoint is down it waits", "an outage uses up tries",
		"internal/prestage/retry.go", "				s.Reset()\n				continue\n", "				return v, err\n",
		"internal/prestage", "TestRetry",
	},
	{
		"while the endpoint is down it waits", "messages are fetched all the same",
		"internal/consumer/lane.go", "		if err := l.cfg.Gate.Wait(fetch); err != nil {", "		if err := error(nil); err != nil {",
		"internal/consumer", "TestLaneWaitsAtTheGate",
	},
	{
		"while the endpoint is down it waits", "its return is not looked for",
		"internal/prestage/endpoint.go", "redialEvery  = time.Second ", "redialEvery  = time.Hour ",
		"internal/prestage", "TestEndpointComesBack",
	},
	{
		"metrics tell what is wrong", "the gauge says that the endpoint is up",
		"internal/prestage/endpoint.go", "	e.up(cause == nil)\n", "	e.up(true)\n",
		"internal/prestage", "TestEndpointComesBack",
	},
	{
		"a bucket that refuses holds up no other", "it is never tried again",
		"internal/prestage/bucket.go", "	case b.refusal != nil && time.Now().Before(b.until):", "	case b.refusal != nil:",
		"internal/prestage", "TestBreakerTriesAgain",
	},
	{
		"a bucket that refuses holds up no other", "HeadBucket's refusal counts for one that serves",
		"internal/prestage/bucket.go", "		b.served = b.served || failure == nil\n", "",
		"internal/prestage", "TestHeadBucketRefuses",
	},
}
