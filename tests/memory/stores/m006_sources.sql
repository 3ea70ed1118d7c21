BEGIN TRANSACTION;
CREATE TABLE artifacts (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	body TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "artifacts" VALUES(1,'set-1','dataset','{"rows":2}','2026-01-02T03:04:05+00:00');
CREATE TABLE decisions (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	episode_id TEXT NOT NULL, 
	step INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	created_at TEXT NOT NULL, tenant TEXT NOT NULL DEFAULT 'default', thread TEXT NOT NULL DEFAULT '', 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "decisions" VALUES(1,'d','e',3,'{"a":1}','2026-01-02T03:04:05+00:00','default','');
CREATE TABLE episodes (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	task_id TEXT NOT NULL, 
	method TEXT NOT NULL, 
	seed BIGINT NOT NULL, 
	status TEXT NOT NULL, 
	outcome TEXT, 
	created_at TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
CREATE TABLE feedback (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	tenant TEXT NOT NULL, 
	episode_id TEXT NOT NULL, 
	decision_id TEXT, 
	success BOOLEAN, 
	score DOUBLE, 
	comment TEXT NOT NULL, 
	account TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (tenant, id)
);
CREATE TABLE keys (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	tenant TEXT NOT NULL, 
	role TEXT NOT NULL, 
	name TEXT NOT NULL, 
	salt BLOB NOT NULL, 
	digest BLOB NOT NULL, 
	created_at TEXT NOT NULL, 
	requests_per_minute INTEGER, 
	budget DOUBLE, 
	revoked_at TEXT, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
CREATE TABLE ledger (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	episode_id TEXT, 
	decision_id TEXT, 
	role TEXT NOT NULL, 
	model TEXT NOT NULL, 
	input_tokens BIGINT NOT NULL, 
	cached_tokens BIGINT NOT NULL, 
	output_tokens BIGINT NOT NULL, 
	price TEXT NOT NULL, 
	cost DOUBLE NOT NULL, 
	requests INTEGER NOT NULL, 
	estimated BOOLEAN NOT NULL, 
	counterfactual BOOLEAN NOT NULL, tenant TEXT NOT NULL DEFAULT 'default', account TEXT NOT NULL DEFAULT '', 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "ledger" VALUES(1,'l','r','e','d','student','m',1,2,3,'{}',0.5,1,0,0,'default','');
CREATE TABLE meta (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('embedder','hashing');
CREATE TABLE migrations (
	name TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "migrations" VALUES('m001_first_tables');
INSERT INTO "migrations" VALUES('m002_tenants_and_keys');
INSERT INTO "migrations" VALUES('m003_strategies');
INSERT INTO "migrations" VALUES('m004_receipt_chain');
INSERT INTO "migrations" VALUES('m005_artifacts');
INSERT INTO "migrations" VALUES('m006_sources');
CREATE TABLE receipt_chain (
	tenant TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	receipt_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	link TEXT NOT NULL, 
	at TEXT NOT NULL, 
	PRIMARY KEY (tenant, position)
)
 WITHOUT ROWID

;
INSERT INTO "receipt_chain" VALUES('default',1,'d','receipt','5fa5856400cbd95ba92606add7759830a1583164a6d5619cad5d6fd0d067fb0a','94d02e71e4660c53faa397b9e24ac66106c602b4d95c41e9faa68ebe17a6ec89','2026-01-02T03:04:05+00:00');
CREATE TABLE runs (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	config TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
CREATE TABLE sources (
	tenant TEXT NOT NULL, 
	source TEXT NOT NULL, 
	level TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	changed_at TEXT NOT NULL, 
	PRIMARY KEY (tenant, source)
);
INSERT INTO "sources" VALUES('default','run-1','approved','by hand','2026-01-02T03:04:05+00:00');
CREATE TABLE strategies (
	seq INTEGER NOT NULL, 
	tenant TEXT NOT NULL, 
	id TEXT NOT NULL, 
	environment TEXT NOT NULL, 
	status TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	revision INTEGER NOT NULL, 
	reason TEXT NOT NULL, 
	merged_into TEXT, 
	created_at TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (tenant, id)
);
CREATE TABLE strategy_changes (
	seq INTEGER NOT NULL, 
	tenant TEXT NOT NULL, 
	strategy_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	action TEXT NOT NULL, 
	status TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	author TEXT NOT NULL, 
	why TEXT NOT NULL, 
	at TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (tenant, strategy_id, number)
);
CREATE TABLE strategy_tests (
	seq INTEGER NOT NULL, 
	tenant TEXT NOT NULL, 
	id TEXT NOT NULL, 
	strategy_id TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (tenant, id)
);
CREATE TABLE strategy_uses (
	seq INTEGER NOT NULL, 
	tenant TEXT NOT NULL, 
	strategy_id TEXT NOT NULL, 
	episode_id TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	shown BOOLEAN NOT NULL, 
	similarity DOUBLE, 
	success BOOLEAN, 
	score DOUBLE, 
	verdict TEXT, 
	at TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (tenant, strategy_id, episode_id)
);
CREATE TABLE strategy_versions (
	tenant TEXT NOT NULL, 
	strategy_id TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (tenant, strategy_id, version)
);
CREATE TABLE tenants (
	id TEXT NOT NULL, 
	mode TEXT NOT NULL, 
	policy TEXT, 
	changed_at TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE texts (
	hash TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (hash)
);
CREATE TABLE trajectories (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	tenant TEXT NOT NULL, 
	environment TEXT NOT NULL, 
	split TEXT NOT NULL, 
	source TEXT NOT NULL, 
	status TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	content_hash TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
CREATE TABLE vectors (
	embedder TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	data BLOB NOT NULL, 
	PRIMARY KEY (embedder, hash)
);
CREATE INDEX trajectories_by_family ON trajectories (tenant, environment, status, seq);
CREATE INDEX trajectories_by_source ON trajectories (source);
CREATE INDEX trajectories_by_content ON trajectories (content_hash);
CREATE INDEX ix_episodes_run_id ON episodes (run_id);
CREATE INDEX ix_decisions_episode_id ON decisions (episode_id);
CREATE INDEX ix_ledger_run_id ON ledger (run_id);
CREATE INDEX ix_ledger_episode_id ON ledger (episode_id);
CREATE INDEX decisions_by_thread ON decisions (tenant, thread);
CREATE INDEX ledger_by_account ON ledger (account, counterfactual, cost);
CREATE INDEX feedback_by_episode ON feedback (tenant, episode_id);
CREATE INDEX strategies_by_family ON strategies (tenant, environment, status, seq);
CREATE INDEX strategies_by_merge ON strategies (tenant, merged_into);
CREATE INDEX strategy_tests_by_strategy ON strategy_tests (tenant, strategy_id);
CREATE UNIQUE INDEX receipt_chain_by_receipt ON receipt_chain (receipt_id, kind);
CREATE INDEX artifacts_by_kind ON artifacts (kind, seq);
COMMIT;
