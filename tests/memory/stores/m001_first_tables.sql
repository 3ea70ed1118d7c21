BEGIN TRANSACTION;
CREATE TABLE decisions (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	episode_id TEXT NOT NULL, 
	step INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "decisions" VALUES(1,'d','e',3,'{"a":1}','2026-01-02T03:04:05+00:00');
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
	counterfactual BOOLEAN NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "ledger" VALUES(1,'l','r','e','d','student','m',1,2,3,'{}',0.5,1,0,0);
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
CREATE TABLE runs (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	config TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
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
CREATE INDEX trajectories_by_source ON trajectories (source);
CREATE INDEX trajectories_by_family ON trajectories (tenant, environment, status, seq);
CREATE INDEX trajectories_by_content ON trajectories (content_hash);
CREATE INDEX ix_episodes_run_id ON episodes (run_id);
CREATE INDEX ix_decisions_episode_id ON decisions (episode_id);
CREATE INDEX ix_ledger_episode_id ON ledger (episode_id);
CREATE INDEX ix_ledger_run_id ON ledger (run_id);
COMMIT;
