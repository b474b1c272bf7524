BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE anchors (
	id INTEGER NOT NULL, 
	document_id INTEGER NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	start INTEGER NOT NULL, 
	"end" INTEGER NOT NULL, 
	path JSON NOT NULL, 
	slug TEXT, 
	level INTEGER NOT NULL, 
	page INTEGER, 
	CONSTRAINT pk_anchors PRIMARY KEY (id), 
	CONSTRAINT ck_anchors_kind CHECK (kind IN ('heading', 'page')), 
	CONSTRAINT fk_anchors_document_id_documents FOREIGN KEY(document_id) REFERENCES documents (id) ON DELETE CASCADE
);
INSERT INTO "anchors" VALUES(1,1,'heading',0,40,'["Leave"]','leave',1,NULL);
CREATE TABLE answers (
	id INTEGER NOT NULL, 
	question_id INTEGER NOT NULL, 
	rank INTEGER NOT NULL, 
	document_id INTEGER, 
	document_uri TEXT NOT NULL, 
	document_version INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	sentence TEXT NOT NULL, 
	start INTEGER NOT NULL, 
	"end" INTEGER NOT NULL, 
	confidence DOUBLE NOT NULL, 
	CONSTRAINT pk_answers PRIMARY KEY (id), 
	CONSTRAINT fk_answers_document_id_documents FOREIGN KEY(document_id) REFERENCES documents (id) ON DELETE SET NULL, 
	CONSTRAINT fk_answers_question_id_questions FOREIGN KEY(question_id) REFERENCES questions (id) ON DELETE CASCADE, 
	CONSTRAINT uq_answers_question_id_rank UNIQUE (question_id, rank)
);
INSERT INTO "answers" VALUES(1,1,1,1,'handbook/leave.md',1,'thirty days','Everyone has thirty days of leave.',19,30,0.9);
CREATE TABLE collections (
	id INTEGER NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_collections PRIMARY KEY (id), 
	CONSTRAINT uq_collections_name UNIQUE (name)
);
INSERT INTO "collections" VALUES(1,'default','2026-11-27 02:06:08.330847');
INSERT INTO "collections" VALUES(2,'filled','2026-03-02 09:30:00.000000');
CREATE TABLE documents (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	collection_id INTEGER NOT NULL, 
	source_id INTEGER, 
	uri TEXT NOT NULL, 
	location TEXT NOT NULL, 
	link TEXT, 
	title TEXT NOT NULL, 
	media_type VARCHAR(100) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	error TEXT, 
	version INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	text_sha256 VARCHAR(64) NOT NULL, 
	content_sha256 VARCHAR(64) NOT NULL, 
	size INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT ck_documents_state CHECK (state IN ('ready', 'failed')), 
	CONSTRAINT fk_documents_collection_id_collections FOREIGN KEY(collection_id) REFERENCES collections (id) ON DELETE CASCADE, 
	CONSTRAINT fk_documents_source_id_sources FOREIGN KEY(source_id) REFERENCES sources (id) ON DELETE SET NULL, 
	CONSTRAINT uq_documents_collection_id_location UNIQUE (collection_id, location)
);
INSERT INTO "documents" VALUES(1,2,1,'handbook/leave.md','/srv/handbook/leave.md',NULL,'Leave','text/markdown','ready',NULL,1,'Leave
Everyone has thirty days of leave.','0000000000000000000000000000000000000000000000000000000000000000','1111111111111111111111111111111111111111111111111111111111111111',40,'2026-03-02 09:30:00.000000','2026-03-02 09:30:00.000000');
CREATE TABLE feedback (
	id INTEGER NOT NULL, 
	question_id INTEGER NOT NULL, 
	user VARCHAR(100) NOT NULL, 
	value INTEGER NOT NULL, 
	given_at DATETIME NOT NULL, 
	CONSTRAINT pk_feedback PRIMARY KEY (id), 
	CONSTRAINT ck_feedback_value CHECK (value IN (-1, 1)), 
	CONSTRAINT fk_feedback_question_id_questions FOREIGN KEY(question_id) REFERENCES questions (id) ON DELETE CASCADE, 
	CONSTRAINT uq_feedback_question_id_user UNIQUE (question_id, user)
);
INSERT INTO "feedback" VALUES(1,1,'U1',1,'2026-03-02 09:30:00.000000');
CREATE TABLE index_runs (
	id INTEGER NOT NULL, 
	"trigger" VARCHAR(20) NOT NULL, 
	schedule VARCHAR(100), 
	slot DATETIME, 
	owner TEXT, 
	lease_until DATETIME, 
	fence INTEGER NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	added INTEGER NOT NULL, 
	changed INTEGER NOT NULL, 
	unchanged INTEGER NOT NULL, 
	removed INTEGER NOT NULL, 
	failed INTEGER NOT NULL, 
	error TEXT, 
	CONSTRAINT pk_index_runs PRIMARY KEY (id), 
	CONSTRAINT ck_index_runs_state CHECK (state IN ('running', 'done', 'failed')), 
	CONSTRAINT uq_index_runs_schedule_slot UNIQUE (schedule, slot)
);
INSERT INTO "index_runs" VALUES(1,'cli',NULL,NULL,NULL,NULL,0,'done','2026-03-02 09:30:00.000000','2026-03-02 09:30:00.000000',0,0,0,0,1,NULL);
CREATE TABLE passages (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	document_id INTEGER NOT NULL, 
	ordinal INTEGER NOT NULL, 
	start INTEGER NOT NULL, 
	"end" INTEGER NOT NULL, 
	heading JSON NOT NULL, 
	CONSTRAINT fk_passages_document_id_documents FOREIGN KEY(document_id) REFERENCES documents (id) ON DELETE CASCADE, 
	CONSTRAINT uq_passages_document_id_ordinal UNIQUE (document_id, ordinal)
);
INSERT INTO "passages" VALUES(1,1,0,6,40,'["Leave"]');
CREATE TABLE questions (
	id INTEGER NOT NULL, 
	asked_at DATETIME NOT NULL, 
	text TEXT NOT NULL, 
	via VARCHAR(20) NOT NULL, 
	user VARCHAR(100), 
	channel VARCHAR(100), 
	thread_ts VARCHAR(50), 
	reader TEXT NOT NULL, 
	answered BOOLEAN NOT NULL, 
	retrieve_ms DOUBLE NOT NULL, 
	read_ms DOUBLE NOT NULL, 
	CONSTRAINT pk_questions PRIMARY KEY (id)
);
INSERT INTO "questions" VALUES(1,'2026-03-02 09:30:00.000000','How much leave is there?','slack',NULL,NULL,NULL,'embedded',1,1.0,2.0);
CREATE TABLE slack_events (
	"key" VARCHAR(200) NOT NULL, 
	seen_at DATETIME NOT NULL, 
	CONSTRAINT pk_slack_events PRIMARY KEY ("key")
);
INSERT INTO "slack_events" VALUES('event:2','2026-03-02 09:30:00.000000');
CREATE TABLE sources (
	id INTEGER NOT NULL, 
	collection_id INTEGER NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	location TEXT NOT NULL, 
	label TEXT NOT NULL, 
	base_url TEXT, 
	added_at DATETIME NOT NULL, 
	CONSTRAINT pk_sources PRIMARY KEY (id), 
	CONSTRAINT ck_sources_kind CHECK (kind IN ('path', 'upload')), 
	CONSTRAINT fk_sources_collection_id_collections FOREIGN KEY(collection_id) REFERENCES collections (id) ON DELETE CASCADE, 
	CONSTRAINT uq_sources_collection_id_location UNIQUE (collection_id, location)
);
INSERT INTO "sources" VALUES(1,2,'path','/srv/handbook','handbook',NULL,'2026-03-02 09:30:00.000000');
CREATE TABLE store_state (
	id INTEGER NOT NULL, 
	content_version INTEGER NOT NULL, 
	CONSTRAINT pk_store_state PRIMARY KEY (id)
);
INSERT INTO "store_state" VALUES(1,0);
CREATE INDEX ix_questions_asked_at ON questions (asked_at);
CREATE INDEX ix_slack_events_seen_at ON slack_events (seen_at);
CREATE INDEX ix_documents_collection_id ON documents (collection_id);
CREATE INDEX ix_documents_source_id ON documents (source_id);
CREATE INDEX ix_anchors_document_id_start ON anchors (document_id, start);
CREATE INDEX ix_answers_document_id ON answers (document_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('documents',1);
INSERT INTO "sqlite_sequence" VALUES('passages',1);
COMMIT;
