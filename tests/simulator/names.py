"""Names that real people have and that simple programs break on: one name only, other scripts, quotes, long ones."""

from __future__ import annotations

NAMES: tuple[tuple[str, str | None, str], ...] = (
    ("Aarav", "Sharma", "Male"),
    ("Priya", "Nair", "Female"),
    ("Ravi", None, "Male"),
    ("आराध्या", "वर्मा", "Female"),
    ("Siobhán", "O'Brien", "Female"),
    ("தமிழ்செல்வி", "முருகன்", "Female"),
    ("Imran", "Qureshi", "Male"),
    ("Lakshmi", None, "Female"),
    ("ഗോപിക", "മേനോൻ", "Female"),
    ("José", "Ñandú", "Male"),
    ("Gurpreet", "Singh", "Male"),
    ("ಕಾವ್ಯ", "ಗೌಡ", "Female"),
    ('Robert "Bobby"', "D'Souza", "Male"),
    ("Nguyễn", "Hoa", "Female"),
    ("ఆదిత్య", "రెడ్డి", "Male"),
    ("Meera", "Iyer", "Female"),
    ("অনন্যা", "সেন", "Female"),
    ("Li", "小龙", "Male"),
    ("Zoë", "van der Berg-Østergård", "Female"),
    ("ਹਰਲੀਨ", "ਕੌਰ", "Female"),
    ("Mohammed", "Al-Farsi; Jr.", "Male"),
    ("હેતલ", "પટેલ", "Female"),
    ("Kiran", "Null", "Other"),
    ("محمد", "خان", "Male"),
    ("Sneha", "Kulkarni", "Female"),
    ("Vikram", "Rathore, MBA", "Male"),
    ("Anjali", "Deshpande", "Female"),
    ("Thomas", "Mathew", "Male"),
    ("Divya", "Reddy", "Female"),
    ("Nikhil", "Joshi", "Male"),
    ("Fatima", "Sheikh", "Female"),
    ("Arjun", "Menon", "Male"),
    ("Neha", "N/A", "Female"),
    ("Suresh", None, "Male"),
    ("Björk", "Ðóttir", "Female"),
    ("Kavita", "  Rao", "Female"),
)
"""First name, last name (None where there is only one), gender as We360 writes it."""

GROUPS = (
    "Engineering",
    "Customer Success",
    "Night Operations",
    "Finance & Payroll",
    "Sales \N{EN DASH} North",
    "Mānav Sansādhan",
    'Key Accounts, "Gold"',
    "Design",
    "Quality",
    "People O'Connect",
)
DESIGNATIONS = (
    "Software Engineer",
    "Senior Software Engineer",
    "Analyst",
    "Associate",
    "Support Lead",
    "QA Engineer",
    "Executive",
)
LOCATIONS = ("Bengaluru", "Pune", "Noida, UP", "Chennai", "Home")
APPLICATIONS = (
    "Visual Studio Code",
    "Google Chrome",
    "Microsoft Excel",
    "Slack",
    "Outlook",
    "Zoom",
    "SAP GUI",
    "Figma",
)
URLS = (
    "github.com",
    "docs.google.com",
    "salesforce.com",
    "youtube.com",
    "jira.example.com/browse/ACME-1?a=1&b=2",
    "chatgpt.com",
)
