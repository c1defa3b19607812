-- Days that hold fewer than half of the rows of the same weekday, on average over the eight weeks before.
SELECT today.day, today.row_count, avg(earlier.row_count) AS usual
FROM we360_load_log AS today
JOIN we360_load_log AS earlier
  ON earlier._we360_tenant = today._we360_tenant AND earlier.target_table = today.target_table
  AND earlier.filters = '' AND earlier.outcome = 'loaded'
  AND earlier.day IN (today.day - 7, today.day - 14, today.day - 21, today.day - 28,
                      today.day - 35, today.day - 42, today.day - 49, today.day - 56)
WHERE today.filters = '' AND today.outcome = 'loaded'
GROUP BY today.day, today.row_count, today._we360_loaded_at
HAVING today.row_count < avg(earlier.row_count) / 2
ORDER BY today.day;
