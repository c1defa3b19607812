-- Hours of each team and week. A person without data on a day does not count as zero.
SELECT
    _we360_tenant,
    group_name,
    CAST(date_trunc('week', attendance_date) AS date) AS week,
    count(DISTINCT CASE WHEN online_duration > 0 THEN identity_id END) AS people,
    sum(online_duration) / 3600.0 AS online_hours,
    sum(active_duration) / 3600.0 AS active_hours,
    -- A mean of percents would give a short day the weight of a long one.
    100.0 * sum(productive_duration) / nullif(sum(active_duration), 0) AS productive_percent
FROM {{ source('we360', 'we360_days') }}
GROUP BY 1, 2, 3
