WITH expected AS (
  SELECT CAST(each AS date) AS day
  FROM generate_series(timestamp '2026-04-01',
    date_trunc('day', make_timestamp(epoch_us(now())) + interval '5 hours 30 minutes') - interval '1 day',
    interval '1 day') AS days(each)
),
loaded AS (
  SELECT day, max(_we360_loaded_at) AS loaded_at
  FROM we360_load_log
  WHERE _we360_tenant = 'acme-demo' AND report = 'dynamic_report' AND mode = 'detailed'
    AND target_table = 'we360_days' AND filters = '' AND outcome = 'loaded'
  GROUP BY day
)
SELECT expected.day, loaded.loaded_at, CASE WHEN loaded.day IS NULL THEN 'missing' ELSE 'stale' END AS trouble
FROM expected LEFT JOIN loaded ON loaded.day = expected.day
WHERE loaded.day IS NULL
  OR (loaded.loaded_at < make_timestamp(epoch_us(now())) - interval '36 hours'
      AND loaded.loaded_at < expected.day + interval '8 days' - interval '5 hours 30 minutes')
ORDER BY expected.day
