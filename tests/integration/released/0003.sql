INSERT INTO customers (external_id, email, phone, country, tags, properties, created_at, updated_at)
VALUES ('A-1', 'ada@example.com', '+442079460000', 'GB', '{vip}', '{"plan": "pro"}', '2026-01-01Z', '2026-01-01Z');
INSERT INTO consents (customer_id, channel, granted, source, at) VALUES (1, 'email', true, 'form', '2026-01-01Z');
INSERT INTO suppressions (channel, address, reason, source, at)
VALUES ('email', 'gone@example.com', 'bounced', 'smtp', '2026-01-01Z');
INSERT INTO journeys (name, title, live_version, created_at) VALUES ('welcome', 'Welcome', 1, '2026-01-01Z');
INSERT INTO journey_versions (journey, version, definition, source, digest, published_at, published_by)
VALUES ('welcome', 1, '{"steps": []}', 'journey: welcome', 'd1', '2026-01-01Z', 'marie');
INSERT INTO events (customer_id, name, occurred_at, received_at, key, value, properties)
VALUES (1, 'customer.signed_up', '2026-01-01Z', '2026-01-01Z', 'k1', 9.5, '{"plan": "pro"}');
INSERT INTO enrolments (customer_id, journey, version, entry, status, source, event_id, enrolled_at, begins_at, turn,
                        instruction, cursor, step, awaiting, workflow)
VALUES (1, 'welcome', 1, 1, 'active', 'event', 1, '2026-01-01Z', '2026-01-01Z', 1,
        '{"act": "wait"}', '{"at": "wait-2d"}', 'wait-2d', '{order.placed}',
        'journey/welcome/1/1');
INSERT INTO path (enrolment_id, turn, seq, step, visit, kind, at, detail)
VALUES (1, 1, 1, 'send-email-welcome', 1, 'send', '2026-01-01Z', '{"because": "first step"}');
INSERT INTO touches (customer_id, enrolment_id, journey, version, step, visit, channel, message, status, key, claimed_at)
VALUES (1, 1, 'welcome', 1, 'send-email-welcome', 1, 'email', 'email/welcome', 'sent', '<1@example.com>', '2026-01-01Z');
INSERT INTO score_entries (customer_id, points, because, enrolment_id, step, visit, at)
VALUES (1, 10, 'engaged', 1, 'score-10', 1, '2026-01-01Z');
INSERT INTO changes (customer_id, kind, name, old, new, because, enrolment_id, at)
VALUES (1, 'stage', 'stage', 'new', 'nurturing', 'engaged', 1, '2026-01-01Z');
INSERT INTO tasks (customer_id, queue, title, created_at, enrolment_id, step, visit)
VALUES (1, 'sales', 'Call Ada', '2026-01-01Z', 1, 'task-sales', 1);
UPDATE enrolments SET occasion = 'date/2026-12-01', held_out = true;
UPDATE touches SET transactional = true;
INSERT INTO holds (kind, name, mode, since, by, because)
VALUES ('journey', 'welcome', 'pause', '2026-01-02Z', 'marie', 'a wrong price');
INSERT INTO orders (enrolment_id, kind, args, by, because, at, taken_at, refusal)
VALUES (1, 'migrate', '{"version": 2, "map": {"wait-2d": "wait-3d"}}', 'marie', 'a better map', '2026-01-02Z',
        '2026-01-02Z', 'the run has ended');
INSERT INTO goals (enrolment_id, customer_id, journey, version, event_id, at, value, touch_ids, held_out)
VALUES (1, 1, 'welcome', 1, 1, '2026-01-03Z', 49.9, '{1}', true);
INSERT INTO segments (name, title, definition, digest, evaluated_at)
VALUES ('at_risk', 'At risk', '{"where": {"score": {"below": 10}}}', 'd1', '2026-01-02Z');
INSERT INTO segment_members (segment, customer_id, since) VALUES ('at_risk', 1, '2026-01-02Z');
INSERT INTO clocks (name, at) VALUES ('segments', '2026-01-02Z');
UPDATE customers SET lifecycle = 'acquisition', fit = 10, grade = 'B3', scored_at = '2026-01-02Z', owner = 'li';
INSERT INTO identities (kind, value, customer_id, since) VALUES ('email', 'ada@example.com', 1, '2026-01-01Z');
INSERT INTO merges (kept_id, gone_id, at, by, because, before)
VALUES (1, 2, '2026-01-02Z', 'marie', 'the same e-mail', '{"customer": {}}');
INSERT INTO imports (kind, digest, file, size, rows_done, report, started_at, finished_at)
VALUES ('customers', 'd1', 'contacts.csv', 100, 3, '{"rows": 3}', '2026-01-02Z', '2026-01-02Z');
INSERT INTO customer_values (customer_id, orders, revenue, first_order_at, last_order_at, r, f, m)
VALUES (1, 2, 49.9, '2025-01-01Z', '2026-01-01Z', 5, 4, 3);
INSERT INTO quintiles (measure, score, least) VALUES ('f', 5, 12);
INSERT INTO rulebooks (name, definition, digest, published_at, published_by)
VALUES ('scoring', '{"fit": []}', 'd1', '2026-01-02Z', 'marie');
INSERT INTO fits (customer_id, at, points, parts) VALUES (1, '2026-01-02Z', 10, '{"country": 10}');
UPDATE tasks SET rule = 'hot', assigned_to = 'li', marketing = 'stop', pipeline = 'contacted', amount = 900;
INSERT INTO task_history (task_id, kind, rep, because, at) VALUES (1, 'assigned', 'li', 'round robin', '2026-01-02Z');
INSERT INTO notices (key, kind, task_id, recipient, address, created_at, due_at)
VALUES ('reminder/1/1', 'reminder', 1, 'li', 'li@acme.example', '2026-01-02Z', '2026-01-02Z');
INSERT INTO broadcasts (name, definition, created_at, created_by, starts_at)
VALUES ('spring', '{"send": "email/spring"}', '2026-01-02Z', 'marie', '2026-01-03Z');
UPDATE touches SET broadcast_id = 1, variant = 'a';
INSERT INTO broadcast_shards (broadcast_id, shard, leg, epoch, cursor, leaving) VALUES (1, 0, 1, 1, 1, 1);
INSERT INTO broadcast_refusals (touch_id, broadcast_id) SELECT id, 1 FROM touches ORDER BY id LIMIT 1;
INSERT INTO paces (name, free_at) VALUES ('channel/email', '2026-01-03Z');
