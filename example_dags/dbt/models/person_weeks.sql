-- Hours of each person and week, under the person's key, without a name.
SELECT
    _we360_tenant,
    identity_id,
    CAST(date_trunc('week', attendance_date) AS date) AS week,
    count(CASE WHEN online_duration > 0 THEN 1 END) AS days_online,
    sum(online_duration) / 3600.0 AS online_hours,
    sum(active_duration) / 3600.0 AS active_hours
FROM {{ source('we360', 'we360_days') }}
GROUP BY 1, 2, 3
