WITH RECURSIVE expected(day) AS (
  SELECT '2026-04-01'
  UNION ALL
  SELECT date(day, '+1 day') FROM expected WHERE day < date('now', '+330 minutes', '-1 day')
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
  OR (loaded.loaded_at < datetime('now', '-36 hours')
      AND loaded.loaded_at < datetime(expected.day, '+8 days', '-330 minutes'))
ORDER BY expected.day
