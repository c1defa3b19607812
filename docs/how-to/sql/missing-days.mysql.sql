WITH RECURSIVE expected AS (
  SELECT CAST('2026-04-01' AS date) AS day
  UNION ALL
  SELECT day + INTERVAL 1 DAY FROM expected WHERE day < date(utc_timestamp() + INTERVAL 330 MINUTE) - INTERVAL 1 DAY
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
  OR (loaded.loaded_at < utc_timestamp() - INTERVAL 36 HOUR
      AND loaded.loaded_at < expected.day + INTERVAL 8 DAY - INTERVAL 330 MINUTE)
ORDER BY expected.day
