"""What is known of the types that values have."""

from __future__ import annotations

from datetime import date
from datetime import datetime
from datetime import time
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from markupsafe import Markup

#: Values that nobody can change once they have them.
IMMUTABLE = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        str,
        bytes,
        Markup,
        UUID,
        Decimal,
        date,
        time,
        datetime,
        timedelta,
    }
)
