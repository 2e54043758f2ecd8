package app

import (
	"log/slog"
	"time"
)

// Config is the daemon's configuration. Each field is one environment variable
// of the contract; the tags feed the parser and the table in the README.
type Config struct {
	NATSURL      []string `env:"NATS_URL" envDefault:"nats://127.0.0.1:4222" doc:"one or more servers, comma-separated"`
	NATSCreds    string   `env:"NATS_CREDS" doc:"credentials file (JWT and seed)"`
	NATSNKey     string   `env:"NATS_NKEY" doc:"NKey seed file"`
	NATSUser     string   `env:"NATS_USER" doc:"user name"`
	NATSPassword Secret   `env:"NATS_PASSWORD" doc:"password"`
	NATSToken    Secret   `env:"NATS_TOKEN" doc:"token"`
	NATSCA       string   `env:"NATS_CA" doc:"file of CA certificates for TLS"`
	NATSCert     string   `env:"NATS_CERT" doc:"file of the client's certificate, with NATS_KEY"`
	NATSKey      string   `env:"NATS_KEY" doc:"file of the client's key, with NATS_CERT"`

	LOTAEndpoint      string `env:"LOTA_ENDPOINT" envDefault:"http://cwlota.com" doc:"the LOTA endpoint; only hosts known to be LOTA are accepted, cwobject.com never"`
	LOTATrustEndpoint bool   `env:"LOTA_TRUST_ENDPOINT" envDefault:"false" doc:"accept another host as LOTA (the emulator, a test)"`
	LOTADial          string `env:"LOTA_DIAL" doc:"host:port that every LOTA host name is dialled at instead of DNS; for S3 requests only"`

	Cluster            string        `env:"PRESTAGE_CLUSTER" envDefault:"default" doc:"the cluster whose cache this instance warms; letters, digits, _ and -"`
	Stream             string        `env:"PRESTAGE_STREAM" envDefault:"EVENTS" doc:"the stream to consume; letters, digits, _ and -"`
	ModelSubjects      []string      `env:"PRESTAGE_MODEL_SUBJECTS" envDefault:"events.model.published" doc:"the urgent lane: these subjects and everything below them"`
	CheckpointSubjects []string      `env:"PRESTAGE_CHECKPOINT_SUBJECTS" envDefault:"events.checkpoint.written,events.object.created" doc:"the routine lane, likewise"`
	Provision          bool          `env:"PRESTAGE_PROVISION" envDefault:"true" doc:"create streams, consumers and buckets that are missing; what exists is not changed, but durables of prestage may get new subjects and AckWait"`
	Replicas           int           `env:"PRESTAGE_REPLICAS" envDefault:"0" doc:"replicas of what is provisioned, 1 to 5; 0: three where the NATS cluster can, else one"`
	Buckets            []string      `env:"PRESTAGE_BUCKETS" envDefault:"*" doc:"allowed buckets, comma-separated globs; an event outside is dead-lettered and no request is sent"`
	Concurrency        int           `env:"PRESTAGE_CONCURRENCY" envDefault:"300" doc:"ceiling of concurrent fills of this instance; an adaptive limit works below it"`
	MinBytes           int64         `env:"PRESTAGE_MIN_BYTES" envDefault:"4000000" doc:"objects not larger are skipped when the size is known without a request"`
	Budget             Bytes         `env:"PRESTAGE_BUDGET" doc:"bytes that the cluster may fill in an hour, all instances and replays together, such as 20TiB; above it checkpoints and replays wait, models do not but count"`
	CacheBytes         Bytes         `env:"PRESTAGE_CACHE_BYTES" doc:"what the cache holds: nodes × 1TiB; a plan that is larger is refused (unsupported) rather than thrashed"`
	Confirm            string        `env:"PRESTAGE_CONFIRM" envDefault:"auto" doc:"what counts as filled; response: the ranged HEAD answered 2xx; probe: reads through LOTA come at cache speed, else it is no success; auto: the most that this endpoint lets us know, learnt while running"`
	FillTimeout        time.Duration `env:"PRESTAGE_FILL_TIMEOUT" envDefault:"15m" doc:"the longest that one fill may take, its tries and confirmation included, heartbeats going on"`
	AckWait            time.Duration `env:"PRESTAGE_ACK_WAIT" envDefault:"30s" doc:"JetStream AckWait, at least 5s; heartbeats come at a third of what the consumer really has"`
	DrainTimeout       time.Duration `env:"PRESTAGE_DRAIN_TIMEOUT" envDefault:"30s" doc:"after SIGTERM, how long running fills may still take before their events are given back"`
	MaxAttempts        int           `env:"PRESTAGE_MAX_ATTEMPTS" envDefault:"8" doc:"attempts of an event whose own objects keep failing, before the DLQ; spaced 1 s, 5 s, 25 s, 2 min, then 10 min"`
	GiveUpAfter        time.Duration `env:"PRESTAGE_GIVE_UP_AFTER" envDefault:"24h" doc:"how long an event may wait for a bucket that refuses us (403, 400), counted from the first refusal; such waiting costs no attempts"`
	DedupeTTL          time.Duration `env:"PRESTAGE_DEDUPE_TTL" envDefault:"24h" doc:"how long a filled version counts as warm"`
	Supersede          bool          `env:"PRESTAGE_SUPERSEDE" envDefault:"true" doc:"a checkpoint event is skipped when the last message on its subject is a newer event of the same run (so give each run a subject of its own)"`
	DryRun             bool          `env:"PRESTAGE_DRY_RUN" envDefault:"false" doc:"consume under durables of its own (…-dry), plan, write receipts skipped: dry_run under keys of their own (….dry); no ranged HEAD, no results, no letters"`
	HTTPAddr           string        `env:"PRESTAGE_HTTP_ADDR" envDefault:"127.0.0.1:8080" doc:"admin listener: /healthz, /readyz, /metrics, /api/status and the status page at /"`

	GatewayAddr                   string   `env:"PRESTAGE_GATEWAY_ADDR" envDefault:":8081" doc:"the gateway's listener, with /healthz and a /readyz of its own (NATS only)"`
	GatewayTLSCert                string   `env:"PRESTAGE_GATEWAY_TLS_CERT" doc:"PEM file of the gateway's certificate and those that issued it, with PRESTAGE_GATEWAY_TLS_KEY; both are read again when they change; plain HTTP without"`
	GatewayTLSKey                 string   `env:"PRESTAGE_GATEWAY_TLS_KEY" doc:"PEM file of its private key"`
	GatewayTokens                 []Secret `env:"PRESTAGE_GATEWAY_TOKENS" doc:"bearer tokens for /v1/events, /hooks/s3 and /hooks/distribution; several, comma-separated, for rotation"`
	GatewayTokensFile             string   `env:"PRESTAGE_GATEWAY_TOKENS_FILE" doc:"file with more of them, one a line; read again when it changes, as those below"`
	GatewayMLflowSecrets          []Secret `env:"PRESTAGE_GATEWAY_MLFLOW_SECRETS" doc:"secrets of MLflow's webhooks"`
	GatewayMLflowSecretsFile      string   `env:"PRESTAGE_GATEWAY_MLFLOW_SECRETS_FILE" doc:"file with more of them"`
	GatewayWandBSecrets           []Secret `env:"PRESTAGE_GATEWAY_WANDB_SECRETS" doc:"secrets of W&B's webhooks"`
	GatewayWandBSecretsFile       string   `env:"PRESTAGE_GATEWAY_WANDB_SECRETS_FILE" doc:"file with more of them"`
	GatewayHuggingFaceSecrets     []Secret `env:"PRESTAGE_GATEWAY_HUGGINGFACE_SECRETS" doc:"secrets of Hugging Face's webhooks"`
	GatewayHuggingFaceSecretsFile string   `env:"PRESTAGE_GATEWAY_HUGGINGFACE_SECRETS_FILE" doc:"file with more of them"`
	GatewayHarborSecrets          []Secret `env:"PRESTAGE_GATEWAY_HARBOR_SECRETS" doc:"secrets of Harbor's webhooks, each the whole value of its Auth Header"`
	GatewayHarborSecretsFile      string   `env:"PRESTAGE_GATEWAY_HARBOR_SECRETS_FILE" doc:"file with more of them"`
	GatewayInsecure               bool     `env:"PRESTAGE_GATEWAY_INSECURE" envDefault:"false" doc:"opens the gateway's routes that are given no secret and no file; otherwise they answer 401"`

	MLflowTrackingURI       string `env:"MLFLOW_TRACKING_URI" doc:"the MLflow tracking server that is asked where in S3 the files of a model version are; it alone is called, without a proxy"`
	MLflowTrackingToken     Secret `env:"MLFLOW_TRACKING_TOKEN" doc:"bearer token for it"`
	MLflowTrackingTokenFile string `env:"MLFLOW_TRACKING_TOKEN_FILE" doc:"file with the token, read again when it changes; it goes before the one above"`
	MLflowTrackingUsername  string `env:"MLFLOW_TRACKING_USERNAME" doc:"user name for it, with MLFLOW_TRACKING_PASSWORD; these go before a token, as in MLflow's own clients"`
	MLflowTrackingPassword  Secret `env:"MLFLOW_TRACKING_PASSWORD" doc:"password for it"`
	MLflowDestination       string `env:"MLFLOW_ARTIFACTS_DESTINATION" doc:"where that server keeps the files that it serves itself (mlflow-artifacts:), an s3:// URI; as its own setting of this name"`

	Rules string `env:"PRESTAGE_RULES" doc:"rules file (YAML), see docs/rules.md; read again when it changes"`

	LogLevel  slog.Level `env:"LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error"`
	LogFormat string     `env:"LOG_FORMAT" doc:"text or json; text on a terminal, else json"`
}

// Secret is a value that no log, error or table ever shows.
type Secret string

// String hides the value.
func (Secret) String() string { return "(hidden)" }

// GoString hides the value from %#v.
func (Secret) GoString() string { return "(hidden)" }

// MarshalText hides the value from encoders, JSON's among them.
func (Secret) MarshalText() ([]byte, error) { return []byte("(hidden)"), nil }

// LogValue hides the value from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue("(hidden)") }
